"""What came while imd was away, from the server's archive (XEP-0313, F9)."""

import threading
import time

import pytest
from faults import (
    Follower, assert_same, check_invariants, figure, is_online, peak, resident, scaled, seconds_until, warm_up)
from harness import Ejabberd, Imd, Peer, Prosody, until

pytestmark = pytest.mark.faults

COUNT = scaled(1000, 10_000)


@pytest.fixture(scope="module")
def paged():
    """Prosody reads its whole archive for every page: with many messages only larger ones leave imd something to do."""
    options = ["--mam", "--mutual", "--capture", "--nodelay", "--archive-page", scaled(50, 250)]
    with Prosody([f"user{number}" for number in range(8)], options) as server:
        yield server


def numbered(count, size=64):
    return [f"#{number} ".ljust(size, "x") for number in range(count)]


def stage(server, imd, peer, count=COUNT):
    """`count` encrypted messages wait in the archive; the daemon is stopped."""
    imd.online()
    warm_up(imd, peer)
    idle = resident(imd)
    imd.stop()
    peer.burst(imd.user.jid, count, 64)
    peer.next("burst", 30 + count / 10)
    return idle


@pytest.mark.parametrize("kind", ["paged", "ejabberd"])
def test_a_backlog_comes_in_order_and_once_while_live_messages_go_on(request, kind):
    server = request.getfixturevalue(kind)
    with Imd(server, log_level="info") as imd, Peer(server, server.user()) as peer:
        idle = stage(server, imd, peer)
        live = [f"live {number}" for number in range(20)]
        with Follower(imd) as follower:
            began = time.monotonic()
            imd.start()

            def go_on():
                for body in live:
                    peer.send(imd.user.jid, body)
                    time.sleep(0.05)

            thread = threading.Thread(target=go_on, daemon=True)
            thread.start()
            until(lambda: len(follower.bodies()) >= COUNT, scaled(60, 600), f"{COUNT} messages")
            took = time.monotonic() - began
            thread.join(60)
            follower.wait([*numbered(COUNT), *live], 60, "to imd")
            until(lambda: is_online(imd), 30, "caught up")
            more = (peak(imd) - idle) / 1024
            check_invariants(imd, captures=False)
        bad = [e for e in imd.events(1, "--consumer", "all") if e["type"] in ("undecryptable", "gap")]
        assert not bad, bad[:3]
        figure(
            "F9", f"{server.script}: {COUNT} messages waiting: all in {took:.1f} s ({COUNT / took:.0f}/s), "
            f"peak memory {more:.0f} MiB above idle")
        assert more <= 50 + 14 and took <= max(30, COUNT / 150)


@pytest.mark.parametrize("kind", ["paged", "ejabberd"])
def test_kills_during_the_catch_up_lose_nothing(request, kind):
    server, kills = request.getfixturevalue(kind), 5
    count = scaled(400, 10_000)
    with Imd(server, log_level="info") as imd, Peer(server, server.user()) as peer:
        stage(server, imd, peer, count)
        with Follower(imd) as follower:
            found = []
            for number in range(kills):
                imd.start()
                goal = count * number // kills + 1
                until(lambda: len(follower.bodies()) >= goal, 120, f"{goal} have come")
                imd.kill()
                check_invariants(imd, captures=False)
                found.append(len(follower.bodies()))
            imd.start()
            follower.wait(numbered(count), scaled(60, 600), "to imd")
            until(lambda: is_online(imd), 60, "caught up")
            time.sleep(1)
            assert len(follower.bodies()) == count
            check_invariants(imd)
        partial = sum(got < count for got in found)
        figure("F9", f"{server.script}: {count} messages waiting, 5 kills, {partial} of them in the middle: 0 lost")


@pytest.mark.parametrize("kind", ["archive", "ejabberd"])
def test_a_first_contact_of_many_messages_is_read_although_they_all_need_one_pre_key(request, kind):
    """The sender's session stays unconfirmed, so each of its messages carries the same key exchange."""
    server = request.getfixturevalue(kind)
    with Imd(server) as imd, Peer(server, server.user()) as peer:
        imd.online()
        imd.stop()
        peer.burst(imd.user.jid, 120, 64)
        peer.next("burst", 60)
        with Follower(imd) as follower:
            imd.start()
            time.sleep(0.3)
            imd.kill()
            imd.start()
            follower.wait(numbered(120), 60, "to imd")
            peer.next("empty", 20)
            peer.send(imd.user.jid, "after that")
            follower.wait([*numbered(120), "after that"], 30, "to imd")
            check_invariants(imd, captures=False)


@pytest.mark.parametrize("wanted", [50, 0, 20])
def test_a_first_login_takes_as_much_history_as_it_is_told_to(archive, wanted):
    settings = {} if wanted == 50 else {"first_login_history": wanted}
    with Imd(archive, settings=settings) as imd, Peer(archive, archive.user()) as peer:
        for number in range(120):
            peer.send(imd.user.jid, f"{number}", plain=True)
        for _ in range(120):
            peer.next("sent")
        time.sleep(1)
        imd.online()
        until(lambda: is_online(imd), 30, "caught up")
        time.sleep(1.5)
        old = [str(number) for number in range(120 - wanted, 120)]
        shown = [m["body"] for m in imd.call("message.list", chat=peer.user.jid, limit=1000)["messages"]]
        assert_same(shown, old, "history")
        with Follower(imd) as follower:
            peer.send(imd.user.jid, "now", plain=True)
            follower.wait(["now"], 20, "what was there before is no news; to imd")


@pytest.mark.parametrize("kind", [Prosody, Ejabberd])
def test_an_archive_that_has_forgotten_where_we_were_is_read_by_time(kind):
    options = ["--mutual", *(["--mam", "--capture", "--nodelay"] if kind is Prosody else [])]
    with kind(["one", "two", "three"], options) as server, Imd(server) as imd, Imd(server) as other:
        imd.online()
        other.online()
        for number in range(5):
            other.ok("send", imd.user.jid, f"before {number}", "--wait", "server")
        imd.messages(5)
        imd.stop()
        server.stop()
        server.forget_archive()
        server.restart()
        bodies = [f"after {number}" for number in range(5)]
        for body in bodies:
            other.ok("send", imd.user.jid, body, "--wait", "server", "--timeout", "60")
        with Follower(imd, types=("message", "gap")) as follower:
            imd.start(wait_online=True)
            until(lambda: len(follower.bodies()) >= 10, 30, "all messages")
            time.sleep(1)
            assert follower.bodies()[5:] == bodies
            gaps = [event for event in follower.events if event["type"] == "gap"]
            # ejabberd's ids are times: it knows what is later than one that it does not have.
            assert [gap["reason"] for gap in gaps] == (["archive-expired"] if kind is Prosody else [])
            check_invariants(imd)


def test_catching_up_is_quick_when_nothing_was_missed(archive):
    with Imd(archive) as imd:
        imd.online()
        until(lambda: is_online(imd), 10, "caught up")
        imd.stop()
        imd.start()
        took = seconds_until(lambda: is_online(imd), 10, "online")
        figure("F9", f"nothing missed: online and caught up {took:.2f} s after start")


def test_what_another_device_sent_while_we_were_away_is_in_the_history(archive):
    with Imd(archive) as imd, Peer(archive, archive.user()) as contact:
        imd.online()
        warm_up(imd, contact)
        with Peer(archive, imd.user) as second:  # it reads the list of its own devices when it starts
            imd.stop()
            second.send(contact.user.jid, "from the other device")
            contact.next("message")
            imd.start(wait_online=True)

        def sent():
            return [m["body"] for m in imd.call("message.list", chat=contact.user.jid)["messages"]
                    if m["direction"] == "out"]

        until(lambda: sent() == ["warm up", "from the other device"], 20, "it is in the history")
        check_invariants(imd)
