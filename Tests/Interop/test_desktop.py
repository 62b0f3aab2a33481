"""The desktop hooks under a real X server, a session bus and a notification daemon (dunst); hostile texts (D41)."""

import html
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from harness import Imd, die_with_parent, until
from servers import ROOT
from test_hooks import add_hook, hooks, lines, say

TOOLS = ("Xvfb", "dunst", "dunstctl", "dbus-daemon", "notify-send", "import")
pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason="scripts/deps test installs the desktop's tools")
ARTEFACTS = Path(os.environ.get("IMD_ARTEFACTS", ROOT / ".build/artefacts"))
DUNST = "[global]\nhistory_length = 100\nshow_indicators = no\nwidth = 500\nmarkup = full\nicon_position = off\n"

HOSTILE = [
    '<img src=file:///etc/passwd alt="x">', '<a href="http://evil.example/">bank</a>', "<b>bold</b> <i>i</i> <u>",
    "&lt;b&gt; &amp; & &#60;", "\\074b\\076 \\n \\x3cb\\x3e \\\\", "<<>>&&", "</b></span><span size='99999'>", "%s %n %d $(touch x) `id`",
    "-n", "--help", "--action=a=b",
]
CONTROLS = ["\u202eevil\u202c", "\u2066x\u2069 \u200b\u200e\u200f\ufeff", "a\tb\rc"]


class Desktop:
    """X server, bus and notification daemon, each with a folder of its own; what is shown is asked of dunst."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="desk-", dir="/tmp"))
        self.processes = []
        (self.folder / "dunstrc").write_text(DUNST)
        try:
            read, write = os.pipe()
            self.start("Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp", pass_fds=[write])
            os.close(write)
            with os.fdopen(read) as display:
                self.environment = {"DISPLAY": ":" + display.readline().strip()}
            self.environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={self.folder}/bus"
            self.start("dbus-daemon", "--session", "--nofork", f"--address=unix:path={self.folder}/bus")
            until((self.folder / "bus").exists, 10, "the bus")
            self.start("dunst", "-config", str(self.folder / "dunstrc"))
            until(lambda: self.dunstctl("is-paused").strip() == "false", 20, "dunst")
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, *command, **options):
        with (self.folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(
                command, env={**os.environ, "HOME": str(self.folder), **getattr(self, "environment", {})},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent, **options))

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def dunstctl(self, *arguments):
        return subprocess.run(
            ["dunstctl", *arguments], env={**os.environ, **self.environment}, capture_output=True, text=True,
            timeout=10).stdout

    def shown(self):
        """Title and text of what was shown and is closed now, oldest first; no markup in either."""
        self.dunstctl("close-all")
        time.sleep(0.2)
        entries = json.loads(self.dunstctl("history"))["data"][0]
        found = []
        for entry in sorted(entries, key=lambda entry: (entry["timestamp"]["data"], entry["id"]["data"])):
            body = entry["body"]["data"]
            assert "<" not in body and ">" not in body, body
            found.append((entry["summary"]["data"], html.unescape(body)))
        return found

    def count(self):
        return int(self.dunstctl("count", "displayed").strip() or 0) + int(self.dunstctl("count", "waiting").strip() or 0)

    def picture(self, name):
        """Keeps what is on the screen."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["import", "-window", "root", str(ARTEFACTS / f"{name}.png")],
            env={**os.environ, **self.environment}, check=True, timeout=30)
        return ARTEFACTS / f"{name}.png"


@pytest.fixture
def desktop():
    with Desktop() as desktop:
        yield desktop


class Hook:
    """The hook as imd would run it, without imd."""

    def __init__(self, desktop, folder):
        self.folder = folder
        self.environment = {
            "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(folder), **desktop.environment}

    def configure(self, text):
        (self.folder / "config/imd").mkdir(parents=True, exist_ok=True)
        (self.folder / "config/imd/notify-desktop.conf").write_text(text)

    def show(self, **event):
        event = {"number": 1, "type": "message", "account": "me@example.org", "chat": "bob@example.org",
                 "from": "bob@example.org", "direction": "in", "body": "hello", "encryption": None, **event}
        done = subprocess.run(
            [ROOT / "hooks/notify-desktop"], input=json.dumps(event, ensure_ascii=False) + "\n", env=self.environment,
            capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.fixture
def hook(desktop, tmp_path):
    return Hook(desktop, tmp_path)


def test_D41_hostile_markup_in_body_and_name_is_shown_literally(desktop, hook):
    """Threat row 41: what others write is text to the notification daemon, whatever it looks like."""
    names = ["<b>Bob</b>", "<img src=file:///etc/passwd>", "&amp; <a href='x'>y</a>", "-n", "\u202eBob\x1b[31m"]
    (hook.folder / "imctl").write_text("#!/bin/sh\ncat $HOME/contacts\n")
    (hook.folder / "imctl").chmod(0o755)
    wanted = []
    for number, body in enumerate(HOSTILE):
        name, chat = names[number % len(names)], f"bob{number}@example.org"
        (hook.folder / "contacts").write_text(json.dumps({"jid": chat, "name": name}) + "\n")
        hook.show(body=body, chat=chat, **{"from": chat})
        wanted.append((f"{name} ({chat})".replace("\u202e", "\ufffd").replace("\x1b", "\ufffd"), body))
        if number == 3:
            time.sleep(0.5)
            picture = desktop.picture("notification-hostile")
            assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 500
    assert sorted(desktop.shown()) == sorted(wanted)
    assert not list(hook.folder.rglob("x"))


@pytest.mark.parametrize("text", CONTROLS)
def test_D41_control_and_direction_characters_are_made_visible(desktop, hook, text):
    hook.show(body=text)
    [(_, body)] = desktop.shown()
    assert "\ufffd" in body
    assert not any(ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or 0x200b <= ord(c) <= 0x200f or 0x202a <= ord(c) <= 0x202e
                   or 0x2060 <= ord(c) <= 0x206f or c == "\ufeff" for c in body)
    assert body == "".join(c if c.isalnum() or c == " " else "\ufffd" for c in text)


def test_a_chat_has_one_notification_at_a_time(desktop, hook):
    for text in ("one", "two", "three"):
        hook.show(body=text)
    hook.show(chat="carol@example.org", body="other")
    assert desktop.count() == 2
    assert sorted(desktop.shown()) == [("bob@example.org", "three"), ("carol@example.org", "other")]


def test_the_body_can_be_hidden_and_a_chat_muted(desktop, hook):
    hook.configure("# mine\nshow-body=no\nmute=carol@example.org\nmute=dave@example.org\n")
    hook.show(body="the secret")
    hook.show(chat="carol@example.org", body="muted")
    hook.show(chat="carol@example.org.evil", body="not muted")
    shown = desktop.shown()
    assert sorted(shown) == [("bob@example.org", "New message"), ("carol@example.org.evil", "New message")]


@pytest.mark.parametrize("line, is_hidden", [
    ("show-body=yes", False), (" show-body = yes ", False), ("# nothing", False), ("show-body = no", True),
    ("show-body=No", True), ("show-body=false", True), ("show-body=", True)])
def test_only_yes_shows_the_body(desktop, hook, line, is_hidden):
    hook.configure(f"{line}\n mute = carol@example.org \n")
    hook.show(chat="carol@example.org", body="muted")
    hook.show(body="the text")
    assert desktop.shown() == [("bob@example.org", "New message" if is_hidden else "the text")]


def test_nothing_is_shown_while_the_desktop_wants_quiet(desktop, hook):
    desktop.dunstctl("set-paused", "true")
    hook.show(body="not now")
    desktop.dunstctl("set-paused", "false")
    hook.show(body="now")
    assert [body for _, body in desktop.shown()] == ["now"]


def test_a_contact_that_comes_online_pops_up_and_one_that_only_changes_does_not(desktop, hook):
    for was, show in (("away", "online"), ("offline", "away"), ("online", "offline")):
        hook.show(type="presence", **{"from": f"{was}@example.org"}, chat=None, was=was, show=show)
    assert desktop.shown() == [("offline@example.org", "is online")]


def test_warnings_are_shown(desktop, hook):
    hook.show(body="hi", warning="plaintext-in-encrypted-chat")
    hook.show(type="undecryptable", body=None)
    hook.show(type="security", body=None, kind="opt-out")
    hook.show(type="security", body=None, kind="plaintext")
    hook.show(direction="out", body="mine")
    bodies = [body for _, body in desktop.shown()]
    assert len(bodies) == 3 and "This contact asks for messages without encryption" in bodies and any("Not encrypted! hi" in body for body in bodies)


def test_long_texts_have_an_end(desktop, hook):
    hook.show(body="é" * 60_000)
    [(_, body)] = desktop.shown()
    assert body == "é" * 500 + "…"


def test_a_message_pops_up_through_imd(server, other, desktop):
    """The whole way: server, imd, the shipped hook as a symbolic link, the desktop."""
    with Imd(server) as imd:
        imd.environment.update(desktop.environment)
        imd.stop()
        imd.start()
        imd.online()
        folder = add_hook(imd, "record", "cat >>$HOME/events.jsonl").parent
        (folder / "notify-desktop").symlink_to(ROOT / "hooks/notify-desktop")
        assert {hook["state"] for hook in hooks(imd).values()} == {"active"}
        say(other, imd, "<b>hello</b>")
        until(lambda: desktop.count() == 1, 30, "a notification")
        desktop.picture("notification")
        [(title, body)] = desktop.shown()
        assert title == other.user.jid and body == "<b>hello</b>"
        assert not imd.call("failure.list")["failures"] and len(lines(imd)) == 1


def test_forward_command_passes_the_event_on(imd, other):
    folder = add_hook(imd, "record", "cat >/dev/null").parent
    (folder / "forward-command").symlink_to(ROOT / "hooks/forward-command")
    failed = imd.call("hook.test", name="forward-command")
    assert failed["status"] == 78 and "no command" in failed["errors"]
    (imd.config / "imd/forward-command.conf").write_text("# where\ncat >>$HOME/far.jsonl; exit 0\n")
    say(other, imd, "$(touch x) ;id")
    until(lambda: lines(imd, "far.jsonl"), 30, "it arrives")
    assert lines(imd, "far.jsonl")[0]["body"] == "$(touch x) ;id"
    assert not list(imd.root.rglob("x"))


@pytest.mark.parametrize("player", ["canberra-gtk-play", "pw-play", "paplay"])
def test_play_sound_takes_the_player_that_is_there(tmp_path, player):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "jq", "sed", "tail", "grep"):
        (tools / tool).symlink_to(shutil.which(tool))
    (tools / player).write_text('#!/bin/sh\necho "$0 $*" >>$HOME/played\n')
    (tools / player).chmod(0o755)
    (tmp_path / "imd").mkdir()
    (tmp_path / "imd/play-sound.conf").write_text("mute=quiet@example.org\n")
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    for chat in ("bob@example.org", "quiet@example.org"):
        subprocess.run(
            [ROOT / "hooks/play-sound"], input=json.dumps({"chat": chat}), text=True, env=environment, check=True, timeout=10)
    assert (tmp_path / "played").read_text().count("\n") == 1
