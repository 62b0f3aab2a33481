"""Profanity, a terminal client, driven by keys and read from its screen (tmux)."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from harness import die_with_parent, until

# Its screen has no scrollback that tmux could read, so it is as high as all a test makes it show.
WIDTH, HEIGHT = 200, 250


class Profanity:
    """One user's client with one contact's window at a time; a context manager like the others.

    Needs a presence subscription both ways. Of a message of OMEMO the line has `~` after the time. One that is not the
    user's first device joins the list that is there.
    """

    def __init__(self, server, user, first=True):
        self.server, self.user, self.first = server, user, first
        self.root = Path(tempfile.mkdtemp(prefix="imd-profanity-", dir="/tmp"))
        self.environment = {
            **os.environ, "HOME": str(self.root), "XDG_CONFIG_HOME": str(self.root / "config"),
            "XDG_DATA_HOME": str(self.root / "data"), "LANG": "C.UTF-8", "TERM": "screen-256color"}
        self.terminal = self.pid = None

    def __enter__(self):
        try:
            self.configure()
            self.open_terminal()
            self.start()
            self.make_device()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.terminal:
                self.kill()
                self.terminal.terminate()
                self.terminal.wait(10)
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def configure(self):
        authorities = self.root / "authorities"
        authorities.mkdir()
        shutil.copy(self.server.ca, authorities / "ca.pem")
        subprocess.run(["openssl", "rehash", authorities], check=True, capture_output=True)
        for folder in ("config", "data"):
            (self.root / folder / "profanity").mkdir(parents=True)
        (self.root / "config/profanity/profrc").write_text(
            f"[connection]\ntls.certpath={authorities}\n[omemo]\npolicy=automatic\ntrustmode=blind\n"
            "[ui]\nsplash=false\nocc_show=false\nroster=false\n[notifications]\nmessage=false\n")
        (self.root / "data/profanity/accounts").write_text(
            f"[{self.user.jid}]\nenabled=true\njid={self.user.jid}\nserver={self.server.host}\n"
            f"port={self.server.port}\npassword={self.user.password}\nresource={self.root.name}\ntls.policy=force\n")

    # The terminal

    def tmux(self, *arguments):
        done = subprocess.run(
            ["tmux", "-N", "-S", self.root / "tmux", "-f", "/dev/null", *arguments], env=self.environment,
            capture_output=True, text=True, timeout=20)
        return done.stdout if done.returncode == 0 else None

    def open_terminal(self):
        """In the foreground, so that it ends with the test process."""
        self.terminal = subprocess.Popen(
            ["tmux", "-S", self.root / "tmux", "-f", "/dev/null", "-D"], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        until(lambda: self.tmux("start-server") is not None, 10, "tmux listens")

    def enter(self, line):
        self.tmux("send-keys", "-t", "client", "-l", "--", line)
        self.tmux("send-keys", "-t", "client", "Enter")

    def screen(self):
        return self.tmux("capture-pane", "-p", "-J", "-t", "client", "-S", "-") or ""

    def shows(self, text, seconds=20):
        """Waits for it; tells what is shown instead."""
        until(lambda: text in self.screen(), seconds, f"'{text}' on the screen:\n{self.lines()}")

    def lines(self):
        return "\n".join(line.rstrip() for line in self.screen().splitlines() if line.strip())

    # The client

    def start(self):
        self.tmux(
            "new-session", "-d", "-s", "client", "-x", str(WIDTH), "-y", str(HEIGHT),
            f"exec profanity -l INFO -a {self.user.jid}")
        self.pid = int(self.tmux("display-message", "-p", "-t", "client", "#{pane_pid}"))
        self.shows("logged in successfully")

    def make_device(self):
        """Without a list on the server it never publishes one; clearing it has it announce itself."""
        self.enter("/omemo gen")
        self.shows("OMEMO crytographic materials generated")
        if self.first:
            self.enter("/omemo clear_device_list")
            self.shows("Going to publish own device ID")
        self.enter("/omemo fingerprint")
        self.shows("Your OMEMO fingerprint: ")
        self.fingerprint = fingerprints(self.screen(), "Your OMEMO fingerprint: ")[0]

    def running(self):
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def quit(self):
        self.enter("/quit")
        until(lambda: not self.running(), 20, "it has quit")
        self.pid = None

    def forget_session(self, jid):
        """While it is not running."""
        path = self.session_file()
        sections = re.split(r"(?m)^(?=\[)", path.read_text())
        kept = [section for section in sections if not section.startswith(f"[{jid}]")]
        assert len(kept) < len(sections), path.read_text()[:300]
        path.write_text("".join(kept))

    def kill(self):
        if self.pid and self.running():
            os.kill(self.pid, 9)
            until(lambda: not self.running(), 10, "it is gone")

    def open(self, jid):
        """The window of one contact, encrypting."""
        self.enter(f"/msg {jid}")
        until(lambda: self.title().startswith(jid), 10, f"its window is shown:\n{self.lines()}")
        if "[OMEMO]" not in self.title():
            self.enter(f"/omemo start {jid}")
        until(lambda: "[OMEMO]" in self.title(), 20, f"the chat is encrypted:\n{self.lines()}")

    def title(self):
        return self.screen().split("\n", 1)[0].strip()

    def messages(self):
        """Encrypted messages in the window, oldest first: who and what."""
        return re.findall(r"^\d\d:\d\d:\d\d ~ ([^\s:]+): (.*?)\s*$", self.screen(), re.MULTILINE)

    def received(self, jid):
        return [text for who, text in self.messages() if who.split("/")[0] == jid]

    def fingerprints(self, jid):
        """Of the contact's devices, as it shows them."""
        self.enter(f"/omemo fingerprint {jid}")
        self.shows(f"{jid}'s OMEMO fingerprint: ")
        return fingerprints(self.screen(), f"{jid}'s OMEMO fingerprint: ")

    def begin_sessions(self, jid, count):
        """With so many devices that are on the list by now: in a chat that goes on it begins none."""
        for _ in range(10):  # the list may still be on its way
            self.enter("/omemo end")
            self.enter(f"/omemo start {jid}")
            for _ in range(20):
                if self.sessions(jid) >= count:
                    return
                time.sleep(0.1)
        raise AssertionError(f"no sessions with {count} devices of {jid}:\n{self.lines()}")

    def sessions(self, jid):
        path = self.session_file()
        sections = re.split(r"(?m)^(?=\[)", path.read_text()) if path else []
        return sum(section.count("\n", 1) for section in map(str.strip, sections) if section.startswith(f"[{jid}]"))

    def session_file(self):
        return next(self.root.glob("data/profanity/omemo/*/sessions.txt"), None)


def fingerprints(screen, before):
    return [found.replace("-", "") for found in re.findall(re.escape(before) + r"([0-9a-f-]{71})", screen)]
