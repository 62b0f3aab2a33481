"""The disk is full, read-only or broken, flips bits, or goes back in time (F6, F7)."""

import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest
from faults import (
    Follower, assert_same, check_invariants, figure, is_online, randomness, reading, scaled, seconds_until, warm_up)
from harness import CONFIG, IOERR, NOPERM, Imd, Peer, assert_explained, until

pytestmark = pytest.mark.faults
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# Disk full, read-only, failing (F6)


@contextlib.contextmanager
def small_disk(server):
    """A daemon whose data folder is an 8 MiB file system."""
    imd = Imd(server)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", imd.data], capture_output=True).returncode == 0
    try:
        if not mounted:
            pytest.skip("cannot mount a small file system here")
        imd.start()
        yield imd.online()
    finally:
        if imd.process and imd.process.poll() is None:
            imd.process.kill()
            imd.process.wait(10)
        if mounted:
            subprocess.run(["umount", "-l", imd.data], check=False)
        imd.__exit__()


def fill(folder):
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 4096):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                pass


def problem(imd):
    """The code of what keeps it from storing, as `daemon.status` tells it."""
    return (imd.call("daemon.status").get("storage") or {}).get("code")


def send_until_refused(imd, peer):
    """What the database had already set aside is used up first. The bodies that were accepted."""
    accepted = []
    for number in range(400):
        body = f"{number} " + "x" * 20_000
        done = imd.imctl("send", peer.user.jid, body)
        if done.returncode != 0:
            assert done.returncode == IOERR, done
            assert_explained(done.stderr)
            return accepted
        accepted.append(body)
    raise AssertionError("the disk was full, and nothing was refused")


def acknowledged(server):
    return sum(server.handled().values())


@as_root
def test_a_full_disk_is_an_error_and_everything_completes_once_there_is_space(archive):
    with small_disk(archive) as imd, Peer(archive, archive.user()) as peer, Follower(imd) as follower:
        warm_up(imd, peer)
        fill(imd.data)
        accepted = send_until_refused(imd, peer)
        incoming = [f"while it was full {number}" for number in range(20)]
        for body in incoming:
            peer.send(imd.user.jid, body)
        for _ in incoming:
            peer.next("sent")
        until(lambda: problem(imd) == "disk-full", 20, "daemon.status names it")
        before = acknowledged(archive)
        done = imd.imctl("send", peer.user.jid, "still full")
        assert done.returncode == IOERR
        assert_explained(done.stderr)
        with reading(imd) as connection:
            stored = connection.execute("SELECT count(*) FROM message WHERE direction = 'in'").fetchone()[0]
        time.sleep(3)
        assert imd.process.poll() is None
        assert acknowledged(archive) - before <= stored, "nothing is acknowledged that is not stored"
        assert imd.call("daemon.status")["pid"] == imd.process.pid
        (imd.data / "filler").unlink()
        took = seconds_until(lambda: len(follower.bodies()) >= len(incoming), 30, "all that waited has come")
        until(lambda: problem(imd) is None, 10, "the trouble is over")
        follower.wait(incoming, 5, "to imd")
        imd.ok("send", peer.user.jid, "after", "--id", "after", "--wait", "server")
        got = [m["body"] for m in peer.messages(len(accepted) + 1)]
        assert_same(got, [*accepted, "after"], "to the peer")
        check_invariants(imd)
        figure("F6", f"8 MiB disk full: 0 lost, complete {took:.1f} s after there was space")
        assert took <= 10


@as_root
def test_a_read_only_disk_is_said_at_start(archive):
    with small_disk(archive) as imd:
        imd.stop()
        subprocess.run(["mount", "-o", "remount,ro", imd.data], check=True)
        status, log = imd.fails_to_start()
        assert status in (IOERR, NOPERM, CONFIG) and "read-only" in log.lower(), log
        assert_explained(log)
        subprocess.run(["mount", "-o", "remount,rw", imd.data], check=True)
        imd.start(wait_online=True)


@as_root
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EROFS"])
def test_writes_that_fail_are_tried_again(archive, error):
    with Imd(archive) as imd, Peer(archive, archive.user()) as peer, Follower(imd) as follower:
        imd.online()
        warm_up(imd, peer)
        with failing_writes(imd, error):
            peer.send(imd.user.jid, "while writes failed")
            peer.next("sent")
            done = imd.imctl("send", peer.user.jid, "cannot be stored")
            assert done.returncode == IOERR, done
            assert_explained(done.stderr)
            time.sleep(1)
            assert imd.process.poll() is None
            assert follower.bodies() == []
        took = seconds_until(lambda: follower.bodies() == ["while writes failed"], 30, "it has come")
        imd.ok("send", peer.user.jid, "stored again", "--wait", "server")
        assert [m["body"] for m in peer.messages(1)] == ["stored again"]
        check_invariants(imd)
        figure("F6", f"writes that fail with {error}: 0 lost, complete {took:.1f} s after they worked again")


@contextlib.contextmanager
def failing_writes(imd, error):
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(imd.process.pid), "-e", "trace=pwrite64",
         "-e", f"inject=pwrite64:error={error}"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        status = f"/proc/{imd.process.pid}/status"
        until(lambda: f"TracerPid:\t{tracer.pid}\n" in open(status).read(), 10, "strace is attached")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


# Flipped bits (F7)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def history(imd, chat):
    return {m["id"]: m for m in imd.call("message.list", chat=chat, limit=1000)["messages"]}


@pytest.fixture
def conversation(archive):
    """A stopped daemon with a closed database that holds a conversation, and what it would show."""
    with Imd(archive, log_level="info") as imd, Peer(archive, archive.user()) as peer:
        imd.online()
        warm_up(imd, peer)
        for number in range(20):
            imd.ok("send", peer.user.jid, f"out {number} " + "y" * 100)
            peer.send(imd.user.jid, f"in {number} " + "z" * 100)
        imd.messages(20)
        peer.messages(20)
        imd.ok("account", "disconnect", imd.user.jid)  # what is under test is what is on disk
        shown = history(imd, peer.user.jid)
        imd.stop()
        connection = sqlite3.connect(imd.database)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        yield imd, peer, shown


def outcome(imd, chat, shown):
    """How one damaged database was met: refused, told, harmless. Raises when it was none of these."""
    before, log = digest(imd.database), len(imd.log())
    imd.process = imd.spawn()
    try:
        until(lambda: imd.process.poll() is not None or answers(imd), 30, "imd answers or ends")
        if imd.process.poll() is not None:
            assert imd.process.returncode in (IOERR, CONFIG), f"{imd.process.returncode}: {imd.log()[log:]}"
            assert_explained(imd.log()[log:])
            assert digest(imd.database) == before, "a refused database is left alone"
            return "refused"
        return examine(imd, chat, shown)
    finally:
        if imd.process.poll() is None:
            imd.kill()


def answers(imd):
    try:
        return imd._listens()
    except AssertionError:
        return False


def examine(imd, chat, shown):
    told = False
    done = imd.imctl("history", chat, "-n", "1000", "--json")
    if done.returncode == 0:
        now = {m["id"]: m for m in imd.call("message.list", chat=chat, limit=1000)["messages"]}
        damaged = {key for key, message in now.items() if message.get("damaged")}
        altered = {key for key in now if key not in damaged and now[key]["body"] != shown.get(key, {}).get("body")}
        told = bool(damaged) or now.keys() != shown.keys()
        silent = altered or (now.keys() != shown.keys() and not damaged and check_is_well(imd))
        assert not silent, f"silently changed: {altered or now.keys() ^ shown.keys()}"
    else:
        assert done.returncode in (IOERR, 70) and "error: " in done.stderr, done
        told = True
    assert imd.process.poll() is None, f"imd died: {imd.process.returncode}\n{imd.log()[-2000:]}"
    return "told" if told or not check_is_well(imd) else "harmless"


def check_is_well(imd):
    checks = imd.call("daemon.check")["checks"]
    return all(check["ok"] for check in checks if check["name"].startswith("database"))


def test_flipped_bits_are_found_or_do_no_harm(conversation):
    imd, peer, shown = conversation
    chance, whole = randomness("bits"), imd.database.read_bytes()
    rounds, outcomes = scaled(50, 1000), []
    for number in range(rounds):
        data = bytearray(whole)
        places = [chance.randrange(len(data)) for _ in range(chance.choice((1, 1, 1, 8, 64)))]
        for place in places:
            data[place] ^= 1 << chance.randrange(8)
        for companion in imd.database.parent.glob("imd.sqlite-*"):
            companion.unlink()
        imd.database.write_bytes(data)
        try:
            outcomes.append(outcome(imd, peer.user.jid, shown))
        except AssertionError as error:
            raise AssertionError(f"round {number}, bytes {places[:8]}: {error}") from error
    counts = ", ".join(f"{outcomes.count(word)} {word}" for word in ("refused", "told", "harmless"))
    figure("F7", f"{rounds} databases with flipped bits: {counts}, 0 silent, 0 crashes")
    for companion in imd.database.parent.glob("imd.sqlite-*"):
        companion.unlink()
    imd.database.write_bytes(whole)
    imd.start()
    imd.ok("account", "connect", imd.user.jid)
    imd.ok("send", peer.user.jid, "the undamaged one works", "--wait", "server")
    assert "the undamaged one works" in [m["body"] for m in peer.messages(1)]


def flip_one(imd, table, column):
    """A bit of one value, so that it is still a value of its kind."""
    with sqlite3.connect(imd.database) as connection:
        where = f"{column} IS NOT NULL"
        value = connection.execute(f"SELECT {column} FROM {table} WHERE {where} LIMIT 1").fetchone()[0]
        data = bytearray(value.encode() if isinstance(value, str) else value)
        data[len(data) // 2] ^= 1
        new = data.decode() if isinstance(value, str) else bytes(data)
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, value))
    connection.close()


def leave_one_in_the_outbox(imd, peer):
    imd.start()
    imd.ok("account", "connect", imd.user.jid)
    imd.ok("send", peer.user.jid, "its keys are known", "--wait", "server")
    imd.server.pause()
    try:
        imd.ok("send", peer.user.jid, "in the outbox")
        imd.kill()
    finally:
        imd.server.kill()  # else it would read what its kernel has taken, once it goes on
        imd.server.restart()


@pytest.mark.parametrize("table, column", [
    ("session", "record"), ("account", "identitySeed"), ("message", "body"), ("outbox", "stanza"),
    ("device", "curve25519"), ("preKey", "privateKey")])
def test_one_flipped_bit_in_a_row_is_told_and_stops_nothing_else(conversation, table, column):
    """SQLite itself sees nothing wrong with it."""
    imd, peer, _ = conversation
    if table == "outbox":
        leave_one_in_the_outbox(imd, peer)
    flip_one(imd, table, column)
    log, before = len(imd.log()), digest(imd.database)
    imd.process = imd.spawn()
    until(lambda: imd.process.poll() is not None or answers(imd), 30, "imd answers or ends")
    if imd.process.poll() is not None:
        assert imd.process.returncode in (IOERR, CONFIG), imd.log()[log:]
        assert_explained(imd.log()[log:])
        assert digest(imd.database) == before, "a refused database is left alone"
        return
    if table == "outbox":  # it is not sent as it is, and the message says why
        until(lambda: [m.get("reason") for m in imd.call("outbox.list", failed=True)["messages"]] == ["damaged"],
              20, "the message has failed")
    else:
        assert not check_is_well(imd), "imctl doctor tells"
        done = imd.imctl("doctor")
        assert done.returncode == 69 and "FAIL" in done.stdout, done
    if table == "message":
        assert any(m.get("damaged") for m in history(imd, peer.user.jid).values())
    if table != "account":
        imd.ok("account", "connect", imd.user.jid)
        until(lambda: is_online(imd), 30, "online in spite of it")
    assert imd.process.poll() is None


def test_an_older_copy_of_the_data_folder_heals(archive):
    with Imd(archive) as imd, Peer(archive, archive.user()) as peer:
        imd.online()
        warm_up(imd, peer)
        imd.stop()
        copy = imd.root / "copy"
        shutil.copytree(imd.data / "imd", copy)
        imd.start(wait_online=True)
        for number in range(10):
            imd.ok("send", peer.user.jid, f"lost out {number}", "--wait", "server")
            peer.send(imd.user.jid, f"lost in {number}")
            peer.next("message")
            imd.messages(1)
        imd.stop()
        shutil.rmtree(imd.data / "imd")
        shutil.copytree(copy, imd.data / "imd")
        imd.start(wait_online=True)
        with Follower(imd) as follower:
            rounds = until_both_ways(imd, peer, follower)
            assert imd.process.poll() is None
            check_invariants(imd, captures=False)  # a key of a chain was used again: that is the damage
            figure("F7", f"an older copy of the data folder: messages flow both ways after {rounds} messages")


def until_both_ways(imd, peer, follower, limit=12):
    for number in range(1, limit + 1):
        imd.ok("send", peer.user.jid, f"heal out {number}", "--wait", "server")
        peer.send(imd.user.jid, f"heal in {number}")
        found = [e["body"] for e in peer.quiet(2) if e["ev"] == "message"]
        if f"heal out {number}" in found and f"heal in {number}" in follower.bodies():
            return number
    raise AssertionError(f"not after {limit}: {peer.seen[-4:]}")
