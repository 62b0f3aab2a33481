"""Real processes for the tests: imd with its own folders, a raw client of its socket, and the independent peer.

Each is a context manager that ends what it started, by pid, however the test ends; every wait has a limit.
"""

import ctypes
import json
import os
import queue
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

from servers import ROOT, Ejabberd, Prosody, User  # noqa: F401 (the tests take them from here)

BIN = (ROOT / os.environ.get("IMD_BIN_DIR", ".build/debug")).absolute()
LEGACY, OMEMO2 = "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2"
NAMESPACE = {"legacy": LEGACY, "omemo2": OMEMO2}
LISTS = {"legacy": f"{LEGACY}.devicelist", "omemo2": f"{OMEMO2}:devices"}

# Exit statuses of imctl, sysexits(3).
USAGE, DATAERR, NOINPUT, NOUSER, NOHOST, UNAVAILABLE, SOFTWARE = 64, 65, 66, 67, 68, 69, 70
CANTCREAT, IOERR, TEMPFAIL, PROTOCOL, NOPERM, CONFIG = 73, 74, 75, 76, 77, 78

_libc = ctypes.CDLL(None)


def die_with_parent():
    """In a child, before exec: the kernel ends it when the test process is killed."""
    _libc.prctl(1, signal.SIGTERM)


def until(condition, seconds, what):
    """The first true value of `condition()`, asked again and again."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


def assert_explained(text):
    """A person who reads this knows what is wrong and what to do about it."""
    assert "error: " in text and "hint: " in text, text


def bare(jid):
    return jid.split("/")[0]


def device_list(version, ids):
    """The XML of a published list with exactly these devices."""
    name, namespace = {"legacy": ("list", LEGACY), "omemo2": ("devices", OMEMO2)}[version]
    return f"<{name} xmlns='{namespace}'>" + "".join(f"<device id='{id}'/>" for id in ids) + f"</{name}>"


def encrypted_stanzas(capture, device):
    """What a device sent, oldest first: version, id of the message, and the devices it has keys for.

    `capture` is that of a server; a stanza may be there twice.
    """
    found = []
    for line in capture.splitlines():
        if f"sid='{device}'" not in line and f'sid="{device}"' not in line:
            continue
        stanza = ElementTree.fromstring(line)
        for version, namespace in (("legacy", LEGACY), ("omemo2", OMEMO2)):
            for header in stanza.findall(f"{{{namespace}}}encrypted/{{{namespace}}}header[@sid='{device}']"):
                keys = {int(key.get("rid")) for key in header.iter(f"{{{namespace}}}key")}
                if (version, stanza.get("id"), keys) not in found:
                    found.append((version, stanza.get("id"), keys))
    return found


def bundle_item(version, device):
    """Node and item id of a published bundle."""
    return (f"{LEGACY}.bundles:{device}", "current") if version == "legacy" else (f"{OMEMO2}:bundles", str(device))


class Imd:
    """One user's daemon, and `imctl` talking to it; `settings` is its configuration file, `prefix` a namespace."""

    def __init__(self, server, user=None, log_level="debug", settings=None, prefix=()):
        self.server, self._user, self.log_level, self.prefix = server, user, log_level, list(prefix)
        self.root = Path(tempfile.mkdtemp(prefix="imd-", dir="/tmp"))  # short: a socket path holds 107 bytes
        self.config, self.data, self.run = (self.root / name for name in ("config", "data", "run"))
        for folder in (self.config, self.data, self.run):
            folder.mkdir(mode=0o700)
        self.socket_path = self.run / "imd/imd.sock"
        self.database = self.data / "imd/imd.sqlite"
        self.log_path = self.root / "imd.log"
        self.environment = {
            **os.environ, "XDG_CONFIG_HOME": str(self.config), "XDG_DATA_HOME": str(self.data),
            "XDG_RUNTIME_DIR": str(self.run), "HOME": str(self.root), "SWIFT_BACKTRACE": "enable=no"}
        self.preload = {}  # more environment, for the daemon only
        self.process = None
        if settings:
            self.configure(**settings)

    def configure(self, **settings):
        """Writes the configuration file; `first_login_history=0` is `first-login-history = 0`."""
        (self.config / "imd").mkdir(mode=0o700, exist_ok=True)
        lines = [f"{key.replace('_', '-')} = {json.dumps(value)}\n" for key, value in settings.items()]
        (self.config / "imd/config.toml").write_text("".join(lines))

    @property
    def user(self):
        """Whose daemon it is; a fresh account of the server if none was named."""
        self._user = self._user or self.server.user()
        return self._user

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait(10)
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    # The daemon

    def spawn(self, tracer=()):
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [*self.prefix, *tracer, BIN / "imd", "--log-level", self.log_level],
                env={**self.environment, **self.preload}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)

    def start(self, wait_online=False, tracer=()):
        self.process = self.spawn(tracer)
        until(self._listens, 30, "imd listens")
        if wait_online:
            self.ok("status", "--wait", "online", "--timeout", "30")

    def _listens(self):
        assert self.process.poll() is None, f"imd ended with {self.process.returncode}:\n{self.log()}"
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket_path))
                return True
            except OSError:
                return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.log()

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def lose_sessions(self):
        """Starts again without any of its OMEMO sessions."""
        self.stop()
        with sqlite3.connect(self.database) as connection:
            assert connection.execute("DELETE FROM session").rowcount > 0
        connection.close()
        self.start(wait_online=True)

    def fails_to_start(self):
        """Runs an imd that is expected to give up: its exit status and what it wrote to stderr."""
        before = len(self.log())
        process = self.spawn()
        try:
            status = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise AssertionError("imd started although it should not") from None
        return status, self.log()[before:]

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # imctl

    def imctl(self, *arguments, stdin="", timeout=90):
        return subprocess.run(
            [BIN / "imctl", *map(str, arguments)], env=self.environment, input=stdin, capture_output=True,
            text=True, timeout=timeout)

    def ok(self, *arguments, **options):
        done = self.imctl(*arguments, **options)
        assert done.returncode == 0, f"imctl {arguments}: {done.returncode}\n{done.stderr}\n{self.log()[-4000:]}"
        return done.stdout

    def add_account(self, user=None, ca=None, server=None, password=None, options=()):
        """`imctl account add` with every option; the caller looks at the result."""
        user = user or self.user
        return self.imctl(
            "account", "add", user.jid, "--password-stdin", "--server", server or self.server.address,
            "--ca-file", ca or self.server.ca, *options, stdin=(password or user.password) + "\n")

    def online(self):
        """Adds the account; with one already there, waits for it."""
        done = self.add_account()
        assert done.returncode == 0, f"{done.stderr}\n{self.log()[-4000:]}"
        return self

    def events(self, seconds, *options):
        """What `imctl receive --json` prints within the time; acknowledged by it."""
        done = self.imctl("receive", "--json", "--timeout", str(seconds), *options, timeout=seconds + 60)
        assert done.returncode in (0, TEMPFAIL), done.stderr
        return [json.loads(line) for line in done.stdout.split("\n") if line]  # U+2028 ends no line of JSON

    def messages(self, count, seconds=60, *options):
        """The next `count` messages of others, oldest first; fails when fewer come in time."""
        found, deadline = [], time.monotonic() + seconds
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages\n{self.log()[-4000:]}"
            for event in self.events(3, "--count", str(count - len(found)), *options):
                if event["type"] == "message" and bare(event["from"]) != self.user.jid:
                    found.append(event)
        return found

    def told(self, *types, **wanted):
        """Every event in its log that has one of these types and these members."""
        with Api(self) as api:
            api.call("event.subscribe", since=0, types=list(types))
            events = api.events_until_caught_up()
        return [event for event in events if wanted.items() <= event.items()]

    def devices(self, jid):
        """The devices it knows of somebody, by id."""
        return {device["device"]: device for device in self.call("device.list", jid=jid)["devices"]}

    def call(self, method, **params):
        """One call over a connection of its own."""
        with Api(self) as api:
            return api.call(method, **params)

    def _own_device(self):
        devices = self.call("device.list", account=self.user.jid)["devices"]
        return next(device for device in devices if device["own"])

    def device(self):
        """The id of its own device."""
        return self._own_device()["device"]

    def fingerprint(self):
        return self._own_device()["fingerprint"]


class Api:
    """A raw client of the socket: what `nc -U` can do, no more."""

    def __init__(self, imd, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(imd.socket_path))
        self.reader = self.socket.makefile("rb")
        self.number = 0
        self.notifications = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()

    def write(self, data):
        self.socket.sendall(data)

    def read(self):
        line = self.reader.readline()
        assert line.endswith(b"\n"), f"the connection ended: {line!r}"
        return json.loads(line)

    def request(self, method, **params):
        self.number += 1
        line = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.write(json.dumps(line).encode() + b"\n")
        return self.number

    def answer(self, number):
        while True:
            value = self.read()
            if "id" not in value:
                self.notifications.append(value)
                continue
            assert value["id"] == number, f"answers out of order: {value}"
            return value

    def call(self, method, **params):
        answer = self.answer(self.request(method, **params))
        assert "error" not in answer, answer
        return answer["result"]

    def fails(self, method, **params):
        answer = self.answer(self.request(method, **params))
        assert "error" in answer, answer
        return answer["error"]

    def event(self, kind=None):
        """The next event of a subscription; with `kind`, the next one of that type."""
        while True:
            note = self.notifications.pop(0) if self.notifications else self.read()
            assert "id" not in note, note
            if note["method"] == "event" and kind in (None, note["params"]["type"]):
                return note["params"]

    def events_until_caught_up(self):
        """All events that were waiting when the subscription began."""
        found = []
        while True:
            note = self.notifications.pop(0) if self.notifications else self.read()
            if note["method"] == "event.caughtUp":
                return found
            found.append(note["params"])


class Peer:
    """The independent client; keeps its device and sessions when started again with the same state.

    `options` are those of peer.py.
    """

    def __init__(self, server, user, state=None, options=(), prefix=()):
        self.server, self.user, self.options, self.prefix = server, user, list(options), list(prefix)
        self.folder = Path(tempfile.mkdtemp(prefix="imd-peer-"))
        self.state = state or self.folder / "state.json"
        self.seen = []
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.kill()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        self.events = queue.Queue()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, Path(__file__).with_name("peer.py"), self.user.jid,
                 self.user.password, self.server.address, self.server.ca, self.state, *self.options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent)
        threading.Thread(target=self._read, args=(self.process.stdout, self.events), daemon=True).start()
        self.own = self.next("ready", 60)

    @staticmethod
    def _read(stream, events):
        for line in stream:
            events.put(json.loads(line))
        events.put(None)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def stop(self):
        self._tell(do="quit")
        self.process.wait(15)

    def _tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def send(self, to, body, plain=False, **more):
        self._tell(do="send", to=to, body=body, plain=plain, **more)

    def burst(self, to, count, size, **more):
        self._tell(do="burst", to=to, count=count, size=size, **more)

    def answer(self, kind, to, message_id, **more):
        """Tells `to` that its message was received or displayed."""
        self._tell(do="answer", kind=kind, to=to, id=message_id, **more)

    def begin(self, what, **command):
        """Any other command of peer.py, which tells when it is done."""
        self._tell(do=what, **command)

    def do(self, what, seconds=30, **command):
        """The same; returns once it is done."""
        self.begin(what, **command)
        event = self.next(("done", "items", "error"), seconds)
        assert event["ev"] != "error", event
        return event

    def publish_list(self, version, ids, **more):
        self.do("publish", node=LISTS[version], item="current", xml=device_list(version, ids), **more)

    def published_list(self, version, jid=None):
        """The device ids somebody publishes, or its own account."""
        [item] = self.do("fetch", jid=jid or self.user.jid, node=LISTS[version])["items"]
        return [int(e.get("id")) for e in ElementTree.fromstring(item).iter() if e.tag.endswith("}device")]

    def poll(self, seconds=0.0):
        """One more event into `seen`; None when nothing came."""
        try:
            event = self.events.get(timeout=seconds) if seconds else self.events.get_nowait()
        except queue.Empty:
            return None
        assert event is not None, f"the peer ended:\n{(self.folder / 'log').read_text()[-3000:]}"
        self.seen.append(event)
        return event

    def next(self, kind, seconds=30):
        """The next event of that kind, or of one of those kinds; others stay in `seen`."""
        kinds = (kind,) if isinstance(kind, str) else kind
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            event = self.poll(left)
            if event and event["ev"] in kinds:
                return event
        raise AssertionError(f"no '{kind}' within {seconds} s; seen: {self.seen[-5:]}")

    def messages(self, count, seconds=60):
        deadline = time.monotonic() + seconds
        return [self.next("message", max(0.1, deadline - time.monotonic())) for _ in range(count)]

    def quiet(self, seconds):
        """Everything that comes within the time."""
        deadline, found = time.monotonic() + seconds, []
        while (left := deadline - time.monotonic()) > 0:
            if event := self.poll(left):
                found.append(event)
        return found
