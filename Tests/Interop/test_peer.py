"""The tools of these tests work by themselves: two peers talk through the server without imd."""

import pytest
from faults import check_chains
from harness import OMEMO2, Peer


def test_two_independent_peers_talk_encrypted_through_the_server(server, peer):
    with Peer(server, server.user()) as second:
        peer.send(second.user.jid, "one")
        message = second.next("message")
        assert (message["body"], message["encrypted"]) == ("one", True)
        assert message["fingerprint"] == peer.own["fingerprint"]
        second.send(peer.user.jid, "two")
        assert peer.next("message")["body"] == "two"
        second.kill()
        second.start()
        peer.send(second.user.jid, "three")
        assert second.next("message")["body"] == "three"
        second.send(peer.user.jid, "in clear", plain=True)
        message = peer.next("message")
        assert (message["body"], message["encrypted"]) == ("in clear", False)
    assert "in clear" in server.capture() and ">three<" not in server.capture()


def test_two_independent_peers_talk_in_omemo2(place):
    one, two, _ = place.circle()
    with Peer(place, one) as first, Peer(place, two, options=["--only", "omemo2"]) as second:
        first.send(two.jid, "<one> & \U0001f680", version="omemo2", request=True)
        message = second.next("message")
        assert (message["body"], message["version"]) == ("<one> & \U0001f680", "omemo2")
        assert message["fingerprint"] == first.own["fingerprint"]
        assert message["fallback"] is None and message["request"]
        second.answer("received", one.jid, message["id"], version="omemo2")
        assert first.next("received")["of"] == message["id"]
        first.burst(two.jid, 60, 40, version="omemo2")
        assert [m["body"].split()[0] for m in second.messages(60)] == [f"#{number}" for number in range(60)]
        assert not [e for e in first.seen + second.seen if e["ev"] in ("failed", "error")]
    assert check_chains(place.capture(), one.jid) >= 61
    assert f"xmlns='{OMEMO2}'" in place.capture() and "request" not in stanza(place.capture(), message["id"])


def stanza(capture, id):
    return next(line for line in capture.splitlines() if id in line)


def test_a_peer_loses_its_sessions(place):
    one, two, _ = place.circle()
    with Peer(place, one) as first, Peer(place, two) as second:
        for version in ("legacy", "omemo2"):
            first.send(two.jid, "hello", version=version)
            second.next("message")
            second.send(one.jid, "hello", version=version)
            first.next("message")
        second.do("forget", jid=one.jid, device=first.own["device"])
        for version in ("legacy", "omemo2"):
            first.send(two.jid, "lost", version=version)
            assert "NoSession" in second.next("failed")["what"]
            second.send(one.jid, "found again", version=version)
            assert first.next("message")["body"] == "found again"
            first.send(two.jid, "indeed", version=version)
            assert second.next("message")["body"] == "indeed"


def test_a_peer_of_each_version_on_one_account(place):
    one, two, _ = place.circle()
    with Peer(place, two, options=["--only", "legacy"]) as old, \
            Peer(place, two, options=["--only", "omemo2"]) as modern, Peer(place, one) as writer:
        assert writer.published_list("legacy", two.jid) == [old.own["device"]]
        assert writer.published_list("omemo2", two.jid) == [modern.own["device"]]
        writer.send(two.jid, "to both", version="both")
        for peer, version in ((old, "legacy"), (modern, "omemo2")):
            message = peer.next("message")
            assert (message["body"], message["version"]) == ("to both", version)
            assert [e["ev"] for e in peer.quiet(1)] in ([], ["foreign"])


@pytest.mark.parametrize("version", ["legacy", "omemo2"])
def test_a_crowd_of_invented_devices_is_what_it_says(prosody_circles, version):
    one, two, _ = prosody_circles.circle()
    with Peer(prosody_circles, one) as writer, Peer(prosody_circles, two) as reader:
        # The library asks for the list and the bundle of each device; only the writer's own has both.
        device, crowd = writer.own["device"], {"to": two.jid, "device": reader.own["device"], "count": 1}
        for kind in ("garbage", "noise"):
            writer.do("crowd", kind=kind, first=device, version=version, **crowd)
            reader.next("failed")
        writer.do("crowd", kind="exchanges", first=device, version=version, **crowd)
        assert "PublicDataInconsistency" in reader.next("failed")["what"], "a true exchange, of another identity"
