"""The wall clock jumps while imd runs (F8); the monotonic clocks do not, as when somebody sets the time."""

import time
from pathlib import Path

import pytest
from faults import Follower, check_invariants, figure, is_online, reading, scaled, warm_up
from harness import LEGACY, Imd, Peer, until

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)

PRELOAD = {
    "LD_PRELOAD": str(LIBRARY), "FAKETIME_NO_CACHE": "1",
    "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

pytestmark = [
    pytest.mark.faults, pytest.mark.skipif(LIBRARY is None, reason="needs Debian's package libfaketime")]


def set_clock(imd, offset):
    """Written beside and moved: the library reads the file at every call."""
    new = imd.root / "clock.new"
    new.write_text(offset + "\n")
    new.replace(imd.root / "clock")


def signed_pre_key(imd):
    with reading(imd) as connection:
        return connection.execute("SELECT max(id) FROM signedPreKey").fetchone()[0]


def stamp(imd):
    """The wall clock of the daemon, as its newest event tells it."""
    return imd.call("message.list", chat=imd.correspondent, limit=1)["messages"][-1]["at"]


@pytest.mark.parametrize("jumps", [["+1d", "-1d", "+0"], ["+10y", "-10y", "+0"]], ids=["a day", "ten years"])
def test_the_clock_may_jump(archive, jumps):
    with Imd(archive) as imd, Peer(archive, archive.user()) as peer:
        imd.correspondent = peer.user.jid
        set_clock(imd, "+0")
        imd.preload = PRELOAD | {"FAKETIME_TIMESTAMP_FILE": str(imd.root / "clock")}
        imd.stop()
        imd.start()
        imd.online()
        warm_up(imd, peer)
        first, before = signed_pre_key(imd), logins(archive, imd)
        with Follower(imd, types=("message", "account")) as follower:
            expected, seen = [], set()
            for number, jump in enumerate(jumps):
                set_clock(imd, jump)
                time.sleep(scaled(2, 45))  # timers are due, in the long form those for a dead connection too
                for turn in range(scaled(5, 60)):
                    body = f"{number}.{turn}"
                    peer.send(imd.user.jid, f"in {body}")
                    imd.ok("send", peer.user.jid, f"out {body}", "--wait", "server", "--timeout", "30")
                    assert peer.next("message")["body"] == f"out {body}"
                    expected.append(f"in {body}")
                    until(lambda: len(follower.bodies()) == len(expected), 30, f"message {body} comes")
                seen.add(stamp(imd)[:10])
                assert imd.process.poll() is None and is_online(imd)
            assert follower.bodies() == expected
            numbers = [event["number"] for event in follower.events]
            assert numbers == sorted(set(numbers))
        assert len(seen) >= 2, f"the clock did jump: {seen}"
        reconnects, rotations = logins(archive, imd) - before, signed_pre_key(imd) - first
        check_invariants(imd)
        figure("F8", f"clock {', '.join(jumps)}: {reconnects} reconnects, {rotations} key rotations, 0 lost")
        assert reconnects <= 1 and rotations <= 1


def test_the_signed_pre_key_is_renewed_on_a_living_stream(archive):
    """Nobody logs in anew for a week: the key changes all the same, and the contacts find the new one."""
    with Imd(archive) as imd, Peer(archive, archive.user()) as peer:
        set_clock(imd, f"-{7 * 86400 - 40}")
        imd.preload = PRELOAD | {"FAKETIME_TIMESTAMP_FILE": str(imd.root / "clock")}
        imd.stop()
        imd.start()
        imd.add_account(options=["--no-wait"])  # its keys are nearly a week old by now
        imd.stop()
        imd.preload = {}
        imd.start(wait_online=True)
        first, before = signed_pre_key(imd), logins(archive, imd)
        until(lambda: signed_pre_key(imd) == first + 1, 90, "the key is renewed")
        node = f"{LEGACY}.bundles:{imd.device()}"
        published = lambda: str(peer.do("fetch", jid=imd.user.jid, node=node)["items"])
        until(lambda: f'signedPreKeyId="{first + 1}"' in published(), 20, "it is published")
        assert first == 1 and logins(archive, imd) == before
        peer.send(imd.user.jid, "to the new key")
        assert [m["body"] for m in imd.messages(1)] == ["to the new key"]


def logins(server, imd):
    name = imd.user.jid.split("@")[0]
    return (server.folder / "prosody.log").read_text().count(f"Authenticated as {name}@")
