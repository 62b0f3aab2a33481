"""What makes imctl pleasant for a person at a terminal, and stays out of the way of a script."""

import os
import re
import signal

import pytest
from harness import BIN, NOINPUT, USAGE, Imd, until
from terminal import Terminal

COLOUR = b"\x1b["


def shown(imd, *arguments, seconds=30, **environment):
    """Exit status, and everything that the command shows on a terminal."""
    environment = {"TERM": "xterm", "TZ": "UTC", **imd.environment, **environment}
    with Terminal([BIN / "imctl", *arguments], environment) as terminal:
        status = terminal.wait(seconds)
        return status, terminal.shown


@pytest.fixture(scope="module")
def pair(archive):
    with Imd(archive) as one, Imd(archive) as two:
        yield one.online(), two.online()


def test_colours_and_relative_times_are_for_a_terminal_alone(pair):
    one, two = pair
    two.ok("send", one.user.jid, "hello", "--wait", "delivered")
    status, text = shown(one, "history", two.user.jid)
    assert status == 0 and re.search(rb"\x1b\[2m\d\d:\d\d\x1b\[0m \x1b\[1m" + two.user.jid.encode(), text), text
    plain = one.ok("history", two.user.jid)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ " + re.escape(two.user.jid) + ": hello\n$", plain), plain
    _, text = shown(one, "status")
    assert re.search(rb"started (just now|\d+ (s|min) ago)", text) and b"online\x1b[0m " in text, text
    assert "\x1b" not in one.ok("status") and re.search(r", since \d{4}-", one.ok("status"))


@pytest.mark.parametrize("off", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_turned_off(pair, off):
    one, _ = pair
    assert COLOUR in shown(one, "status")[1]
    assert COLOUR not in shown(one, "status", **off)[1]
    assert COLOUR in shown(one, "status", NO_COLOR="")[1], "no-color.org: only when it is not empty"


def test_an_error_is_red_on_a_terminal_and_plain_in_a_pipe(pair):
    one, _ = pair
    assert b"imctl: \x1b[31merror:\x1b[0m no consumer" in shown(one, "consumer", "rewind", "nobody", "--all")[1]
    assert one.imctl("consumer", "rewind", "nobody", "--all").stderr.startswith("imctl: error: no consumer")


@pytest.mark.parametrize("typed, meant", [
    (["statsu"], "imctl status"), (["contcat"], "imctl contact"), (["account", "ad"], "imctl account add"),
    (["device", "verfiy"], "imctl device verify"), (["recieve"], "imctl receive"), (["sned"], "imctl send")])
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(pair, typed, meant):
    done = pair[0].imctl(*typed)
    assert done.returncode == USAGE and done.stdout == ""
    assert f"there is no command 'imctl {' '.join(typed)}'" in done.stderr
    assert f"hint: did you mean: {meant}\n" in done.stderr


def test_a_word_that_resembles_no_command_gets_no_guess(pair):
    done = pair[0].imctl("xylophone")
    assert done.returncode == USAGE and "did you mean" not in done.stderr and "imctl --help" in done.stderr


@pytest.mark.parametrize("command", [
    ("account", "remove", "nobody@imd.test"), ("contact", "remove", "nobody@imd.test"),
    ("consumer", "remove", "nobody"), ("device", "remove", "77")])
def test_what_cannot_be_undone_is_asked_for_or_needs_yes(pair, command):
    one, _ = pair
    done = one.imctl(*command)
    assert done.returncode == USAGE and "hint: add --yes" in done.stderr
    with Terminal([BIN / "imctl", *command], one.environment) as terminal:
        terminal.expect("[y/N] ")
        terminal.type("\n")
        assert terminal.wait() == USAGE and b"nothing was done" in terminal.shown
    done = one.imctl(*command, "--yes")
    assert done.returncode != 0 and "add --yes" not in done.stderr and "nothing was done" not in done.stderr, done


def test_what_takes_longer_than_a_second_shows_it(archive):
    with Imd(archive) as imd:
        imd.add_account(options=["--no-wait"], server="127.0.0.1:1")
        status, text = shown(imd, "status", "--wait", "online", "--timeout", "3")
        assert status != 0 and b"waiting for the connection 1 s" in text and b"2 s" in text, text
        assert b"waiting" not in imd.imctl("status", "--wait", "online", "--timeout", "2").stderr.encode()


def test_caught_up_can_be_waited_for(pair):
    one, two = pair
    one.stop()
    for number in range(5):
        two.ok("send", one.user.jid, f"while away {number}", "--wait", "server")
    one.start()
    one.ok("status", "--wait", "caught-up", "--timeout", "30")
    assert one.ok("history", two.user.jid).count("while away") == 5


def test_the_first_account_is_added_by_answering_questions(archive):
    with Imd(archive) as imd:
        user = imd.user
        assert imd.imctl().returncode == USAGE, "a script is asked nothing"
        environment = {"TERM": "dumb", **imd.environment}
        with Terminal([BIN / "imctl"], environment) as terminal:
            terminal.expect("Address (you@example.org): ")
            terminal.type("\x03")
            assert terminal.wait() == 128 + signal.SIGINT
        imd.stop()
        status, text = shown(imd)
        assert status == 69 and b"imd is not running" in text, text
        assert imd.imctl().returncode == USAGE, "without a terminal it stays the list of commands"
        imd.start()
        command = [BIN / "imctl", "setup", "--server", archive.address, "--ca-file", archive.ca]
        with Terminal(command, environment) as terminal:
            terminal.expect("Address (you@example.org): ")
            terminal.type("alice\n")
            terminal.expect("an address has the form user@host")
            terminal.expect("Address (you@example.org): ")
            terminal.type(f"{user.jid}\n")
            terminal.expect("Password")
            until(terminal.is_silent, 10, "the echo is off")
            terminal.type(f"{user.password}\n")
            terminal.expect("imctl contact add")
            assert terminal.wait() == 0, terminal.shown
        assert f"{user.jid} online" in imd.ok("status")
        assert imd.imctl("setup").returncode == USAGE
        status, text = shown(imd, "setup")
        assert status == 73 and b"there is an account already" in text


def write(imd, text):
    (imd.config / "imd").mkdir(mode=0o700, exist_ok=True)
    (imd.config / "imd/config.toml").write_text(text)


@pytest.mark.parametrize("text, place", [
    ("log-level = ", ":1:"), ("\n  evnt-days = 3\n", ":2:3: unknown key 'evnt-days'"),
    ('[trust]\npolicy = "tofu"\n\n[account."a@b".trust]\n  policy = "tfu"\n', ":5:3: policy takes one of"),
    ("[storage]\nkey = 3\n", ":2:1: key takes one of"), ('[trust.contacts]\n"a@b" = "x"\n', ":2:1: a@b takes one of")])
def test_the_configuration_is_checked_without_imd_and_errors_name_line_and_column(text, place):
    imd = Imd(None)
    try:
        done = imd.imctl("config", "check")
        assert done.returncode == 0 and "config.toml: does not exist" in done.stdout
        write(imd, text)
        done = imd.imctl("config", "check")
        assert done.returncode == 78 and f"config.toml{place}" in done.stderr, done.stderr
        write(imd, "event-days = 3\n")
        assert imd.ok("config", "check").endswith("config.toml: ok\n")
    finally:
        imd.__exit__()


def test_sighup_has_the_configuration_read_again_and_a_wrong_one_changes_nothing(pair):
    one, two = pair
    jid = two.user.jid

    def reload(text, expected):
        before = len(one.log())
        write(one, text)
        os.kill(one.process.pid, signal.SIGHUP)
        until(lambda: expected in one.log()[before:], 10, expected)

    again, kept = "the configuration was read again", "the configuration stays as it was"
    reload(f'[trust.contacts]\n"{jid}" = "verified-only"\n', again)
    assert "policy verified-only (configuration)" in one.ok("encryption", jid)
    held = one.imctl("send", jid, "held until somebody verifies")
    assert held.returncode == 77 and "held" in held.stderr
    reload("log-level = nonsense\n", kept)
    assert "config.toml:1:" in one.log()
    assert "policy verified-only (configuration)" in one.ok("encryption", jid)
    reload("", again)
    assert [m["body"] for m in two.messages(1)] == ["held until somebody verifies"]
    assert one.process.poll() is None
