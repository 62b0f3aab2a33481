"""How a message's states come in, by whom, and what a person can do about one that waits."""

import json
import time

import pytest
from faults import acquaint, warm_up
from harness import CANTCREAT, TEMPFAIL, Api, Imd, Peer, until

pytestmark = pytest.mark.faults


@pytest.fixture
def alice(archive):
    with Imd(archive) as imd:
        yield imd.online()


@pytest.fixture
def bob(archive):
    with Imd(archive) as imd:
        yield imd.online()


@pytest.fixture
def friend(archive):
    with Peer(archive, archive.user(), options=["--carbons"]) as peer:
        yield peer


def states(imd, message_id):
    """Every state the message was told to have, in order."""
    with Api(imd) as api:
        api.call("event.subscribe", since=0, types=["state"])
        return [event["state"] for event in api.events_until_caught_up() if event["id"] == message_id]


def test_every_state_is_an_event_and_can_be_waited_for(alice, bob):
    acquaint(alice, bob)
    for wait in ("queued", "sent", "server", "delivered"):
        alice.ok("send", bob.user.jid, wait, "--id", wait, "--wait", wait, "--timeout", "20")
        until(lambda: states(alice, wait)[-1:] == ["delivered"], 20, "it is delivered in the end")
    bob.messages(4)
    with Api(alice, timeout=40) as api:
        number = api.request("message.send", to=bob.user.jid, body="last", id="last", wait="displayed", timeout=30)
        bob.messages(1)
        bob.ok("displayed", alice.user.jid)
        assert api.answer(number)["result"]["state"] == "displayed"
    assert states(alice, "last") == ["sent", "server", "delivered", "displayed"]
    # Displayed speaks for everything before it (XEP-0333).
    assert all(states(alice, wait)[-1] == "displayed" for wait in ("queued", "sent", "server", "delivered"))


def test_a_timeout_says_how_far_it_came_and_the_message_still_goes_out(archive, alice, tmp_path):
    absent, state = archive.user(), tmp_path / "state.json"
    with Peer(archive, absent, state=state) as peer:
        alice.ok("send", absent.jid, "hello", "--wait", "server")
        peer.next("message")
        peer.stop()
    done = alice.imctl("send", absent.jid, "nobody is there", "--id", "late", "--wait", "delivered", "--timeout", "1")
    assert done.returncode == TEMPFAIL
    assert done.stdout == "late\n"
    assert "server" in done.stderr and "hint: " in done.stderr
    with Peer(archive, absent, state=state) as peer:
        assert peer.next("message", 20)["body"] == "nobody is there"


def test_receipts_and_markers_of_an_independent_client(alice, friend):
    warm_up(alice, friend)
    alice.ok("send", friend.user.jid, "read this", "--id", "m", "--wait", "server")
    came = friend.next("message")
    assert came["request"] and came["markable"]
    friend.answer("received", alice.user.jid, came["id"])
    until(lambda: "delivered" in states(alice, "m"), 10, "its receipt counts")
    friend.answer("displayed", alice.user.jid, came["id"])
    until(lambda: states(alice, "m")[-1] == "displayed", 10, "its marker counts")
    friend.send(alice.user.jid, "and this", request=True, markable=True)
    sent = friend.next("sent")
    assert friend.next("received")["of"] == sent["id"]
    assert [m["body"] for m in alice.messages(1)] == ["and this"]
    alice.ok("displayed", friend.user.jid)
    assert friend.next("displayed")["of"] == sent["id"]


def test_a_stranger_gets_neither_receipt_nor_marker(server):
    with Imd(server) as imd, Peer(server, server.user()) as stranger:
        imd.online()
        stranger.send(imd.user.jid, "who are you?", request=True, markable=True)
        assert [m["body"] for m in imd.messages(1)] == ["who are you?"]
        imd.ok("displayed", stranger.user.jid)
        assert not [e for e in stranger.quiet(2) if e["ev"] in ("received", "displayed", "empty")]


def test_a_second_client_of_the_account_stays_in_step(archive, alice, friend):
    """Carbons both ways: what one client of the account sends and gets the other has too."""
    with Imd(archive, user=alice.user) as second:
        second.online()
        friend.send(alice.user.jid, "to both")
        assert [m["body"] for m in alice.messages(1)] == ["to both"]
        assert [m["body"] for m in second.messages(1)] == ["to both"]
        alice.ok("send", friend.user.jid, "from the first", "--wait", "server")
        assert friend.next("message")["body"] == "from the first"
        until(lambda: "from the first" in second.ok("history", friend.user.jid), 15, "the second has a copy")
        second.ok("send", friend.user.jid, "from the second", "--wait", "server")
        assert friend.next("message")["body"] == "from the second"
        until(lambda: "from the second" in alice.ok("history", friend.user.jid), 15, "the first has a copy")
        rows = [json.loads(line) for line in second.ok("history", friend.user.jid, "--json").splitlines()]
        assert [(m["direction"], m["body"]) for m in rows] == [
            ("in", "to both"), ("out", "from the first"), ("out", "from the second")]
        assert rows[1]["encryption"]["device"] == next(
            d["device"] for d in alice.call("device.list")["devices"] if d["own"])


def test_what_waits_can_be_seen_taken_back_and_tried_again(alice, bob):
    acquaint(alice, bob)
    alice.ok("account", "disconnect", alice.user.jid)
    for number in range(4):
        alice.ok("send", bob.user.jid, f"waiting {number}", "--id", f"w{number}")
    listed = alice.ok("outbox", "list")
    assert [f"w{number}" in listed for number in range(4)] == [True] * 4
    alice.ok("outbox", "cancel", "w1")
    assert "w1" not in alice.ok("outbox", "list")
    assert alice.call("message.get", id="w1")["reason"] == "cancelled"
    alice.ok("account", "connect", alice.user.jid)
    assert [m["body"] for m in bob.messages(3)] == ["waiting 0", "waiting 2", "waiting 3"]
    until(lambda: alice.ok("outbox", "list") == "", 10, "nothing waits any more")
    done = alice.imctl("outbox", "cancel", "w0")
    assert done.returncode == CANTCREAT and "hint: " in done.stderr
    alice.ok("outbox", "retry", "w1")
    assert [m["body"] for m in bob.messages(1)] == ["waiting 1"]


def test_a_message_sent_before_the_first_login_goes_out_with_it(archive, bob):
    with Imd(archive) as imd:
        server, imd.user.password = imd.user.password, "wrong"
        done = imd.add_account(options=["--no-wait"])
        assert done.returncode == 0, done.stderr
        imd.ok("send", bob.user.jid, "early", "--id", "early")
        imd.user.password = server
        imd.online()
        assert [m["body"] for m in bob.messages(1)] == ["early"]
        until(lambda: states(imd, "early")[-1] == "delivered", 20, "it is delivered")


def test_the_order_of_a_chat_is_kept_offline_and_across_a_kill(alice, bob):
    acquaint(alice, bob)
    alice.ok("account", "disconnect", alice.user.jid)
    for number in range(10):
        alice.ok("send", bob.user.jid, f"line {number}", "--id", f"o{number}")
    alice.kill()
    alice.start()
    for number in range(10):  # what a careful script does when it does not know
        alice.ok("send", bob.user.jid, f"line {number}", "--id", f"o{number}")
    alice.ok("send", bob.user.jid, "line 10", "--id", "o10")
    alice.ok("account", "connect", alice.user.jid)
    assert [m["body"] for m in bob.messages(11)] == [f"line {number}" for number in range(11)]
    time.sleep(1)
    assert bob.events(1) == []


def test_shutdown_takes_less_than_a_second_with_everything_committed(alice, bob):
    acquaint(alice, bob)
    with Api(alice) as api:
        numbers = [api.request("message.send", to=bob.user.jid, body=f"m{n}", id=f"m{n}") for n in range(200)]
        for number in numbers:
            assert "result" in api.answer(number)
    began = time.monotonic()
    alice.stop()
    assert time.monotonic() - began < 1
    alice.start(wait_online=True)
    assert [m["body"] for m in bob.messages(200)] == [f"m{n}" for n in range(200)]
