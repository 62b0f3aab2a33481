"""Texts, passwords and keys: in no log, argument or environment (D42), in no core dump, in nobody's reach (D43)."""

import base64
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from harness import BIN, DATAERR, LEGACY, Api, Imd, die_with_parent, until
from test_at_rest import configure_key, keyring, secret_tool

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

MARK = "91c4"  # in every canary


def execs(imd):
    """strace that writes down, as the call is made, each program with all its arguments and its whole environment."""
    return ["strace", "-f", "-D", "-qq", "-v", "-s", "65536", "-o", imd.root / "execs", "-e", "trace=execve"]


class Scene:
    """Runs imctl and keeps what it wrote to standard error; what it got came by standard input or a descriptor."""

    def __init__(self, imd):
        self.imd, self.errors = imd, ""

    def imctl(self, *arguments, secret=None, stdin=""):
        descriptors = []
        if secret is not None:
            read, write = os.pipe()
            os.write(write, secret.encode() + b"\n")
            os.close(write)
            descriptors, arguments = [read], (*arguments, "--passphrase-fd", str(read))
        done = subprocess.run(
            [BIN / "imctl", *map(str, arguments)], env=self.imd.environment, input=stdin, capture_output=True, text=True,
            timeout=90, pass_fds=descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self.errors += done.stderr
        return done


def talk(scene, peer):
    """Messages each way, encrypted and not, refused, broken and with the key of a file."""
    imd, to = scene.imd, peer.user.jid
    scene.imctl("send", to, "--wait", "server", stdin=f"canary-out-{MARK}")
    peer.next("message")
    peer.send(imd.user.jid, f"canary-in-{MARK}")
    peer.send(imd.user.jid, f"canary-omemo2-{MARK}", version="omemo2")
    peer.send(imd.user.jid, f"aesgcm://files.example/x.png#canary-fragment-{MARK}")
    imd.messages(3)
    assert scene.imctl("send", to, "--plaintext", stdin=f"canary-refused-{MARK}").returncode == 77
    scene.imctl("encryption", to, "--optional")
    scene.imctl("send", to, "--plaintext", "--wait", "server", stdin=f"canary-plain-{MARK}")
    assert scene.imctl("send", to, stdin=f"canary-too-long-{MARK}" * 5000).returncode == DATAERR
    peer.send(imd.user.jid, f"canary-plain-in-{MARK}", plain=True)
    imd.messages(1)
    garbage = base64.b64encode(f"canary-garbage-{MARK}".encode()).decode()
    peer.do("raw", xml=(
        f"<message to='{imd.user.jid}' type='chat' id='g'><encrypted xmlns='{LEGACY}'><header sid='{peer.own['device']}'>"
        f"<key rid='{imd.device()}'>{garbage}</key><iv>AAAAAAAAAAAAAAAA</iv></header><payload>AAAA</payload></encrypted>"
        f"<body>canary-fallback-{MARK}</body></message>"))
    until(lambda: imd.told("undecryptable"), 20, "it cannot be read")
    scene.imctl("history", to)
    scene.imctl("events", "--since", "0")


def misuse(imd):
    """Requests that fail, with canaries in them."""
    with Api(imd) as api:
        for line in (f'{{"canary-{MARK}', f'{{"jsonrpc":"2.0","id":1,"method":"message.send","params":{{"body":"canary-{MARK}"}}}}',
                     f'{{"jsonrpc":"2.0","id":1,"method":"canary-{MARK}"}}'):
            api.write(line.encode() + b"\n")
            assert "error" in api.read()
        api.fails("account.add", jid="nobody@imd.test", password=f"canary-wrong-{MARK}", server=imd.server.address,
                  caFile=str(imd.server.ca), timeout=10)
        api.fails("account.import", path=str(imd.root / "backup.imd"), passphrase=f"canary-false-{MARK}")


def spellings(key):
    """A key as somebody might print it."""
    yield from (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key), base64.urlsafe_b64encode(key))
    yield ", ".join(map(str, key)).encode()


def test_D42_canaries_are_in_no_log_no_argument_and_no_environment(server, peer):
    """A whole scene at the highest verbosity, with a keyring, a password command, a backup, and what goes wrong."""
    user, second, imd = server.user(), server.user(), Imd(server, log_level="trace")
    imd._user = user
    try:
        with keyring(imd):
            configure_key(imd, "secret-service")
            imd.start(tracer=execs(imd))
            scene = Scene(imd)
            imd.online()
            key = secret_tool(imd, "lookup", "service", "imd").stdout.strip()
            assert len(base64.b64decode(key)) == 32, "the keyring has it"
            (imd.root / "word").write_text(second.password)
            added = scene.imctl(
                "account", "add", second.jid, "--password-command", f"cat '{imd.root}/word'", "--server", server.address,
                "--ca-file", server.ca)
            assert added.returncode == 0, added
            scene.imctl("account", "remove", "--yes", second.jid)
            talk(scene, peer)
            exported = scene.imctl("account", "export", imd.root / "backup.imd", secret=f"canary-passphrase-{MARK}")
            assert exported.returncode == 0, exported
            scene.imctl("account", "import", imd.root / "backup.imd", secret=f"canary-false-{MARK}")
            misuse(imd)
            process = Path(f"/proc/{imd.process.pid}")
            everything = {name: (process / name).read_bytes() for name in ("cmdline", "environ")}
            imd.stop()
        programs = (imd.root / "execs").read_text(errors="replace")
        assert "secret-tool" in programs and "word" in programs and imd.data.name in programs, "all were seen"
        everything |= {"log": imd.log().encode(), "programs": programs.encode(), "imctl": scene.errors.encode()}
        assert user.jid in imd.log(), "the log is the one of this account"
        canaries = [MARK.encode(), user.password.encode(), second.password.encode(), *spellings(base64.b64decode(key))]
        for place, text in everything.items():
            for canary in canaries:
                assert canary not in text, f"{canary} in {place}"
    finally:
        imd.__exit__()


# Memory


def test_D43_core_limit_is_zero_and_keys_are_locked(fresh):
    process = Path(f"/proc/{fresh.process.pid}")
    [line] = [line for line in (process / "limits").read_text().splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
    locked = re.search(r"VmLck:\s+(\d+) kB", (process / "status").read_text())
    assert int(locked[1]) >= 64
    if os.geteuid() == 0:
        return  # root may look at everything; and owns everything
    assert (process / "environ").stat().st_uid == 0, "a process that cannot be dumped belongs to root in /proc"
    with pytest.raises(PermissionError):
        (process / "mem").open("rb")


def test_D43_imd_starts_where_nothing_may_be_locked(server):
    with Imd(server, prefix=["prlimit", "--memlock=0:0"]) as imd:
        imd.ok("status")


def dumping(folder):
    """Before a command: it runs in the folder and may leave a core there."""
    return ["env", "-C", str(folder), "prlimit", "--core=unlimited:unlimited"]


def dumped(process):
    """Ends it with SIGABRT; whether the kernel wrote a core."""
    os.kill(process.pid, signal.SIGABRT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -signal.SIGABRT
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT, status
    return os.WCOREDUMP(status)


@as_root
def test_D43_an_abort_leaves_no_core_and_prints_no_memory(server, tmp_path):
    control = subprocess.Popen([*dumping(tmp_path), "sleep", "60"], preexec_fn=die_with_parent)
    until(lambda: Path(f"/proc/{control.pid}/comm").read_text() == "sleep\n", 10, "it runs")
    if not dumped(control):
        pytest.skip("this machine writes no cores")
    (folder := tmp_path / "imd").mkdir()
    imd = Imd(server, prefix=dumping(folder))
    del imd.environment["SWIFT_BACKTRACE"]
    with imd:
        imd.online()
        assert not dumped(imd.process)
        assert "Backtrac" not in imd.log(), "it would show what registers point to"
    read, write = os.pipe()
    try:
        imctl = subprocess.Popen(
            [*dumping(folder), BIN / "imctl", "account", "export", "x", "--passphrase-fd", str(read)], pass_fds=[read],
            env=imd.environment, preexec_fn=die_with_parent)
        os.write(write, b"half of a passphrase")
        until(lambda: not unread(read), 10, "it has that and waits for the rest")
        assert not dumped(imctl)
    finally:
        os.close(read)
        os.close(write)
    assert list(folder.iterdir()) == []


def unread(descriptor):
    """How many bytes are in the pipe."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


# What a process of the same user would try; prints what it got.
SPY = """
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
try:
    start = int(open(f"/proc/{pid}/maps").readline().split("-")[0], 16)
    print("maps")
except OSError:
    start = 0x400000
room = ctypes.create_string_buffer(16)
here, there = Part(ctypes.addressof(room), 16), Part(start, 16)
if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
    print("process_vm_readv")
elif ctypes.get_errno() != 1:
    print("errno", ctypes.get_errno())
for name in ("mem", "environ", "auxv", "fd"):
    try:
        os.listdir(f"/proc/{pid}/fd") if name == "fd" else open(f"/proc/{pid}/{name}", "rb").close()
        print(name)
    except PermissionError:
        pass
if libc.ptrace(16, pid, None, None) == 0:
    print("ptrace")
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, None, None)
"""
ALL = {"maps", "process_vm_readv", "mem", "environ", "auxv", "fd", "ptrace"}
NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"}


def spied(pid):
    """What another process of the user nobody gets out of that one."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", SPY, str(pid)], **NOBODY, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    return set(done.stdout.split("\n")) - {""}


@as_root
def test_D43_a_process_of_the_same_user_cannot_look_into_imd(server):
    """ptrace(2), process_vm_readv(2), /proc and gdb; as root everything is readable, so imd runs as another user here."""
    imd = Imd(server)
    control = subprocess.Popen(["/usr/bin/sleep", "120"], **NOBODY)
    try:
        for path in (imd.root, imd.config, imd.data, imd.run):
            shutil.chown(path, "nobody", "nogroup")
        binary = imd.root / "imd-copy"
        shutil.copy(BIN / "imd", binary)
        binary.chmod(0o755)
        with (imd.root / "imd.log").open("ab") as log:
            imd.process = subprocess.Popen(
                [binary], env=imd.environment, **NOBODY, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(imd._listens, 30, "imd listens")
        assert spied(control.pid) == ALL, "of another process the user gets all"
        assert spied(imd.process.pid) == set()
        if shutil.which("gdb"):
            tried = [gdb(process.pid) for process in (control, imd.process)]
            assert "not permitted" not in tried[0] and "not permitted" in tried[1], tried
    finally:
        control.kill()
        control.wait(10)
        imd.__exit__()


def gdb(pid):
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-p", str(pid), "-ex", "detach"], **NOBODY, env={"PATH": os.environ["PATH"], "HOME": "/"},
        capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
