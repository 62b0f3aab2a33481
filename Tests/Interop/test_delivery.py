"""How far a message has come, other clients of the same account, and what waits to go out."""

import json
import time

import pytest
from faults import Follower, acquaint, check_invariants, is_online, warm_up
from harness import CANTCREAT, NOINPUT, TEMPFAIL, Api, Imd, Peer, until

STATES = ["queued", "sent", "server", "delivered", "displayed"]


@pytest.fixture
def alice(archive):
    with Imd(archive) as imd:
        yield imd.online()


@pytest.fixture
def bob(archive):
    with Imd(archive) as imd:
        yield imd.online()


@pytest.fixture
def contact(archive):
    with Peer(archive, archive.user()) as peer:
        yield peer


def state_events(imd, message_id):
    with Api(imd) as api:
        api.call("event.subscribe", since=0, types=["state"])
        return [event["state"] for event in api.events_until_caught_up() if event["id"] == message_id]


def state(imd, message_id):
    return imd.call("message.get", id=message_id)["state"]


# Receipts and markers


def test_every_state_is_an_event_and_can_be_waited_for(alice, contact):
    warm_up(alice, contact)
    for wanted in ("queued", "sent", "server"):
        alice.ok("send", contact.user.jid, f"until {wanted}", "--wait", wanted, "--timeout", "20")
        contact.next("message")
    message_id = alice.ok("send", contact.user.jid, "all the way", "--wait", "server").strip()
    message = contact.next("message")
    assert message["request"] and message["markable"], message
    contact.answer("received", message["from"], message["id"])
    until(lambda: state(alice, message_id) == "delivered", 20, "delivered")
    contact.answer("displayed", message["from"], message["id"])
    until(lambda: state(alice, message_id) == "displayed", 20, "displayed")
    told = state_events(alice, message_id)
    assert told == [word for word in STATES if word in told] and told[-3:] == STATES[-3:], told


def test_waiting_for_delivered_and_displayed(alice, bob):
    acquaint(alice, bob)
    alice.ok("send", bob.user.jid, "arrives", "--wait", "delivered", "--timeout", "20")
    with Api(alice) as api:
        number = api.request("message.send", to=bob.user.jid, body="is read", wait="displayed", timeout=30)
        assert [m["body"] for m in bob.messages(2)] == ["arrives", "is read"]
        bob.ok("displayed", alice.user.jid)
        assert api.answer(number)["result"]["state"] == "displayed"
    newest = alice.call("message.list", chat=bob.user.jid, limit=2)["messages"]
    assert [m["state"] for m in newest] == ["displayed", "displayed"], "and what was before it too"
    done = alice.ok("send", bob.user.jid, "by imctl", "--wait", "delivered", "--json")
    assert json.loads(done)["state"] == "delivered"


def test_a_marker_is_for_one_message_and_those_before_it(alice, bob):
    acquaint(alice, bob)
    ids = [alice.ok("send", bob.user.jid, f"{n}", "--wait", "delivered", "--timeout", "20").strip() for n in range(4)]
    received = bob.messages(4)
    assert bob.call("chat.list")["unread"] == 4
    bob.ok("displayed", alice.user.jid, "--id", received[1]["id"])
    assert bob.ok("unread").startswith(f"2 {alice.user.jid}"), "the last two"
    until(lambda: state(alice, ids[1]) == "displayed", 20, "displayed")
    assert [state(alice, i) for i in ids] == ["displayed", "displayed", "delivered", "delivered"]
    bob.ok("send", alice.user.jid, "an answer")
    assert bob.ok("unread") == "" and bob.call("chat.list")["chats"][0]["unread"] == 0


def test_a_timeout_says_how_far_it_came_and_the_message_still_goes_out(alice, contact):
    warm_up(alice, contact)
    done = alice.imctl("send", contact.user.jid, "no receipt", "--wait", "delivered", "--timeout", "2")
    assert done.returncode == TEMPFAIL and "server" in done.stderr and done.stdout.strip(), done
    assert contact.next("message")["body"] == "no receipt"
    alice.ok("account", "disconnect", alice.user.jid)
    assert len(alice.told("account", state="offline")) == 1
    done = alice.imctl("send", contact.user.jid, "later", "--wait", "server", "--timeout", "1")
    assert done.returncode == TEMPFAIL and "queued" in done.stderr, done
    message_id = done.stdout.strip()
    alice.ok("account", "connect", alice.user.jid)
    assert contact.next("message")["body"] == "later"
    until(lambda: state(alice, message_id) == "server", 20, "with the server")


def test_receipts_are_answered_to_contacts_only_and_survive_a_kill(alice, contact):
    warm_up(alice, contact)
    contact.send(alice.user.jid, "did you get it?", request=True)
    sent = contact.next("sent")
    assert contact.next("received")["of"] == sent["id"]
    alice.kill()
    contact.send(alice.user.jid, "and this one?", request=True)
    sent = contact.next("sent")
    alice.start(wait_online=True)
    assert contact.next("received", 30)["of"] == sent["id"]
    again = [e["of"] == sent["id"] for e in contact.quiet(2) if e["ev"] == "received"]
    assert not again, "once, although the archive has the message too"


def test_a_marker_of_ours_reaches_an_independent_client(alice, contact):
    warm_up(alice, contact)
    contact.send(alice.user.jid, "read this", markable=True)
    sent = contact.next("sent")
    assert [m["body"] for m in alice.messages(1)] == ["read this"]
    assert not [e for e in contact.quiet(1) if e["ev"] == "displayed"], "only when it is asked for"
    alice.ok("displayed", contact.user.jid)
    assert contact.next("displayed")["of"] == sent["id"]


def test_a_stranger_gets_neither_receipt_nor_marker(server):
    with Imd(server) as imd, Peer(server, server.user()) as stranger:
        imd.online()
        stranger.send(imd.user.jid, "who are you?", request=True, markable=True)
        assert [m["body"] for m in imd.messages(1)] == ["who are you?"]
        imd.ok("displayed", stranger.user.jid)
        assert not [e for e in stranger.quiet(2) if e["ev"] in ("received", "displayed", "empty")]


# Carbons


def test_two_clients_of_an_account_stay_in_step(archive, alice, contact):
    warm_up(alice, contact)
    with Peer(archive, alice.user, options=["--carbons"]) as second, Follower(alice) as follower:
        # Sent here, seen there.
        contact.quiet(1)
        alice.ok("send", contact.user.jid, "from imd", "--wait", "server")
        copy = second.next("message")
        assert (copy["carbon"], copy["body"], copy["to"]) == ("sent", "from imd", contact.user.jid)
        # Sent there, seen here: in the history, as one's own.
        second.send(contact.user.jid, "from the other client")
        assert contact.next("message")["body"] == "from imd"
        assert contact.next("message")["body"] == "from the other client"

        def own():
            return [e["body"] for e in follower.events if e["direction"] == "out"]

        until(lambda: own() == ["from the other client"], 20, "the copy comes")
        # Received there, seen here.
        contact.send(second.own["jid"], "to the other client only")
        contact.next("sent")
        until(lambda: follower.bodies() == ["to the other client only"], 20, "the copy comes")
        contact.send(alice.user.jid, "to both")
        follower.wait(["to the other client only", "to both"], 20, "to imd")
        time.sleep(1)
        assert own() == ["from the other client"], "once"
    shown = [(m["direction"], m["body"]) for m in alice.call("message.list", chat=contact.user.jid)["messages"]]
    assert shown[2:] == [
        ("out", "from imd"), ("out", "from the other client"), ("in", "to the other client only"), ("in", "to both")]
    check_invariants(alice)


# The outbox


def test_what_waits_is_listed_and_can_be_cancelled_and_tried_again(alice, contact):
    warm_up(alice, contact)
    alice.ok("account", "disconnect", alice.user.jid)
    for body in ("first", "second", "third"):
        alice.ok("send", contact.user.jid, body, "--id", body)
    listed = [json.loads(line) for line in alice.ok("outbox", "list", "--json").splitlines()]
    assert [m["body"] for m in listed] == ["first", "second", "third"]
    assert "second" in alice.ok("outbox", "list")
    alice.ok("outbox", "cancel", "second")
    assert alice.imctl("outbox", "cancel", "never-was").returncode == NOINPUT
    [failed] = alice.call("outbox.list", failed=True)["messages"]
    assert (failed["body"], failed["state"], failed["reason"]) == ("second", "failed", "cancelled")
    alice.ok("account", "connect", alice.user.jid)
    assert [m["body"] for m in contact.messages(2)] == ["first", "third"]
    until(lambda: alice.call("outbox.list")["messages"] == [], 20, "nothing waits")
    assert alice.imctl("outbox", "cancel", "first").returncode == CANTCREAT, "it has left"
    alice.ok("outbox", "retry", "second")
    assert contact.next("message")["body"] == "second"
    assert not [e for e in contact.quiet(2) if e["ev"] == "message"]


def test_the_order_of_a_chat_is_kept_while_offline_and_across_a_restart(alice, bob):
    acquaint(alice, bob)
    alice.ok("account", "disconnect", alice.user.jid)
    bodies = [f"{number}" for number in range(30)]
    for body in bodies[:15]:
        alice.ok("send", bob.user.jid, body)
    alice.kill()
    alice.start()
    for body in bodies[15:]:
        alice.ok("send", bob.user.jid, body)
    with Follower(bob) as follower:
        alice.ok("account", "connect", alice.user.jid)
        for body in ("live one", "live two"):
            alice.ok("send", bob.user.jid, body)
        follower.wait([*bodies, "live one", "live two"], 30, "to bob")
    check_invariants(alice)


def test_a_message_sent_before_the_first_log_in_goes_out_after_it(archive, contact):
    with Imd(archive) as imd:
        archive.pause()
        try:
            done = imd.add_account(options=["--no-wait"])
            assert done.returncode == 0, done.stderr
            imd.ok("send", contact.user.jid, "early bird", "--id", "early")
        finally:
            archive.resume()
        assert contact.next("message", 90)["body"] == "early bird"
        until(lambda: is_online(imd), 30, "online")


def test_an_id_makes_a_send_happen_once_whatever_happens_between(alice, bob):
    acquaint(alice, bob)
    with Follower(bob) as follower:
        for _ in range(3):
            alice.imctl("send", bob.user.jid, "once", "--id", "the-one")
            alice.kill()
            alice.start()
        alice.ok("send", bob.user.jid, "once", "--id", "the-one", "--wait", "delivered", "--timeout", "30")
        alice.ok("send", bob.user.jid, "next")
        follower.wait(["once", "next"], 30, "to bob")


def test_a_stopped_daemon_ends_within_a_second_with_everything_stored(alice, bob):
    acquaint(alice, bob)
    for number in range(20):
        alice.ok("send", bob.user.jid, f"{number}")
    began = time.monotonic()
    alice.stop()
    took = time.monotonic() - began
    alice.start(wait_online=True)
    with Follower(bob) as follower:
        follower.wait([str(number) for number in range(20)], 30, "to bob")
    check_invariants(alice)
    assert took <= 1 + 0.5, took


def test_the_doctor_finds_nothing_wrong_with_a_healthy_daemon(alice):
    done = alice.imctl("doctor")
    assert done.returncode == 0 and "FAIL" not in done.stdout, done
    lines = done.stdout.splitlines()
    assert len(lines) >= 5 and all(line.startswith("ok ") for line in lines), lines
