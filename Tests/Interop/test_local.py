"""The machine imd runs on: folders, locks, the database, other users (D44)."""

import hashlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess

import pytest
from harness import BIN, CANTCREAT, CONFIG, IOERR, NOPERM, Imd, assert_explained, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# Folders and the lock


def test_D44_files_and_folders_are_private(imd):
    for path in [imd.data / "imd", imd.run / "imd", *(imd.data / "imd").rglob("*"), imd.socket_path]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path}: {mode:o}"


@pytest.mark.parametrize("base", ["run", "data"])
def test_D44_a_folder_open_to_others_is_refused(server, base):
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


@pytest.mark.parametrize("base", ["run", "data"])
def test_D44_a_symbolic_link_in_place_of_a_folder_is_refused(server, base):
    imd = Imd(server)
    try:
        elsewhere = imd.root / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        (getattr(imd, base) / "imd").symlink_to(elsewhere)
        status, log = imd.fails_to_start()
        assert status in (NOPERM, CONFIG)
        assert_explained(log)
        assert list(elsewhere.iterdir()) == []
    finally:
        imd.__exit__()


@as_root
@pytest.mark.parametrize("base", ["run", "data"])
def test_D44_a_folder_of_another_user_is_refused(server, base):
    imd = Imd(server)
    try:
        folder = getattr(imd, base) / "imd"
        folder.mkdir(mode=0o700)
        shutil.chown(folder, "nobody", "nogroup")
        status, log = imd.fails_to_start()
        assert status in (NOPERM, CONFIG)
        assert_explained(log)
        assert list(folder.iterdir()) == []
    finally:
        imd.__exit__()


@pytest.mark.parametrize("name", ["run/imd/imd.sock", "data/imd/lock", "data/imd/imd.sqlite", "data/imd/key"])
def test_D44_a_link_planted_in_place_of_a_file_is_not_followed(server, name):
    """It is replaced, or imd does not start; what it points to stays as it is."""
    imd = Imd(server)
    try:
        victim = imd.root / "victim"
        victim.write_bytes(b"precious")
        (imd.root / name).parent.mkdir(mode=0o700)
        (imd.root / name).symlink_to(victim)
        imd.process = imd.spawn()
        until(lambda: imd.process.poll() is not None or "listening" in imd.log(), 20, "it listens or gives up")
        if imd.process.returncode is None:
            assert not (imd.root / name).is_symlink()
        else:
            assert_explained(imd.log())
        assert victim.read_bytes() == b"precious" and not victim.is_symlink()
    finally:
        imd.__exit__()


def test_D44_without_a_runtime_folder_there_is_no_fallback(server):
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


@pytest.mark.parametrize("fault", ["0777", "link", pytest.param("owner", marks=as_root)])
def test_D44_imctl_talks_to_no_socket_in_a_folder_of_others(fresh, fault):
    folder = fresh.run / "imd"
    if fault == "0777":
        folder.chmod(0o777)
    elif fault == "link":
        folder.rename(fresh.run / "elsewhere")
        folder.symlink_to(fresh.run / "elsewhere")
    else:
        shutil.chown(folder, "nobody", "nogroup")
    done = fresh.imctl("status")
    assert done.returncode == NOPERM, done
    assert_explained(done.stderr)


def test_D44_a_second_imd_for_the_same_user_says_so_and_ends(fresh):
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


# Other users


@as_root
def test_D44_another_user_is_refused_even_when_the_modes_let_it_in(fresh):
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
