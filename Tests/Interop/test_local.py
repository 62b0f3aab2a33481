"""The machine imd runs on: folders, locks, the database, other users, secrets, the terminal."""

import hashlib
import os
import pty
import select
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from pathlib import Path

import pytest
from harness import BIN, CANTCREAT, CONFIG, IOERR, NOPERM, Imd, assert_explained, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# Folders and the lock


def test_files_and_folders_are_private(imd):
    for path in [imd.data / "imd", imd.run / "imd", *(imd.data / "imd").rglob("*"), imd.socket_path]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path}: {mode:o}"


@pytest.mark.parametrize("base", ["run", "data"])
def test_a_folder_open_to_others_is_refused(server, base):
    imd = Imd(server)
    try:
        folder = getattr(imd, base) / "imd"
        folder.mkdir()
        folder.chmod(0o777)
        status, log = imd.fails_to_start()
        assert status in (NOPERM, CONFIG)
        assert_explained(log)
    finally:
        imd.__exit__()


def test_a_symbolic_link_in_place_of_the_socket_folder_is_refused(server):
    imd = Imd(server)
    try:
        elsewhere = imd.root / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        (imd.run / "imd").symlink_to(elsewhere)
        status, log = imd.fails_to_start()
        assert status in (NOPERM, CONFIG)
        assert_explained(log)
        assert list(elsewhere.iterdir()) == []
    finally:
        imd.__exit__()


def test_without_a_runtime_folder_there_is_no_fallback(server):
    imd = Imd(server)
    try:
        del imd.environment["XDG_RUNTIME_DIR"]
        status, log = imd.fails_to_start()
        assert status == CONFIG
        assert_explained(log)
        done = imd.imctl("status")
        assert done.returncode == CONFIG
        assert_explained(done.stderr)
    finally:
        imd.__exit__()


def test_imctl_does_not_talk_to_a_socket_in_a_folder_of_others(fresh):
    (fresh.run / "imd").chmod(0o777)
    done = fresh.imctl("status")
    assert done.returncode == NOPERM, done
    assert_explained(done.stderr)


def test_a_second_imd_for_the_same_user_says_so_and_ends(fresh):
    status, log = fresh.fails_to_start()
    assert status == CANTCREAT and "already running" in log
    assert_explained(log)
    fresh.ok("status")


def test_a_stale_socket_after_a_kill_is_no_obstacle(fresh):
    fresh.kill()
    assert fresh.socket_path.exists()
    fresh.start()
    fresh.ok("status")


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_imd_ends_cleanly(imd, signal_name):
    imd.process.send_signal(getattr(signal, signal_name))
    assert imd.process.wait(20) == 0
    assert not imd.socket_path.exists()


@pytest.mark.parametrize(
    "text", ['log-level = "loud"\n', "log-level = 3\n", 'unknown-key = "x"\n', "not toml", '\xff', "event-days = 0\n",
     "event-limit = 10\n", 'first-login-history = "all"\n'],
    ids=["value", "type", "key", "syntax", "utf-8", "days", "limit", "history"])
def test_a_wrong_configuration_file(server, text):
    imd = Imd(server)
    try:
        (imd.config / "imd").mkdir(mode=0o700)
        (imd.config / "imd/config.toml").write_bytes(text.encode("latin-1"))
        status, log = imd.fails_to_start()
        assert status == CONFIG and "config.toml" in log and "error:" in log
    finally:
        imd.__exit__()


# The database


def database(imd):
    return imd.data / "imd/imd.sqlite"


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("header", [True, False], ids=["header", "all but the first page"])
def test_a_corrupt_database_is_refused_and_left_alone(imd, header):
    imd.stop()
    connection = sqlite3.connect(database(imd))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()  # the last one to close takes the write-ahead log away
    with database(imd).open("r+b") as file:
        file.seek(0 if header else 4096)
        file.write(os.urandom(4096 if header else database(imd).stat().st_size - 4096))
    before = digest(imd.data / "imd")[database(imd).name]
    status, log = imd.fails_to_start()
    assert status == IOERR
    assert_explained(log)
    assert digest(imd.data / "imd")[database(imd).name] == before


def test_a_newer_database_is_refused_and_left_alone(imd):
    imd.stop()
    with sqlite3.connect(database(imd)) as connection:
        connection.execute("INSERT INTO grdb_migrations (identifier) VALUES ('9999 from the future')")
    connection.close()
    status, log = imd.fails_to_start()
    assert status in (IOERR, CONFIG) and "newer" in log
    assert_explained(log)
    with sqlite3.connect(database(imd)) as connection:
        connection.execute("DELETE FROM grdb_migrations WHERE identifier = '9999 from the future'")
    connection.close()
    imd.start(wait_online=True)


# Other users and secrets


@as_root
def test_another_user_is_refused_even_when_the_modes_let_it_in(fresh):
    imd = fresh
    for folder in (imd.root, imd.run, imd.run / "imd"):
        folder.chmod(0o711)
    imd.socket_path.chmod(0o666)
    program = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]);"
        "s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.status\"}\\n'); print(s.recv(65536).decode())")
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, str(imd.socket_path)], user="nobody", group="nogroup", cwd="/",
        capture_output=True, text=True, timeout=30)
    assert '"result"' not in done.stdout, done.stdout
    assert "Permission" not in done.stderr, "the test must get as far as the socket"
    for folder in (imd.run / "imd", imd.run, imd.root):
        folder.chmod(0o700)
    imd.ok("status")


def test_text_and_password_are_in_no_log_no_argument_and_no_environment(server, peer):
    user = server.user()
    with Imd(server, user, log_level="trace") as imd:
        imd.online()
        imd.ok("send", peer.user.jid, "canary-out-91c4", "--wait", "server")
        peer.next("message")
        peer.send(user.jid, "canary-in-91c4")
        imd.messages(1)
        imd.ok("encryption", peer.user.jid, "--optional")
        imd.ok("send", peer.user.jid, "canary-plain-91c4", "--plaintext", "--wait", "server")
        peer.send(user.jid, "canary-plain-in-91c4", plain=True)
        imd.messages(1)
        process = Path(f"/proc/{imd.process.pid}")
        cmdline = (process / "cmdline").read_bytes()
        try:
            environment = (process / "environ").read_bytes()
        except PermissionError:
            environment = b""  # not dumpable: nobody but root reads it
        everything = imd.log().encode() + cmdline + environment
        assert user.jid in imd.log(), "the log is the one of this account"
        for canary in (b"91c4", user.password.encode()):
            assert canary not in everything


def test_no_core_dump_and_not_traceable_by_the_same_user(fresh):
    process = Path(f"/proc/{fresh.process.pid}")
    [line] = [line for line in (process / "limits").read_text().splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
    if os.geteuid() == 0:
        return  # root may look at everything; and owns everything
    assert (process / "environ").stat().st_uid == 0, "a process that cannot be dumped belongs to root in /proc"
    with pytest.raises(PermissionError):
        (process / "mem").open("rb")


@as_root
def test_a_process_of_the_same_user_cannot_read_the_memory_of_imd(server):
    """As root everything is readable, so imd runs as another user here."""
    imd = Imd(server)
    try:
        for path in (imd.root, imd.config, imd.data, imd.run):
            shutil.chown(path, "nobody", "nogroup")
        binary = imd.root / "imd-copy"
        shutil.copy(BIN / "imd", binary)
        binary.chmod(0o755)
        with (imd.root / "imd.log").open("ab") as log:
            imd.process = subprocess.Popen(
                [binary], env=imd.environment, user="nobody", group="nogroup", extra_groups=[], cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(imd._listens, 30, "imd listens")
        done = subprocess.run(
            ["/usr/bin/head", "-c", "1", f"/proc/{imd.process.pid}/environ"], user="nobody", group="nogroup",
            extra_groups=[], capture_output=True, text=True, timeout=10)
        assert done.returncode != 0 and "denied" in done.stderr
    finally:
        imd.__exit__()


# The terminal


def on_a_terminal(imd, *arguments):
    """The bytes imctl writes when its standard output is a terminal."""
    controller, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [BIN / "imctl", *arguments], env={**imd.environment, "TERM": "xterm"}, stdin=subprocess.DEVNULL,
            stdout=terminal, stderr=terminal)
        os.close(terminal)
        shown = b""
        while select.select([controller], [], [], 30)[0]:
            try:
                data = os.read(controller, 65536)
            except OSError:  # the last writer has closed it
                break
            if not data:
                break
            shown += data
        process.wait(30)
        return shown
    finally:
        os.close(controller)


def test_text_of_others_cannot_steer_a_terminal(imd, peer):
    hostile = "start \x1b]52;c;aGk=\x07 \x9b2J over\rwritten \x7f \u202egnp.exe end"
    peer.send(imd.user.jid, hostile)
    [message] = imd.messages(1)
    assert message["body"] == hostile, "JSON carries it unchanged"
    for arguments in (["history", peer.user.jid], ["receive", "--since", str(message["number"] - 1)]):
        shown = on_a_terminal(imd, *arguments)
        text = shown.decode()
        assert "start" in text and "end" in text, text
        assert "\x1b]52" not in text and "\x9b" not in text and "\x07" not in text and "\x7f" not in text
        assert "\u202e" not in text
        assert "\r" not in text.replace("\r\n", "\n")
