"""What lies on the disk: nothing secret in clear, and the key that opens it comes from where it was said to."""

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import time

import pytest
from harness import BIN, Imd, Peer, assert_explained, die_with_parent, until

CONFIG = 78


def files(imd):
    """The bytes of the database and its log."""
    found = (imd.database.with_name(imd.database.name + end) for end in ("", "-wal"))
    return b"".join(path.read_bytes() for path in found if path.exists())


def key_file(imd):
    return imd.database.with_name("key")


def configure_key(imd, origin):
    (imd.config / "imd").mkdir(mode=0o700, exist_ok=True)
    (imd.config / "imd/config.toml").write_text(f'[storage]\nkey = "{origin}"\n')


def test_no_password_stands_in_the_files_and_the_key_file_is_the_users_alone(server, peer):
    with Imd(server) as imd:
        imd.online()
        imd.ok("send", peer.user.jid, "hello", "--wait", "server")
        assert imd.user.password.encode() not in files(imd)
        assert key_file(imd).stat().st_mode & 0o777 == 0o600
        assert key_file(imd).stat().st_size == 32
        limits = open(f"/proc/{imd.process.pid}/limits").read()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize("fault", ["missing", "open", "another", "short", "link"])
def test_a_key_file_that_is_not_the_one_is_refused_and_left_alone(server, fault):
    with Imd(server) as imd:
        imd.online()
        imd.stop()
        key, before = key_file(imd), key_file(imd).read_bytes()
        kept = files(imd)
        if fault == "missing":
            key.rename(key.with_name("elsewhere"))
        elif fault == "open":
            key.chmod(0o644)
        elif fault == "another":
            key.write_bytes(bytes(32))
        elif fault == "short":
            key.write_bytes(before[:31])
        else:
            key.rename(key.with_name("elsewhere"))
            key.symlink_to("elsewhere")
        status, text = imd.fails_to_start()
        assert status == CONFIG, text
        assert_explained(text)
        assert fault != "missing" or not key.exists(), "another key would be of no use"
        assert files(imd) == kept
        key.unlink(missing_ok=True)
        key.write_bytes(before)
        key.chmod(0o600)
        imd.start(wait_online=True)


def test_a_copy_of_the_database_alone_opens_for_nobody(server, tmp_path):
    with Imd(server) as imd, Imd(server) as other:
        imd.online()
        imd.stop(), other.stop()
        shutil.copy(imd.database, other.database)
        status, text = other.fails_to_start()
        assert status == CONFIG and "key" in text, text


def test_the_key_comes_from_a_credential_and_from_a_file_again(server, tmp_path):
    with Imd(server) as imd:
        imd.online()
        imd.stop()
        (tmp_path / "imd-key").write_bytes(bytes(range(32)))
        imd.preload = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
        change_key(imd, "credential")
        status, text = imd.fails_to_start()
        assert status == CONFIG and "--change-key" in text, "config.toml still says file"
        configure_key(imd, "credential")
        imd.start(wait_online=True)
        imd.stop()
        (tmp_path / "imd-key").write_bytes(bytes(32))
        assert imd.fails_to_start()[0] == CONFIG
        (tmp_path / "imd-key").write_bytes(bytes(range(32)).hex().encode() + b"\n")
        change_key(imd, "file")
        configure_key(imd, "file")
        imd.preload = {}
        imd.start(wait_online=True)


@contextlib.contextmanager
def keyring(imd):
    """A session bus and an unlocked keyring on it, for this daemon alone."""
    processes = []
    try:
        bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address"], env=imd.environment,
            stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        processes.append(bus)
        imd.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"], env=imd.environment,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=die_with_parent)
        processes.append(daemon)
        daemon.stdin.write("the keyring's password")
        daemon.stdin.close()
        until(lambda: secret_tool(imd, "lookup", "service", "nothing").stderr == "", 20, "the keyring answers")
        yield daemon
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait(10)


def secret_tool(imd, *arguments):
    return subprocess.run(
        ["secret-tool", *arguments], env=imd.environment, capture_output=True, text=True, timeout=30)


def test_the_key_comes_from_the_secret_service(server):
    with Imd(server) as imd, keyring(imd) as daemon:
        imd.online()
        imd.stop()
        change_key(imd, "secret-service")
        configure_key(imd, "secret-service")
        imd.start(wait_online=True)
        imd.stop()
        found = secret_tool(imd, "search", "service", "imd")
        assert "label = imd" in found.stdout, found
        secret = next(line for line in found.stdout.splitlines() if line.startswith("secret = "))
        assert secret.removeprefix("secret = ").encode() not in files(imd)
        daemon.kill()
        daemon.wait(10)
        status, text = imd.fails_to_start()
        assert status == CONFIG and "Secret Service" in text, text
        assert_explained(text)


def change_key(imd, origin):
    done = subprocess.run(
        [BIN / "imd", "--change-key", origin], env={**imd.environment, **imd.preload}, capture_output=True,
        text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_passphrase_is_asked_for_on_the_terminal(server):
    with Imd(server) as imd:
        imd.online()
        imd.stop()
        shown = on_terminal(imd, ["--change-key", "passphrase"], ["open sesame", "open sesame"])
        assert b"open sesame" not in shown, "nobody looks over the shoulder"
        configure_key(imd, "passphrase")
        status, text = imd.fails_to_start()
        assert status == CONFIG and "terminal" in text
        assert b"open sesame" not in files(imd)
        assert b"locked" not in on_terminal(imd, [], ["open sesame"], listening=imd.socket_path)
        shown = on_terminal(imd, [], ["close sesame"])
        assert b"not the one that seals it" in shown, shown


def on_terminal(imd, arguments, answers, listening=None):
    """Runs imd on a terminal of its own and types the answers; ends it once it listens. What it showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(BIN / "imd", [str(BIN / "imd"), *arguments], imd.environment)
    shown, deadline = b"", time.monotonic() + 60
    try:
        os.set_blocking(terminal, False)
        while time.monotonic() < deadline:
            try:
                shown += os.read(terminal, 4096)
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                break
            if answers and shown.rstrip().endswith(b":"):
                os.write(terminal, answers.pop(0).encode() + b"\n")
                shown += b"\n"
            if listening and b"listening" in shown:
                os.kill(process, signal.SIGTERM)
                listening = None
        return shown
    finally:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(process, 0)
        os.close(terminal)
