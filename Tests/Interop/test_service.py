"""imd under a service manager: what it tells (sd_notify(3)), its signs of life, and the units that are shipped."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import BIN, ROOT, Api, Imd, until

# Signs of life are asked for that often, in seconds; imd gives them twice as often.
PATIENCE = 8


class ServiceManager:
    """Somebody to whom imd tells its state: keeps every line, with the time it came."""

    def __init__(self, folder, abstract=False):
        self.name = f"@imd-test-{folder.name}" if abstract else str(folder / "notify")
        self.lines, self.ending = [], threading.Event()

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name.replace("@", "\0"))
        self.socket.settimeout(0.2)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.reader.join(5)
        self.socket.close()

    def read(self):
        while not self.ending.is_set():
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                continue
            self.lines += [(time.monotonic(), line) for line in text.splitlines()]

    def all(self, prefix, since=0.0):
        return [line for at, line in self.lines if line.startswith(prefix) and at > since]

    def wait(self, line, seconds=20, since=0.0):
        until(lambda: line in self.all(line, since), seconds, f"imd tells {line}; it told {self.lines}")

    def signs(self, seconds):
        """How many signs of life come in that time."""
        began = time.monotonic()
        time.sleep(seconds)
        return len(self.all("WATCHDOG=1", began))


@contextmanager
def supervised(server, patience=None, abstract=False, **more):
    """An imd whose manager listens."""
    imd = Imd(server)
    with ServiceManager(imd.root, abstract) as manager:
        try:
            imd.preload["NOTIFY_SOCKET"] = manager.name
            if patience:
                imd.preload["WATCHDOG_USEC"] = str(int(patience * 1_000_000))
            imd.preload.update(more)
            imd.start()
            yield imd, manager
        finally:
            imd.__exit__()


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_is_ready_once_clients_are_answered_and_says_when_it_stops(server, abstract):
    with supervised(server, abstract=abstract) as (imd, manager):
        manager.wait("READY=1")
        imd.ok("status")
        assert manager.all("WATCHDOG") == [], "nobody asked for it"
        imd.stop()
        manager.wait("STOPPING=1")
        order = [line for _, line in manager.lines if not line.startswith("STATUS")]
        assert order == ["READY=1", "STOPPING=1"]


def test_one_that_cannot_start_never_says_that_it_is_ready(server):
    with supervised(server) as (imd, manager):
        manager.wait("READY=1")
        manager.lines.clear()
        assert imd.fails_to_start()[0] != 0, "a second one"
        assert manager.lines == []


def test_its_state_is_one_short_line(server):
    with supervised(server) as (imd, manager):
        manager.wait("STATUS=0 of 0 accounts online")
        imd.online()
        manager.wait("STATUS=1 of 1 accounts online")
        imd.ok("account", "disconnect", imd.user.jid)
        imd.ok("account", "connect", imd.user.jid)
        told = manager.all("STATUS")
        assert all(len(line) < 80 and imd.user.jid not in line for line in told)


@pytest.mark.parametrize("name", ["/nowhere/notify", "@nobody-listens", "relative", "@", "/" + 200 * "x"])
def test_a_manager_that_is_not_there_does_no_harm(server, name):
    imd = Imd(server)
    try:
        imd.preload.update(NOTIFY_SOCKET=name, WATCHDOG_USEC="1000000")
        imd.start()
        imd.ok("status")
        imd.stop()
    finally:
        imd.__exit__()


def test_what_imd_starts_cannot_speak_in_its_name(server):
    with supervised(server, patience=60, WATCHDOG_PID="") as (imd, manager):
        seen = imd.root / "seen"
        imd.imctl(
            "account", "add", imd.user.jid, "--password-command", f"env > {seen}; echo password", "--server",
            "127.0.0.1:1")
        until(lambda: seen.exists() and "HOME=" in seen.read_text(), 20, "the command ran")
        assert not re.search("NOTIFY_|WATCHDOG_", seen.read_text())


def niceness(process):
    """Of every thread, by its number; see proc(5)."""
    found = {}
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        try:
            found[task.name] = int((task / "stat").read_text().rpartition(")")[2].split()[16])
        except FileNotFoundError:  # it ended
            pass
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="others are refused it, so that nothing is to be seen")
def test_no_thread_asks_for_more_of_the_processor_than_other_programs_get(friends):
    """A user's daemon is refused it, and the runtime writes every refusal to the system's log: once at the start, for
    the thread with which Dispatch watches the others, and never again."""
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0
    watchers = {}
    with Imd(friends) as one, Imd(friends) as two:
        one.online()
        two.online()
        for number in range(5):
            one.ok("send", two.user.jid, f"message {number}")
            for imd in (one, two):
                threads = niceness(imd.process)
                eager = [number for number, nice in threads.items() if nice < 0]
                assert threads and len(eager) <= 1 and eager == watchers.setdefault(imd, eager), threads


# Signs of life


def test_signs_of_life_come_twice_as_often_as_necessary_while_a_server_answers(friends):
    with supervised(friends, PATIENCE) as (imd, manager):
        imd.online()
        times = lambda: [at for at, line in manager.lines if line == "WATCHDOG=1"]
        until(lambda: len(times()) >= 4, 6 * PATIENCE, "signs of life")
        gaps = [later - earlier for earlier, later in zip(times(), times()[1:])]
        assert max(gaps) < PATIENCE and min(gaps) > PATIENCE / 4, gaps
        assert imd.call("daemon.status")["accounts"][0]["state"] == "online"


def test_signs_meant_for_another_process_are_not_given(server):
    with supervised(server, 2, WATCHDOG_PID="1") as (imd, manager):
        manager.wait("READY=1")
        assert manager.signs(4) == 0


def test_a_server_that_falls_silent_is_left_and_imd_lives_on(friends):
    with supervised(friends, PATIENCE) as (imd, manager):
        imd.online()
        manager.wait("WATCHDOG=1")
        friends.pause()
        try:
            until(lambda: imd.call("daemon.status")["accounts"][0]["state"] != "online", 2 * PATIENCE, "it is noticed")
            assert "the server is silent" in imd.log()
            assert manager.signs(2 * PATIENCE) >= 3
        finally:
            friends.resume()
        imd.ok("status", "--wait", "online", "--timeout", "60")
        assert manager.signs(PATIENCE) >= 1
        assert "no sign of life" not in imd.log()


def test_an_account_without_network_is_no_reason_to_end_imd(server):
    with supervised(server, 4) as (imd, manager):
        imd.add_account(server="127.0.0.1:1", options=["--no-wait"])
        assert manager.signs(10) >= 3


def test_a_writer_that_does_not_come_back_ends_the_signs_of_life(friends):
    with supervised(friends, PATIENCE) as (imd, manager):
        imd.online()
        manager.wait("WATCHDOG=1")
        with hanging("pwrite64", imd, "-f", "-p", str(imd.process.pid)), Api(imd) as api:
            api.request("message.send", to="nobody@imd.test", body="never stored")
            until(lambda: "no sign of life" in imd.log(), 3 * PATIENCE, "imd notices")
            assert "the database" in imd.log()
            assert manager.signs(2 * PATIENCE) == 0


def test_a_stream_that_hears_nothing_and_cannot_be_left_ends_the_signs_of_life(friends):
    with supervised(friends, PATIENCE) as (imd, manager):
        imd.online()
        manager.wait("WATCHDOG=1")
        # The threads that serve sockets.
        tasks = Path(f"/proc/{imd.process.pid}/task").iterdir()
        loops = [task.name for task in tasks if (task / "comm").read_text().startswith("NIO-")]
        assert loops
        attached = [word for loop in loops for word in ("-p", loop)]
        with hanging("epoll_wait,epoll_pwait", imd, *attached):
            until(lambda: "no sign of life" in imd.log(), 4 * PATIENCE, "imd notices")
            assert f"account {imd.user.jid}" in imd.log() and "the database" not in imd.log()
            assert manager.signs(2 * PATIENCE) == 0


@contextmanager
def hanging(calls, imd, *threads):
    """These system calls of these threads do not return."""
    tracer = subprocess.Popen(
        ["strace", "-qq", *threads, "-o", "/dev/null", "-e", f"trace={calls}", "-e",
         f"inject={calls}:delay_enter=600s"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        tasks = Path(f"/proc/{imd.process.pid}/task")
        until(lambda: any(traced(task) for task in tasks.iterdir()), 20, "strace is attached")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


def traced(task):
    return "TracerPid:\t0\n" not in (task / "status").read_text()


def test_a_stopped_imd_gives_no_sign_of_life(server):
    with supervised(server, 2) as (imd, manager):
        manager.wait("WATCHDOG=1")
        imd.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(0.5)
            assert manager.signs(3) == 0
        finally:
            imd.process.send_signal(signal.SIGCONT)
        assert manager.signs(4) >= 1


# The units


@pytest.fixture
def units(tmp_path):
    """The units as they are installed, with the imd of these tests."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    folder, run = tmp_path / "units", tmp_path / "run"
    folder.mkdir()
    run.mkdir(mode=0o700)
    for source in (ROOT / "systemd").iterdir():
        text = source.read_text().replace("@bindir@", str(BIN))
        (folder / source.name.removesuffix(".in")).write_text(text)
    yield folder


def analyze(units, *arguments):
    return subprocess.run(
        ["systemd-analyze", "--user", *arguments], capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(units.parent / "run"), "HOME": str(units.parent),
             "SYSTEMD_UNIT_PATH": f"{units}:"})


def test_systemd_finds_nothing_wrong_with_the_units(units):
    names = sorted(units.iterdir())
    assert {"imd.service", "imd.socket"} <= {path.name for path in names}
    done = analyze(units, "--man=no", "verify", *names)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_has_what_a_user_manager_can_take_away(units):
    # systemd counts as if it ran as root, with every capability that a user's service never has.
    done = analyze(units, "--no-pager", "--offline=true", "--threshold=66", "security", units / "imd.service")
    assert done.returncode == 0, done.stdout


def test_the_credential_of_the_example_is_one_that_systemd_knows(units):
    service = units / "imd.service"
    service.write_text(service.read_text().replace("#LoadCredential=", "LoadCredential="))
    assert "\nLoadCredential=imd-key:" in service.read_text()
    done = analyze(units, "--man=no", "verify", service)
    assert (done.returncode, done.stderr) == (0, "")


def test_imd_and_what_it_runs_need_no_system_call_that_the_unit_takes_away(units, server):
    allowed = system_calls(units, re.findall("^SystemCallFilter=(@[a-z-]+)$", (units / "imd.service").read_text(), re.M))
    imd = Imd(server)
    used = imd.root / "calls"
    try:
        imd.start(tracer=["strace", "-qq", "-f", "-c", "-U", "name", "-o", used])
        imd.ok(
            "account", "add", imd.user.jid, "--password-command", f"sleep 0.1; echo {imd.user.password} | cat",
            "--server", server.address, "--ca-file", server.ca)
        daemon = int(subprocess.run(
            ["pgrep", "-P", str(imd.process.pid)], capture_output=True, text=True, check=True).stdout.split()[0])
        subprocess.run(["kill", str(daemon)], check=True)
        imd.process.wait(20)
        calls = {word for word in used.read_text().split() if word.isidentifier()} - {"syscall", "total"}
    finally:
        imd.__exit__()
    assert {"socket", "pwrite64", "execve", "clock_nanosleep"} <= calls
    assert calls - allowed == set()


def system_calls(units, groups):
    """What the groups stand for in the end."""
    found, waiting, done = set(), list(groups), set()
    assert waiting
    while waiting:
        group = waiting.pop()
        done.add(group)
        listing = analyze(units, "--no-pager", "syscall-filter", group)
        assert listing.returncode == 0, listing.stderr
        names = [line.strip() for line in listing.stdout.splitlines()[1:] if not line.strip().startswith("#")]
        found |= {name for name in names if not name.startswith("@")}
        waiting += [name for name in names if name.startswith("@") and name not in done]
    return found
