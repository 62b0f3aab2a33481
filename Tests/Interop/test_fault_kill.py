"""imd is killed, at every write and at random: nothing is lost, nothing comes twice (F1)."""

import contextlib
import random
import time
from collections import Counter, defaultdict

import pytest
from faults import (
    TORTURE, Follower, Sender, assert_same, check_invariants, figure, is_online, percentile, randomness, scaled,
    seconds_until, warm_up)
from harness import Imd, Peer, until

pytestmark = pytest.mark.faults

# What changes something outside the process: the database's files, and the socket.
CALLS = ("pwrite64", "fdatasync", "write", "writev", "sendmsg", "ftruncate", "unlink")


@contextlib.contextmanager
def conversation(server):
    with Imd(server, log_level="info") as imd, Peer(server, server.user()) as peer:
        imd.online()
        warm_up(imd, peer)
        yield imd, peer


def received(peer):
    peer.quiet(0.3)
    return [event["body"] for event in peer.seen if event["ev"] == "message"]


def settle(imd, peer, follower, to_peer, to_imd, ordered=True):
    """Both have everything, once, and the invariants hold."""
    imd.ok("status", "--wait", "online", "--timeout", "60")
    until(lambda: len(received(peer)) >= len(to_peer), scaled(60, 300), f"the peer has all {len(to_peer)}")
    follower.wait(to_imd, scaled(60, 300), "to imd")
    peer.quiet(1)
    assert_same(received(peer), to_peer, "to the peer", ordered)
    assert follower.bodies() == to_imd, "nothing comes a second time"
    # The same bytes may come to the peer again, and it says that it had them; everything else is a lost message.
    strange = [e for e in peer.seen if e["ev"] in ("failed", "error") and e.get("cause") not in DUPLICATE]
    assert not strange, strange[:3]
    undecryptable = [e for e in imd.events(1, "--consumer", "all") if e["type"] in ("undecryptable", "gap")]
    assert not undecryptable, undecryptable[:3]
    check_invariants(imd)


DUPLICATE = ("DuplicateMessageException",)


# The sweep


def counting(path):
    return ["strace", "-f", "-D", "-qq", "-o", path, "-e", "trace=" + ",".join(CALLS)]


def killing(call, number):
    """strace counts for each thread and each system call of its own."""
    return ["strace", "-f", "-D", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
            "-e", f"inject={call}:signal=SIGKILL:when={number}"]


def one_life(imd, peer, numbers, waiting, sent):
    """The exchange that is repeated: one message in, one out, until the daemon is dead or both are done."""
    body = f"to imd {next(numbers)}"
    sent["imd"].append(body)
    peer.send(imd.user.jid, body)
    body = f"to peer {next(numbers)}"
    sent["peer"].append(body)
    waiting.append(body)
    deadline = time.monotonic() + 8
    while waiting and imd.process.poll() is None and time.monotonic() < deadline:
        to_peer = waiting[0]
        if Sender(imd, peer.user.jid, ()).try_one(to_peer, to_peer.replace(" ", "-")):
            waiting.pop(0)
        else:
            time.sleep(0.03)
    deadline = time.monotonic() + 0.7
    while imd.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def survey(imd, peer, numbers, waiting, sent):
    """How often a thread calls each of CALLS during one life: what there is to sweep."""
    log = imd.root / "calls"
    imd.process = imd.spawn(counting(log))
    one_life(imd, peer, numbers, waiting, sent)
    imd.kill()
    counts = defaultdict(Counter)
    for line in log.read_text(errors="replace").splitlines():
        thread, _, rest = line.partition(" ")
        call = rest.strip().partition("(")[0]
        if call in CALLS:
            counts[call][thread] += 1
    return {call: max(threads.values()) for call, threads in counts.items()}


def points(most, limit):
    """Every n-th call of every kind; evenly thinned out to `limit`."""
    every = [(call, number) for call, count in sorted(most.items()) for number in range(1, count + 1)]
    if limit is None or len(every) <= limit:
        return every
    return [every[index * len(every) // limit] for index in range(limit)]


@pytest.mark.parametrize("kind, short", [("archive", 24), ("ejabberd", 8)])
def test_a_kill_at_every_write_and_sync_loses_nothing(request, kind, short):
    server = request.getfixturevalue(kind)
    with conversation(server) as (imd, peer), Follower(imd) as follower:
        numbers, waiting, sent = iter(range(1 << 30)), [], {"imd": [], "peer": []}
        imd.stop()
        most = survey(imd, peer, numbers, waiting, sent)
        sweep = points(most, None if TORTURE else short)
        hit = 0
        for call, number in sweep:
            imd.process = imd.spawn(killing(call, number))
            one_life(imd, peer, numbers, waiting, sent)
            hit += imd.process.poll() is not None
            imd.kill()
            check_invariants(imd, captures=False)
        imd.start()
        for body in waiting:
            assert Sender(imd, peer.user.jid, ()).try_one(body, body.replace(" ", "-"))
        # The first message of each sender's life that fails to be accepted is tried again later: order is its own.
        settle(imd, peer, follower, sent["peer"], sent["imd"])
        kinds = ", ".join(f"{call} {count}" for call, count in sorted(most.items()))
        figure("F1", f"{server.script}: {len(sweep)} kill points ({hit} hit) of {sum(most.values())} ({kinds}): 0 lost")
        assert hit >= len(sweep) // 2, "the exchange reaches the points"


# Random moments


@pytest.mark.parametrize("kind, kills", [("archive", scaled(20, 200)), ("ejabberd", scaled(6, 60))])
def test_random_kills_lose_nothing_and_repeat_nothing(request, kind, kills):
    server, chance = request.getfixturevalue(kind), randomness("kills")
    messages = kills * scaled(8, 12)
    to_peer = [f"to peer {number}" for number in range(messages)]
    to_imd = [f"to imd {number}" for number in range(messages)]
    with conversation(server) as (imd, peer), Follower(imd) as follower:
        sender = Sender(imd, peer.user.jid, to_peer, pause=0.03, name="kill")
        sender.start()
        usable = []
        sent = 0
        for number in range(kills):
            share = messages * (number + 1) // kills
            while sent < share:
                peer.send(imd.user.jid, to_imd[sent])
                sent += 1
                time.sleep(chance.uniform(0, 0.08))
            time.sleep(chance.uniform(0, 0.4))
            imd.kill()
            if number % 5 == 0:
                check_invariants(imd, captures=False)
            began = time.monotonic()
            imd.start()
            usable.append(time.monotonic() - began)
        sender.finish()
        settle(imd, peer, follower, to_peer, to_imd)
        figure(
            "F1", f"{server.script}: {kills} random kills, {messages} messages each way: 0 lost, 0 repeated; API usable "
            f"{percentile(usable, 0.5):.2f} s (median), {max(usable):.2f} s (worst) after start")
        if server.script == "prosody":
            afterwards(imd, peer)


def afterwards(imd, peer):
    """The sessions still work, both ways, with a clean restart in between."""
    imd.ok("send", peer.user.jid, "after all kills", "--wait", "server")
    until(lambda: "after all kills" in received(peer), 20, "the peer reads on")
    imd.stop()
    imd.start(wait_online=True)
    peer.send(imd.user.jid, "and back")
    until(lambda: "and back" in [m["body"] for m in imd.messages(1)], 20, "imd reads on")


@pytest.mark.skipif(not TORTURE, reason="part of make torture")
def test_1000_kills_of_an_idle_daemon_leave_it_usable(archive):
    chance = random.Random(1)
    with Imd(archive, log_level="info") as imd:
        imd.online()
        worst = 0
        for number in range(1000):
            imd.kill()
            imd.start()
            time.sleep(chance.uniform(0, 0.6))
            if number % 50 == 0:
                worst = max(worst, seconds_until(lambda: is_online(imd), 30, "online again"))
                check_invariants(imd, captures=False)
        figure("F1", f"1000 kills of an idle daemon: online again within {worst:.2f} s")


def test_a_message_queued_before_a_kill_goes_out_once_after_it(imd, peer):
    imd.ok("send", peer.user.jid, "warm up", "--wait", "server")
    peer.next("message")
    imd.ok("account", "disconnect", imd.user.jid)
    imd.ok("send", peer.user.jid, "queued while offline", "--id", "once")
    imd.kill()
    imd.start()
    imd.ok("account", "connect", imd.user.jid)
    imd.ok("send", peer.user.jid, "queued while offline", "--id", "once", "--wait", "server")
    assert [e["body"] for e in peer.quiet(4) if e["ev"] == "message"] == ["queued while offline"]
