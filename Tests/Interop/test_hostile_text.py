"""What others write is text, whatever is in it: on a terminal, and in every parameter of the API (D38 to D40)."""

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest
from harness import BIN, Api, Imd, Peer, until
from liar import Liar
from terminal import Terminal

HOSTILE = (
    "start \x1b]52;c;aGk=\x07 \x9b2J over\rwritten \x7f \u202egnp.exe\u2066 \u200e \x1b[38;5;99m \x85 \u2028 \x00 end")
UNSAFE = {chr(code) for code in [*range(0x20), *range(0x7f, 0xa0)]} - set("\n\t") | set(
    "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
# What imctl may say to a terminal of its own accord: colours, and one line written over.
OWN = re.compile(r"\r?\x1b\[2?K|\x1b\[[0-9;]*m")


def assert_harmless(shown, what):
    text = shown.decode().replace("\r\n", "\n")
    assert "\x1b[38;5;99m" not in text, f"{what}: {text!r}"
    found = set(OWN.sub("", text)) & UNSAFE
    assert not found, f"{what} shows {[hex(ord(c)) for c in found]}: {text!r}"
    return text


def on_a_terminal(arguments, environment, typed="y\n", seconds=20):
    """The bytes that imctl writes when all its descriptors are a terminal; it is ended when it goes on for longer."""
    controller, terminal = pty.openpty()
    process = None
    try:
        process = subprocess.Popen(
            [BIN / "imctl", *arguments], env={**environment, "TERM": "xterm"}, stdin=terminal, stdout=terminal,
            stderr=terminal)
        os.close(terminal)
        os.write(controller, typed.encode())
        shown, deadline = b"", time.monotonic() + seconds
        while select.select([controller], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                data = os.read(controller, 65536)
            except OSError:  # the last writer has closed it
                break
            if not data:
                break
            shown += data
        return shown
    finally:
        if process:
            process.kill()
            process.wait(30)
        os.close(controller)


# Every command of imctl

WHO = "bob@imd.test"
# What a command needs beyond a plausible word for each argument that must be there.
MORE = {
    "account add": [WHO, "--no-wait", "--password-command", "true"], "account import": None, "account export": None,
    "receive": ["--since", "0"], "send": [WHO, "text"], "events": ["--since", "0"], "presence set": ["away"],
    "device reset": [WHO, "--forget"], "device remove": ["7"], "device verify": [WHO, "--fingerprint", "ab" * 32],
    "consumer rewind": ["bot", "--all"], "call": ["message.list", '{"chat":"bob@imd.test"}'],
    "device trust": [WHO, "--all"],
}
ALSO = [
    ["send", WHO, "text", "--wait", "displayed", "--timeout", "1"], ["status", "--wait", "online", "--timeout", "1"],
    ["device", "trust", WHO], ["device", "trust", "--export"], ["device", "verify", WHO], ["device", "qr", "--uri"],
    ["outbox", "list", "--failed"], ["encryption", WHO, "--required"], ["receive"],
    ["receive", "--count", "2", "--timeout", "1"], ["call", "contact.list"], ["call", "trust.export"]]
# Of these it is known that they print what others wrote.
SHOWING = {
    "account add", "account list", "account connect", "account disconnect", "send", "outbox list", "outbox cancel",
    "outbox retry", "receive", "displayed", "history", "status", "doctor", "contact list", "contact add",
    "device list", "device distrust", "device trust", "device qr", "encryption", "events", "consumer list",
    "consumer rewind", "call"}


def leaves(command, path=()):
    """Each command that does something, with the arguments it must have."""
    subcommands = [c for c in command.get("subcommands", []) if c["commandName"] != "help"]
    for subcommand in subcommands:
        yield from leaves(subcommand, (*path, subcommand["commandName"]))
    if not subcommands:
        needed = [a for a in command.get("arguments", []) if a["kind"] == "positional" and not a["isOptional"]]
        yield list(path), [WHO for _ in needed]


def every_command():
    done = subprocess.run([BIN / "imctl", "--experimental-dump-help"], capture_output=True, timeout=30)
    lines = []
    for path, needed in leaves(json.loads(done.stdout or done.stderr)["command"]):
        arguments = MORE.get(" ".join(path), needed)
        if arguments is not None:
            lines.append([*path, *arguments])
    lines += ALSO
    return lines + [[*line, "--json"] for line in lines if line[0] in ("history", "receive", "events", "send")]


@pytest.mark.parametrize("seed", range(2))
def test_D39_no_command_lets_an_answer_steer_the_terminal(seed):
    """ESC ]52, 0x9B, a carriage return, DEL, NUL, line separators and what turns directions are shown, not obeyed."""
    shown = set()
    with Liar(HOSTILE, seed) as liar:
        for line in every_command():
            text = assert_harmless(on_a_terminal(line, liar.environment), line)
            if "\\u001b]52" in text:
                shown |= {line[0], " ".join(line[:2])}
    assert shown >= SHOWING, SHOWING - shown


def test_D39_no_error_of_the_daemon_steers_the_terminal():
    with Liar(HOSTILE) as liar:
        liar.refuses = True
        for line in every_command():
            assert_harmless(on_a_terminal(line, liar.environment), line)


def test_D39_questions_show_what_they_ask_about(tmp_path):
    """The command that a backup brings along, and the contact that is asked for a password or trusted."""
    with Liar(HOSTILE) as liar:
        for line in (["account", "import", str(tmp_path / "x")], ["account", "export", str(tmp_path / "y")]):
            with Terminal([BIN / "imctl", *line], liar.environment) as terminal:
                terminal.expect("assphrase")
                for _ in range(3):
                    terminal.type("open sesame\n")
                    time.sleep(0.2)
                terminal.type("n\n")
                terminal.wait()
                assert_harmless(terminal.shown, line)
        hostile = HOSTILE.replace("\x00", "")
        for line in (["account", "add", hostile], ["device", "trust", hostile], ["device", "verify", hostile],
                     ["send", hostile, "text"], ["history", hostile], [hostile], ["send", "--" + hostile]):
            assert_harmless(on_a_terminal(line, liar.environment, typed="n\n", seconds=3), line)


# What really comes

def test_D39_text_of_others_cannot_steer_a_terminal(friends):
    """In a body, a status, a roster's name, an id and a nickname; XML has no ESC, what is encrypted has."""
    with Imd(friends) as imd, Peer(friends, friends.user()) as peer:
        imd.online()
        hostile = HOSTILE.replace("\x00", "")
        peer.send(imd.user.jid, hostile)
        [message] = imd.messages(1)
        assert message["body"] == hostile, "JSON carries it unchanged"
        imd.call("contact.add", jid=peer.user.jid, name="name \x9b2J \x7f \u202e end")
        xml = "&#x9b;2J &#xd; &#x7f; &#x202e;"
        peer.do("raw", xml=f"<presence><show>away</show><status>status {xml}</status></presence>")
        peer.do("raw", xml=f"<message to='{imd.user.jid}' type='chat' id='id {xml}'><body>plain {xml}</body>"
                f"<nick xmlns='http://jabber.org/protocol/nick'>nick {xml}</nick></message>")
        until(lambda: any("status" in c for c in imd.call("contact.list")["contacts"]), 20, "the status is there")
        until(lambda: len(imd.call("message.list", chat=peer.user.jid)["messages"]) == 2, 20, "the message is there")
        for line, mark in (
                (["history", peer.user.jid], "start"), (["receive", "--since", "0"], "start"),
                (["receive"], "plain"), (["events", "--since", "0"], "start"), (["contact", "list"], "status"),
                (["contact", "list", "--json"], "name"), (["history", peer.user.jid, "--json"], "id "),
                (["displayed", peer.user.jid], "id "), (["call", "message.list", f'{{"chat":"{peer.user.jid}"}}'], "end")):
            text = assert_harmless(on_a_terminal(line, imd.environment), line)
            assert mark in text and "\\u009b" in text, (line, text)


# Addresses that deceive

def test_D40_an_address_that_looks_like_another_is_marked_and_one_that_hides_letters_refused(imd):
    """Cyrillic a for Latin a is told wherever people see it; what is invisible or turned round is no address."""
    domain = imd.user.jid.partition("@")[2]
    twin, plain = f"\u0430dmin@{domain}", f"admin@{domain}"
    done = imd.imctl("contact", "add", twin)
    assert "warning: " in done.stderr and "look like others" in done.stderr, done
    assert "warning" not in imd.imctl("contact", "add", plain).stderr
    imd.call("message.send", to=twin, body="hello", plaintext=True)
    until(lambda: len(imd.call("contact.list")["contacts"]) == 2, 20, "both are contacts, and not one")
    for line in (["contact", "list"], ["events", "--since", "0", "--types", "contact"], ["outbox", "list", "--failed"]):
        text = assert_harmless(on_a_terminal(line, imd.environment), line)
        assert "look-alike letters" in text or line[0] == "outbox", text
        assert f"{plain} [look-alike" not in text
    assert "look-alike" not in imd.ok("contact", "list"), "for a script it is the address and nothing else"
    for hidden in ("\u202e", "\u200b", "\u00ad", "\u2066", "\ufeff", "\x1b", "\x9b"):
        for address in (f"ad{hidden}min@{domain}", f"admin@im{hidden}d.test"):
            with Api(imd) as api:
                assert api.fails("contact.add", jid=address)["data"]["code"] == "bad-address", hidden
                assert api.fails("message.send", to=address, body="x")["data"]["code"] == "bad-address", hidden
