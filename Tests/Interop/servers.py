"""Real servers for the tests, each with its own folder, certificate authority and ports."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
CIRCLE = 3


class User:
    def __init__(self, jid, password):
        self.jid, self.password = jid, password


class Server:
    """`user()` gives a fresh account of it; `prefix` is put before every command (a network namespace)."""

    script = None

    def __init__(self, users=(), options=(), prefix=()):
        self.folder = Path(tempfile.mkdtemp(prefix="imd-server-"))
        self.names = list(users)
        self.options, self.prefix = list(options), list(prefix)
        self.passwords = {name: f"{name}-password" for name in self.names}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        try:
            self.resume()
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _script(self, command, *arguments):
        line = [*self.prefix, ROOT / "scripts" / self.script, command, self.folder, *arguments]
        done = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    def start(self, *options):
        pairs = [f"{name}:{password}" for name, password in self.passwords.items()]
        self._script("start", "--owner", os.getpid(), *self.options, *options, *pairs)
        lines = (self.folder / "env").read_text().split()
        values = dict(line.split("=", 1) for line in lines)
        self.domain, self.ca, self.pid = values["XMPP_HOST"], values["XMPP_CA"], int(values["XMPP_PID"])
        self.host, self.port = values["XMPP_ADDRESS"], int(values["XMPP_PORT"])
        self.address = f"{self.host}:{self.port}"
        self.tls_address = f"{self.host}:{values['XMPP_TLS_PORT']}"

    def restart(self, *options):
        """Starts again at the same port."""
        self.start("--port", self.port, *options)

    def stop(self):
        self._script("stop")

    def kill(self):
        """SIGKILL: nobody is told anything."""
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self.is_open():
            assert time.monotonic() < deadline, "the killed server still listens"
            time.sleep(0.02)

    def is_open(self):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == 0

    def pause(self):
        """SIGSTOP: its kernel goes on accepting and acknowledging, it does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except (AttributeError, ProcessLookupError):
            pass

    def user(self):
        name = self.names.pop(0)
        return User(f"{name}@{self.domain}", self.passwords[name])

    def circle(self):
        """Fresh users who have only each other in the roster (options --mutual --circle CIRCLE)."""
        return [self.user() for _ in range(CIRCLE)]


class Prosody(Server):
    script = "prosody"

    def capture(self):
        """Every message stanza that passed through, one per line (option --capture)."""
        path = self.folder / "capture.xml"
        return path.read_text() if path.exists() else ""

    def handled(self):
        """The last `h` each stream's client acknowledged (option --capture)."""
        path = self.folder / "handled"
        pairs = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return {stream: int(h) for stream, h in pairs if h.isdigit()}

    def renew(self, *options):
        """A new certificate of the same authority, in use from the next start on."""
        self._script("renew", *options)

    def forget_archive(self):
        """While it is stopped: all archives are gone, so that no position in them is known any more."""
        for path in (self.folder / "data").glob("*/archive*"):
            shutil.rmtree(path)


class Ejabberd(Server):
    script = "ejabberd"

    def capture(self):
        """Every message stanza of its archive, one per line."""
        with sqlite3.connect(f"file:{self.folder}/db/ejabberd.sqlite?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT xml FROM archive ORDER BY id").fetchall()
        connection.close()
        return "".join(row[0].replace("\n", "&#10;") + "\n" for row in rows)

    def archived(self, user):
        """The ids of the messages in that user's archive."""
        with sqlite3.connect(f"file:{self.folder}/db/ejabberd.sqlite?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT xml FROM archive WHERE username = ?", (user.jid.split("@")[0],)).fetchall()
        connection.close()
        return {ElementTree.fromstring(row[0]).get("id") for row in rows}

    def handled(self):
        return {}

    def forget_archive(self):
        """While it is stopped: all archives are gone, so that no position in them is known any more."""
        with sqlite3.connect(f"{self.folder}/db/ejabberd.sqlite") as connection:
            connection.execute("DELETE FROM archive")
        connection.close()
