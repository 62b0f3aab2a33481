"""Encrypted conversations between imd and an independent OMEMO implementation, through a real server."""

import pytest
from harness import LEGACY, NOPERM, Imd, Peer, assert_explained, until


def assert_encrypted(message):
    assert message["encrypted"], message
    assert message["fallback"] != message["body"]


def exchange_first(imd, peer):
    imd.ok("send", peer.user.jid, "first", "--wait", "server")
    assert peer.next("message")["body"] == "first"
    peer.send(imd.user.jid, "second")
    assert imd.messages(1)[0]["body"] == "second"


def test_the_first_message_of_imd_is_read_by_the_peer(imd, peer):
    imd.ok("send", peer.user.jid, "héllo \U0001f680", "--wait", "server")
    message = peer.next("message")
    assert message["body"] == "héllo \U0001f680"
    assert_encrypted(message)
    assert message["fingerprint"] == imd.fingerprint()


def test_the_first_message_of_the_peer_is_read_by_imd(imd, peer):
    peer.send(imd.user.jid, "héllo \U0001f680")
    [message] = imd.messages(1)
    assert message["body"] == "héllo \U0001f680"
    assert message["from"] == message["chat"] == peer.user.jid
    assert (message["account"], message["direction"]) == (imd.user.jid, "in")
    encryption = message["encryption"]
    assert (encryption["protocol"], encryption["device"]) == (LEGACY, peer.own["device"])
    assert (encryption["fingerprint"], encryption["trust"]) == (peer.own["fingerprint"], "blind")
    assert not [e for e in peer.quiet(2) if e["ev"] == "empty"], "a stranger learns nothing by writing"


def test_200_messages_alternating(imd, peer):
    for number in range(100):
        imd.ok("send", peer.user.jid, f"to peer {number}", "--wait", "server")
        message = peer.next("message")
        assert message["body"] == f"to peer {number}"
        assert_encrypted(message)
        peer.send(imd.user.jid, f"to imd {number}")
        assert [m["body"] for m in imd.messages(1)] == [f"to imd {number}"]
    assert not [e for e in peer.seen if e["ev"] in ("failed", "error")]


def test_200_messages_in_bursts_both_ways_keep_their_order(imd, peer):
    exchange_first(imd, peer)
    for burst in range(4):
        expected = [f"{burst}.{number}" for number in range(25)]
        for body in expected:
            peer.send(imd.user.jid, body)
            imd.ok("send", peer.user.jid, body)
        assert [m["body"] for m in imd.messages(25)] == expected
        assert [m["body"] for m in peer.messages(25)] == expected
    assert not [e for e in peer.seen if e["ev"] in ("failed", "error")]


def test_the_conversation_goes_on_after_imd_was_restarted(imd, peer):
    exchange_first(imd, peer)
    imd.stop()
    peer.send(imd.user.jid, "while you were away")
    peer.next("sent")
    imd.start(wait_online=True)
    assert [m["body"] for m in imd.messages(1)] == ["while you were away"]
    imd.ok("send", peer.user.jid, "back again", "--wait", "server")
    assert peer.next("message")["body"] == "back again"


def test_the_conversation_goes_on_after_the_peer_was_killed(imd, peer):
    exchange_first(imd, peer)
    peer.kill()
    peer.start()
    imd.ok("send", peer.user.jid, "still there?", "--wait", "server")
    assert peer.next("message")["body"] == "still there?"
    peer.send(imd.user.jid, "yes")
    assert [m["body"] for m in imd.messages(1)] == ["yes"]


def test_the_first_message_of_a_contact_is_answered_by_an_empty_one(friends):
    with Imd(friends) as imd, Peer(friends, friends.user()) as peer:
        imd.online()
        peer.send(imd.user.jid, "hello")
        assert [m["body"] for m in imd.messages(1)] == ["hello"]
        assert peer.next("empty"), "it completes the key exchange"


@pytest.mark.parametrize("relation", ["contact", "somebody we have written to"])
def test_60_unanswered_messages_are_answered_by_a_heartbeat(server, friends, relation):
    server = friends if relation == "contact" else server
    with Imd(server) as imd, Peer(server, server.user()) as peer:
        imd.online()
        exchange_first(imd, peer)
        peer.quiet(1)
        peer.seen.clear()
        for number in range(60):
            peer.send(imd.user.jid, f"{number}")
        assert [m["body"] for m in imd.messages(60)] == [str(number) for number in range(60)]
        peer.quiet(3)
        empties = sum(event["ev"] == "empty" for event in peer.seen)
        assert empties == 1, "one heartbeat for each chain"
        peer.send(imd.user.jid, "on a new chain")
        assert [m["body"] for m in imd.messages(1)] == ["on a new chain"]


def test_60_unanswered_messages_of_imd_go_on_being_read(imd, peer):
    exchange_first(imd, peer)
    for number in range(60):
        imd.ok("send", peer.user.jid, f"{number}")
    assert [m["body"] for m in peer.messages(60)] == [str(number) for number in range(60)]
    imd.ok("send", peer.user.jid, "last")
    assert peer.next("message")["body"] == "last"


@pytest.mark.parametrize("announced_by", ["push", "first message"])
def test_a_second_device_of_the_peer_added_mid_conversation_receives(server, friends, announced_by):
    """With a subscription the server pushes the new device list; without, the device's own message announces it."""
    server = friends if announced_by == "push" else server
    with Imd(server) as imd, Peer(server, server.user()) as peer:
        imd.online()
        exchange_first(imd, peer)
        with Peer(server, peer.user) as second:
            assert second.own["device"] != peer.own["device"]
            if announced_by == "push":
                until(lambda: len(imd.call("device.list", jid=peer.user.jid)["devices"]) == 2, 20, "the push arrives")
            else:
                second.send(imd.user.jid, "hello from my second device")
                assert imd.messages(1)[0]["encryption"]["device"] == second.own["device"]
            imd.ok("send", peer.user.jid, "to both", "--wait", "server")
            assert peer.next("message")["body"] == "to both"
            assert second.next("message")["body"] == "to both"


def test_two_imd_of_one_account_both_receive(server, imd, peer):
    with Imd(server, imd.user) as second:
        second.online()
        assert second.fingerprint() != imd.fingerprint()
        peer.send(imd.user.jid, "to both of you")
        # A bare JID reaches the most available resources: both have the same priority.
        assert [m["body"] for m in imd.messages(1)] == ["to both of you"]
        assert [m["body"] for m in second.messages(1)] == ["to both of you"]
        second.ok("send", peer.user.jid, "from the second", "--wait", "server")
        message = peer.next("message")
        assert (message["body"], message["fingerprint"]) == ("from the second", second.fingerprint())


def test_two_imd_exchange_messages_and_know_each_others_fingerprints(imd, other):
    imd.ok("send", other.user.jid, "-", stdin="from standard input\n")
    [message] = other.messages(1)
    assert message["body"] == "from standard input"
    assert message["encryption"]["fingerprint"] == imd.fingerprint()
    other.ok("send", imd.user.jid, "answer")
    [message] = imd.messages(1)
    assert (message["body"], message["encryption"]["fingerprint"]) == ("answer", other.fingerprint())
    history = [m["body"] for m in imd.call("message.list", chat=other.user.jid)["messages"]]
    assert history == ["from standard input", "answer"]


# Never plaintext by accident


def test_no_text_of_an_encrypted_conversation_passes_the_server_in_clear(server, imd, peer):
    imd.ok("send", peer.user.jid, "canary-7f3a-out", "--wait", "server")
    peer.next("message")
    peer.send(imd.user.jid, "canary-7f3a-in")
    imd.messages(1)
    until(lambda: imd.user.jid in server.capture(), 5, "the server's capture is written")
    assert "canary-7f3a" not in server.capture()


def test_a_contact_without_omemo_gets_nothing_unless_plaintext_is_asked_for(server, imd, fresh):
    stranger = fresh.user  # an account that never published a device
    done = imd.imctl("send", stranger.jid, "secret-5b1e")
    assert done.returncode == NOPERM, done
    assert_explained(done.stderr)
    imd.ok("send", stranger.jid, "not so secret", "--plaintext", "--wait", "server")
    until(lambda: "not so secret" in server.capture(), 5, "the plaintext message passes")
    assert "secret-5b1e" not in server.capture()
    assert imd.imctl("send", stranger.jid, "secret again").returncode == NOPERM, "asked for each time"


def test_plaintext_in_an_encrypted_chat_must_be_allowed_and_asked_for_each_time(imd, peer):
    exchange_first(imd, peer)
    assert imd.imctl("send", peer.user.jid, "in clear", "--plaintext").returncode == NOPERM
    imd.ok("encryption", peer.user.jid, "--optional")
    imd.ok("send", peer.user.jid, "in clear", "--plaintext", "--wait", "server")
    message = peer.next("message")
    assert (message["body"], message["encrypted"]) == ("in clear", False)
    imd.ok("send", peer.user.jid, "encrypted again", "--wait", "server")
    assert_encrypted(peer.next("message"))


def test_plaintext_of_others_is_shown_as_what_it_is(imd, peer):
    exchange_first(imd, peer)
    peer.send(imd.user.jid, "in clear", plain=True)
    [message] = imd.messages(1)
    assert (message["body"], message["encryption"]) == ("in clear", None)
