"""Both versions of OMEMO with an independent implementation: what is ordinary, and what breaks and heals."""

import contextlib
import re

from harness import LISTS, NAMESPACE, Api, Imd, Peer, encrypted_stanzas, until


@contextlib.contextmanager
def correspondents(place, version):
    """imd, and a contact whose client speaks this version."""
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--only", version]) as peer:
        yield imd.online(), peer


def from_imd(imd, peer, text, version):
    imd.ok("send", peer.user.jid, text, "--wait", "server")
    message = peer.next("message")
    assert (message["body"], message["version"]) == (text, version), peer.seen[-5:]
    assert message["fingerprint"] == imd.fingerprint()
    return message


def from_peer(peer, imd, text, version):
    peer.send(imd.user.jid, text, version=version)
    [message] = imd.messages(1)
    encryption = message["encryption"]
    assert (message["body"], encryption["protocol"]) == (text, NAMESPACE[version]), message
    assert (encryption["device"], encryption["fingerprint"]) == (peer.own["device"], peer.own["fingerprint"])
    return message


def assert_unharmed(imd, *peers):
    assert imd.told("undecryptable", "gap", "error") == []
    for peer in peers:
        assert not [e for e in peer.seen if e["ev"] in ("failed", "error")], peer.seen


def count(peer, kind):
    return sum(event["ev"] == kind for event in peer.seen)


def test_first_messages_bursts_and_heartbeats(place, version):
    with correspondents(place, version) as (imd, peer):
        message = from_imd(imd, peer, "<first> & \U0001f680", version)
        assert message["fallback"] != message["body"]
        from_peer(peer, imd, "<first> & \U0001f680", version)
        peer.quiet(1)
        peer.seen.clear()
        # One way, unanswered: imd keeps the chain from getting too long.
        bodies = [f"#{number} ".ljust(20, "x") for number in range(60)]
        peer.burst(imd.user.jid, 60, 20, version=version)
        assert [m["body"] for m in imd.messages(60)] == bodies
        peer.quiet(1)
        assert count(peer, "empty") == 1, "one heartbeat for the chain"
        with Api(imd) as api:
            for body in bodies:
                api.call("message.send", to=peer.user.jid, body=body)
        assert [m["body"] for m in peer.messages(60)] == bodies
        # Both at once.
        peer.burst(imd.user.jid, 60, 20, version=version)
        with Api(imd) as api:
            for body in bodies:
                api.call("message.send", to=peer.user.jid, body=body)
        assert [m["body"] for m in imd.messages(60)] == bodies
        assert [m["body"] for m in peer.messages(60)] == bodies
        from_imd(imd, peer, "last", version)
        from_peer(peer, imd, "last", version)
        assert_unharmed(imd, peer)


def test_the_first_message_of_a_contact_and_restarts(place, version):
    with correspondents(place, version) as (imd, peer):
        from_peer(peer, imd, "I begin", version)
        assert peer.next("empty"), "it completes the key exchange"
        for end in (imd.stop, imd.kill):
            end()
            peer.send(imd.user.jid, "while you were away", version=version)
            peer.next("sent")
            imd.start(wait_online=True)
            assert [m["body"] for m in imd.messages(1)] == ["while you were away"]
            from_imd(imd, peer, "back again", version)
        peer.kill()
        peer.start()
        from_imd(imd, peer, "are you back?", version)
        from_peer(peer, imd, "yes", version)
        assert_unharmed(imd, peer)


def test_both_sides_restart_while_the_other_is_down(place, version):
    """What was sent meanwhile is read, and nobody begins a new session."""
    with correspondents(place, version) as (imd, peer):
        from_imd(imd, peer, "hello", version)
        from_peer(peer, imd, "hello", version)
        from_imd(imd, peer, "hello again", version)  # an answer: from here on nothing is a key exchange
        assert (begun := key_exchanges(place, imd.device(), peer.own["device"])) > 0
        peer.kill()
        imd.ok("send", peer.user.jid, "while the peer was down", "--wait", "server")
        imd.stop()
        imd.start(wait_online=True)
        imd.ok("send", peer.user.jid, "still down", "--wait", "server")
        imd.kill()
        peer.seen.clear()
        peer.start()  # what waits comes before it says that it is ready
        until(lambda: (peer.poll(), texts(peer))[1] == ["while the peer was down", "still down"], 30, "all is read")
        peer.send(imd.user.jid, "while imd was down", version=version)
        peer.published_list(version)  # answered: the server has the message, too
        peer.kill()
        peer.start()
        peer.send(imd.user.jid, "still down", version=version)
        peer.next("sent")
        imd.start(wait_online=True)
        assert [m["body"] for m in imd.messages(2)] == ["while imd was down", "still down"]
        from_imd(imd, peer, "back", version)
        from_peer(peer, imd, "me too", version)
        assert key_exchanges(place, imd.device(), peer.own["device"]) == begun
        assert_unharmed(imd, peer)


def texts(peer):
    return [event["body"] for event in peer.seen if event["ev"] == "message"]


def key_exchanges(place, *devices):
    """How many stanzas of these devices begin a session."""
    begins = re.compile(r"<key [^>]*(?:prekey|kex)=[\"'](?:true|1)")
    senders = [re.compile(rf"sid=[\"']{device}[\"']") for device in devices]
    lines = [line for line in set(place.capture().splitlines()) if begins.search(line)]
    return sum(any(sender.search(line) for sender in senders) for line in lines)


def test_second_devices_of_both_sides(place, version):
    one, two, _ = place.circle()
    options = ["--only", version, "--carbons"]
    with Imd(place, one) as imd, Imd(place, one) as second, Peer(place, two, options=options) as peer, \
            Peer(place, two, options=options) as other:
        imd.online(), second.online()
        until(lambda: len(imd.devices(one.jid)) == 2, 20, "imd knows its second device")
        until(lambda: len(imd.devices(two.jid)) == 2, 20, "imd knows the contact's second device")
        imd.ok("send", two.jid, "from the first", "--wait", "server")
        for reader in (peer, other):
            message = reader.next("message")
            assert (message["body"], message["version"]) == ("from the first", version)
        until(lambda: own_messages(second, two.jid) == ["from the first"], 20, "the copy is readable")
        peer.send(one.jid, "from the peer", version=version)
        assert (copy := other.next("message"))["body"] == "from the peer" and copy["carbon"] == "sent"
        for reader in (imd, second):
            assert [m["body"] for m in reader.messages(1)] == ["from the peer"]
        second.ok("send", two.jid, "from the second", "--wait", "server")
        for reader in (peer, other):
            assert reader.next("message")["body"] == "from the second"
        until(lambda: own_messages(imd, two.jid) == ["from the first", "from the second"], 20, "the copy is readable")
        for reader in (imd, second):
            assert len(reader.told("message", direction="in")) == 1, "one event each"
            assert reader.told("undecryptable", "gap") == []


def own_messages(imd, chat):
    messages = imd.call("message.list", chat=chat)["messages"]
    return [m["body"] for m in messages if m["direction"] == "out"]


# Broken, and healed


def test_a_session_lost_by_imd_is_renewed_at_the_first_message_it_cannot_read(place, version):
    with correspondents(place, version) as (imd, peer):
        from_imd(imd, peer, "hello", version)
        from_peer(peer, imd, "hello", version)
        peer.quiet(1)
        imd.lose_sessions()
        for number in range(3):
            peer.send(imd.user.jid, f"lost {number}", version=version)
        assert peer.next("empty")["version"] == version
        until(lambda: len(imd.told("undecryptable")) == 3, 20, "each is told of once")
        [event] = imd.told("device", change="session-renewed")
        assert (event["jid"], event["device"]) == (peer.user.jid, peer.own["device"])
        from_peer(peer, imd, "found", version)
        from_imd(imd, peer, "indeed", version)


def test_a_session_lost_by_the_contact_heals_by_its_next_message_or_by_a_reset(place, version):
    with correspondents(place, version) as (imd, peer):
        from_imd(imd, peer, "hello", version)
        from_peer(peer, imd, "hello", version)
        peer.quiet(1)
        forget = {"jid": imd.user.jid, "device": imd.device()}
        peer.do("forget", **forget)
        from_peer(peer, imd, "who are you?", version)
        from_imd(imd, peer, "imd", version)
        peer.do("forget", **forget)
        imd.ok("send", peer.user.jid, "lost", "--wait", "server")
        assert "NoSession" in peer.next("failed")["what"]
        imd.ok("device", "reset", peer.user.jid, "--yes")
        assert peer.next("empty")["version"] == version
        from_imd(imd, peer, "found", version)
        from_peer(peer, imd, "indeed", version)
        assert len(imd.told("device", change="session-renewed")) == 1
        assert imd.told("undecryptable", "gap", "error") == []


def test_a_reset_that_forgets_keys_keeps_what_was_decided(place, version):
    with correspondents(place, version) as (imd, peer):
        from_imd(imd, peer, "hello", version)
        imd.ok("device", "verify", peer.user.jid, "--fingerprint", peer.own["fingerprint"])
        imd.ok("device", "reset", peer.user.jid, str(peer.own["device"]), "--forget", "--yes")
        from_imd(imd, peer, "again", version)
        from_peer(peer, imd, "hello", version)
        assert imd.devices(peer.user.jid)[peer.own["device"]]["trust"] == "verified"


def test_a_device_taken_off_the_list_gets_nothing_more(place, version):
    with correspondents(place, version) as (imd, peer):
        with Peer(place, peer.user, options=["--only", version]) as gone:
            until(lambda: len(imd.devices(peer.user.jid)) == 2, 20, "imd knows both")
            imd.ok("send", peer.user.jid, "to both", "--wait", "server")
            assert peer.next("message")["body"] == gone.next("message")["body"] == "to both"
            device = gone.own["device"]
        peer.publish_list(version, [peer.own["device"]])
        until(lambda: imd.told("device", change="removed", device=device), 20, "it is told")
        assert not imd.devices(peer.user.jid)[device]["active"]
        id = from_imd(imd, peer, "to one", version)["id"]
        sent = [keys for _, i, keys in encrypted_stanzas(place.capture(), imd.device()) if i == id]
        assert sent == [{peer.own["device"]}]


def test_an_own_device_that_is_gone_is_removed_by_hand(place):
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--no-omemo"]) as observer:
        imd.online()
        with Imd(place, one) as gone:
            device = gone.online().device()
        until(lambda: device in imd.devices(one.jid), 20, "imd knows it")
        imd.ok("device", "remove", str(device), "--yes")
        for version in LISTS:
            assert observer.published_list(version, one.jid) == [imd.device()]
        assert not imd.devices(one.jid).get(device, {}).get("active")


# Both versions at once


def test_a_contact_with_one_device_of_each_version(place):
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--only", "legacy"]) as old, \
            Peer(place, two, options=["--only", "omemo2"]) as modern:
        imd.online()
        until(lambda: len(imd.devices(two.jid)) == 2, 20, "imd knows both")
        first = imd.ok("send", two.jid, "to both", "--wait", "server").strip()
        second = imd.ok("send", two.jid, "to both again", "--wait", "server").strip()
        ids = []
        for peer, version in ((old, "legacy"), (modern, "omemo2")):
            messages = peer.messages(2)
            assert [(m["body"], m["version"]) for m in messages] == [
                ("to both", version), ("to both again", version)]
            ids.append([m["id"] for m in messages])
            assert {e["ev"] for e in peer.quiet(1)} <= {"foreign", "empty"}, "shown once"
            assert not [e for e in peer.seen if e["ev"] in ("failed", "error")]
            assert messages[0]["request"], "a receipt is asked for in each"
        # A text, or a wish, beside an envelope would be for everybody on the way to read.
        assert messages[0]["fallback"] is None
        assert not [tag for tag in messages[0]["outer"] if "receipts" in tag or "markers" in tag or "body" in tag]
        assert ids[0] == ids[1], "one message in two stanzas"
        old.answer("received", one.jid, ids[0][0])
        modern.answer("received", one.jid, ids[1][1], version="omemo2")
        for id in (first, second):
            until(lambda: imd.call("message.get", id=id)["state"] == "delivered", 20, "delivered")
            states = [event["state"] for event in imd.told("state", id=id)]
            assert len(states) == len(set(states)) and states[-1] == "delivered", states
        old.send(one.jid, "from the old one")
        modern.send(one.jid, "from the modern one", version="omemo2")
        assert sorted(m["body"] for m in imd.messages(2)) == ["from the modern one", "from the old one"]
        assert len(imd.call("message.list", chat=two.jid)["messages"]) == 4
        assert_unharmed(imd)


def test_a_contact_that_speaks_both_gets_the_one_it_has_shown_to_read(place):
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two) as peer:
        imd.online()
        from_imd(imd, peer, "safe", "legacy")
        from_peer(peer, imd, "I can do better", "omemo2")
        from_imd(imd, peer, "so can I", "omemo2")
        imd.kill()
        imd.start(wait_online=True)
        from_imd(imd, peer, "still", "omemo2")
        from_peer(peer, imd, "an old one in between", "legacy")
        from_imd(imd, peer, "goes on", "omemo2")
        assert set(imd.devices(two.jid)[peer.own["device"]]["versions"]) == {"legacy", "omemo2"}
        assert_unharmed(imd, peer)
