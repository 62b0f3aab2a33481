"""imd started by a service manager that holds its socket (sd_listen_fds(3)): no client is ever turned away."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from harness import BIN, CANTCREAT, CONFIG, NOPERM, Imd, assert_explained, die_with_parent, until

# What a service manager does between fork and exec; the pid stays the same.
SHIM = """
import os, sys
count, pid, descriptors, command = sys.argv[1], sys.argv[2], sys.argv[3].split(","), sys.argv[4:]
copies = [os.dup(int(descriptor)) for descriptor in descriptors]
while any(copy < 8 for copy in copies):  # out of the way of what comes
    copies = [os.dup(copy) for copy in copies]
for number, copy in enumerate(copies):
    os.dup2(copy, 3 + number)
os.closerange(3 + len(copies), 256)
os.environ.update(LISTEN_FDS=count, LISTEN_PID=pid or str(os.getpid()), LISTEN_FDNAMES="imd.socket")
os.execv(command[0], command)
"""


def spawn(imd, *sockets, count=None, pid=""):
    numbers = [each.fileno() for each in sockets]
    with imd.log_path.open("ab") as log:
        imd.process = subprocess.Popen(
            [sys.executable, "-c", SHIM, str(count or len(sockets)), pid, ",".join(map(str, numbers)),
             BIN / "imd", "--log-level", "debug"],
            env=imd.environment, pass_fds=numbers, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=die_with_parent)


def fails(imd, *sockets, **options):
    """Its exit status, and what it wrote."""
    before = len(imd.log())
    spawn(imd, *sockets, **options)
    return imd.process.wait(20), imd.log()[before:]


def listen(path, kind=socket.SOCK_STREAM):
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(str(path))
    if kind == socket.SOCK_STREAM:
        listener.listen()
    return listener


@pytest.fixture
def stopped(server):
    """Folders without a daemon, and the socket that a service manager would hold."""
    imd = Imd(server)
    try:
        (imd.run / "imd").mkdir(mode=0o700)
        yield imd
    finally:
        imd.__exit__()


@pytest.fixture
def listener(stopped):
    with listen(stopped.socket_path) as listener:
        yield listener


def ask(imd):
    """A client that has said all it wants before anybody may be there."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(imd.socket_path))
    client.sendall(b'{"jsonrpc":"2.0","id":7,"method":"daemon.status"}\n')
    return client


def answer(client):
    with client, client.makefile("rb") as lines:
        return json.loads(lines.readline())


def test_a_client_that_connected_before_imd_started_gets_its_answer(stopped, listener):
    early = ask(stopped)
    spawn(stopped, listener)
    assert answer(early)["result"]["pid"] == stopped.process.pid
    stopped.ok("status")


def test_the_socket_outlives_imd(stopped, listener):
    inode = stopped.socket_path.stat().st_ino
    spawn(stopped, listener)
    answer(ask(stopped))
    for end in (signal.SIGTERM, signal.SIGKILL):
        first = stopped.process.pid
        stopped.process.send_signal(end)
        stopped.process.wait(20)
        assert stopped.socket_path.stat().st_ino == inode
        between = ask(stopped)
        spawn(stopped, listener)
        assert answer(between)["result"]["pid"] == stopped.process.pid != first


def test_what_imd_starts_sees_neither_variables_nor_descriptors(stopped, listener):
    spawn(stopped, listener)
    seen = stopped.root / "seen"
    command = f"{{ env; ls -l /proc/self/fd; }} > {seen}; echo password"
    stopped.imctl("account", "add", stopped.user.jid, "--password-command", command, "--server", "127.0.0.1:1")
    until(lambda: seen.exists() and "/proc" in seen.read_text(), 20, "the command ran")
    assert "LISTEN_" not in seen.read_text() and "socket:" not in seen.read_text()


def test_a_descriptor_meant_for_somebody_else_is_left_alone(stopped):
    with listen(stopped.root / "else") as other:
        spawn(stopped, other, pid="1")
        until(stopped._listens, 20, "imd listens at its own socket")
        stopped.stop()
    assert not stopped.socket_path.exists(), "its own socket goes with it"


@pytest.mark.parametrize("kind", ["connected", "datagram", "internet", "file"])
def test_something_else_than_a_listening_unix_stream_socket_is_refused(stopped, kind):
    if kind == "connected":
        given, _kept = socket.socketpair()
    elif kind == "datagram":
        given = listen(stopped.socket_path, socket.SOCK_DGRAM)
    elif kind == "internet":
        given = socket.create_server(("127.0.0.1", 0))
    else:
        given = stopped.log_path.open("ab")
    with given:
        status, log = fails(stopped, given)
    assert status == CONFIG, log
    assert_explained(log)


def test_a_socket_at_another_place_is_refused(stopped):
    with listen(stopped.root / "open.sock") as elsewhere:
        status, log = fails(stopped, elsewhere)
    assert status == CONFIG and str(stopped.socket_path) in log
    assert_explained(log)


def test_more_than_one_socket_is_refused(stopped, listener):
    with listen(stopped.run / "imd/second") as second:
        status, log = fails(stopped, listener, second)
    assert status == CONFIG
    assert_explained(log)


def test_variables_that_make_no_sense_are_refused(stopped, listener):
    status, log = fails(stopped, listener, count="many")
    assert status == CONFIG
    assert_explained(log)


def test_the_folder_of_the_socket_is_checked_all_the_same(stopped, listener):
    (stopped.run / "imd").chmod(0o755)
    status, log = fails(stopped, listener)
    assert status == NOPERM
    assert_explained(log)


def test_a_second_imd_does_not_start_with_a_socket_either(stopped, listener):
    spawn(stopped, listener)
    answer(ask(stopped))
    first = stopped.process
    try:
        status, log = fails(stopped, listener)
        assert status == CANTCREAT
        assert_explained(log)
    finally:
        stopped.process = first
    stopped.ok("status")


def test_under_systemd_socket_activate(stopped):
    """The real thing; it starts imd when the first client comes."""
    program = shutil.which("systemd-socket-activate")
    if program is None:
        pytest.skip("systemd-socket-activate is not installed")
    with stopped.log_path.open("ab") as log:
        # It passes few variables on by itself.
        names = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "HOME"]
        passed = [f"--setenv={name}={stopped.environment[name]}" for name in names]
        stopped.process = subprocess.Popen(
            [program, f"--listen={stopped.socket_path}", "--fdname=imd", *passed, BIN / "imd"],
            env=stopped.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
    until(stopped.socket_path.exists, 20, "the socket is there")
    before = os.readlink(f"/proc/{stopped.process.pid}/exe")
    stopped.ok("status")
    assert before != os.readlink(f"/proc/{stopped.process.pid}/exe"), "imd runs in its place"
    stopped.stop()
