"""What was missed is read from the archive: all of it, in order, once (F9, XEP-0313)."""

import threading
import time

import pytest
from faults import (
    Follower, acquaint, check_invariants, figure, is_online, peak, resident, scaled, seconds_until, warm_up)
from harness import Api, Imd, Peer, Prosody, until

pytestmark = pytest.mark.faults

MISSED = scaled(1000, 10_000)
KILLS = 5


@pytest.fixture(scope="module")
def paged():
    """Prosody's default archive reads all of itself for every page; larger pages leave imd something to do."""
    names = [f"user{number}" for number in range(8)]
    options = ["--mam", "--mutual", "--capture", "--nodelay", "--archive-page", "250"]
    with Prosody(names, options) as server:
        yield server


@pytest.fixture(params=["prosody", "ejabberd"])
def large(request):
    return request.getfixturevalue("paged" if request.param == "prosody" else "ejabberd")


def send_all(imd, to, bodies):
    """Over one connection; returns when the server has all of them."""
    with Api(imd, timeout=240) as api:
        def write():
            for number, body in enumerate(bodies):
                api.write(b'{"jsonrpc":"2.0","id":%d,"method":"message.send","params":{"to":"%s","body":"%s"}}\n' % (
                    number, to.encode(), body.encode()))
        writer = threading.Thread(target=write)
        writer.start()
        for _ in bodies:
            answer = api.read()
            assert "result" in answer, answer
        writer.join()
    until(lambda: imd.call("account.list")["accounts"][0]["queued"] == 0, 300, "the server has everything")


@pytest.mark.parametrize("kills", [0, KILLS])
def test_a_backlog_arrives_in_order_and_once_while_live_traffic_goes_on(large, kills):
    with Imd(large, log_level="info") as alice, Imd(large, log_level="info") as bob:
        alice.online()
        bob.online()
        acquaint(alice, bob)
        idle = resident(bob)
        bob.stop()
        missed = [f"missed {number}" for number in range(MISSED)]
        send_all(alice, bob.user.jid, missed)
        live = [f"live {number}" for number in range(20)]
        with Follower(bob) as follower:
            bob.start()
            sender = threading.Thread(target=send_all, args=(alice, bob.user.jid, live))
            sender.start()
            began = time.monotonic()
            for number in range(kills):
                goal = MISSED * (number + 1) // (kills + 1)
                until(lambda: len(follower.bodies()) >= goal, 300, f"{goal} have come")
                bob.kill()
                bob.start()
            follower.wait(missed + live, 300, "to bob")
            took = time.monotonic() - began
            sender.join(60)
            until(lambda: is_online(bob), 60, "caught up")
            assert follower.bodies() == missed + live
            grown = (peak(bob) - idle) / 1024
        check_invariants(bob, captures=False)
        figure(
            "F9", f"{large.script}: {MISSED} missed messages and 20 live ones, {kills} kills: in order, once, "
            f"{took:.1f} s, memory at most {grown:+.1f} MiB")


def test_messages_of_an_independent_client_are_read_from_the_archive(archive):
    with Imd(archive) as imd, Peer(archive, archive.user()) as peer:
        imd.online()
        warm_up(imd, peer)
        imd.stop()
        for number in range(30):
            peer.send(imd.user.jid, f"missed {number}", request=True)
        for _ in range(30):
            peer.next("sent")
        imd.start(wait_online=True)
        assert [m["body"] for m in imd.messages(30)] == [f"missed {number}" for number in range(30)]
        until(lambda: len([e for e in peer.seen + peer.quiet(0.2) if e["ev"] == "received"]) == 30, 20, "30 receipts")
        assert not [e for e in imd.events(1) if e["type"] == "message"]


def test_the_first_login_takes_a_bounded_history_that_is_no_news(archive):
    user = archive.user()
    with Peer(archive, archive.user()) as peer, Imd(archive, user=user) as before:
        before.online()
        for number in range(12):
            peer.send(user.jid, f"old {number}", plain=True)
            peer.next("sent")
        before.messages(12)
        before.stop()
        with Imd(archive, user=user, settings={"first_login_history": 5}) as imd:
            imd.online()
            until(lambda: imd.ok("history", peer.user.jid).count("old") == 5, 15, "five old messages")
            assert imd.events(1) == [], "nothing of it is told as new"
            peer.send(user.jid, "new", plain=True)
            assert [m["body"] for m in imd.messages(1)] == ["new"]


def test_the_first_message_ever_is_news_also_when_it_was_missed(archive):
    """The archive was empty at the first login, so there was no position to keep."""
    with Imd(archive) as imd, Peer(archive, archive.user()) as peer:
        imd.online()
        imd.stop()
        peer.send(imd.user.jid, "first", plain=True)
        peer.next("sent")
        imd.start(wait_online=True)
        assert [m["body"] for m in imd.messages(1)] == ["first"]


def test_an_archive_that_lost_the_position_is_read_by_time_and_says_so():
    with Prosody(["one", "two"], ["--mam", "--mutual", "--nodelay"]) as server:
        with Imd(server) as imd, Peer(server, server.user()) as peer:
            imd.online()
            warm_up(imd, peer)
            imd.stop()
            peer.stop()
            server.stop()
            server.forget_archive()
            server.restart()
            peer.start()
            peer.send(imd.user.jid, "after the loss")
            peer.next("sent")
            imd.start(wait_online=True)
            assert [m["body"] for m in imd.messages(1)] == ["after the loss"]
            with Api(imd) as api:
                api.call("event.subscribe", since=0, types=["gap"])
                assert [e["reason"] for e in api.events_until_caught_up()] == ["archive-expired"]


def test_catching_up_is_quick_when_nothing_was_missed(archive):
    with Imd(archive) as imd:
        imd.online()
        until(lambda: is_online(imd), 10, "caught up")
        imd.stop()
        imd.start()
        figure("F9", f"nothing missed: online and caught up {seconds_until(lambda: is_online(imd), 10, 'online'):.2f} s "
               "after start")
