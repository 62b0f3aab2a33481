"""Prompts for secrets: the terminal is left as it was, however they end."""

import os
import signal

import pytest
from harness import BIN, Imd, until
from terminal import Terminal

SECRET = "open sesame"


@pytest.fixture(params=["imctl", "imd"])
def prompting(request, tmp_path):
    """A program that asks for a new passphrase, on a terminal of its own."""
    imd = Imd(None)
    try:
        if request.param == "imd":
            (imd.config / "imd").mkdir(mode=0o700)
            (imd.config / "imd/config.toml").write_text('[storage]\nkey = "passphrase"\n')
            command = [BIN / "imd"]
        else:
            command = [BIN / "imctl", "account", "export", tmp_path / "backup.imd"]
        with Terminal(command, imd.environment) as terminal:
            terminal.expect("assphrase")
            until(terminal.is_silent, 10, "the echo is off")
            yield terminal
    finally:
        imd.__exit__()


@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-\\", "SIGTERM", "SIGHUP"])
def test_a_prompt_that_is_interrupted_leaves_the_terminals_echo_on(prompting, how):
    prompting.type("half of the sec")
    keys = {"Ctrl-C": "\x03", "Ctrl-\\": "\x1c"}
    if how in keys:
        prompting.type(keys[how])
        expected = signal.SIGINT if how == "Ctrl-C" else signal.SIGQUIT
    else:
        expected = getattr(signal, how)
        os.kill(prompting.pid, expected)
    assert prompting.wait(10) == 128 + expected, prompting.shown
    assert not prompting.is_silent()
    assert b"half" not in prompting.shown


def test_a_prompt_that_is_stopped_shows_what_is_typed_meanwhile_and_asks_again(prompting):
    prompting.type("half of the sec\x1a")
    until(prompting.is_stopped, 10, "it is stopped")
    assert not prompting.is_silent()
    os.kill(prompting.pid, signal.SIGCONT)
    prompting.expect("assphrase")
    until(prompting.is_silent, 10, "the echo is off again")
    prompting.type(f"{SECRET}\n")
    prompting.expect("The same again: ")
    until(prompting.is_silent, 10, "it is off for the second as well")
    prompting.type("close sesame\n")
    assert prompting.wait(30) in (64, 78)
    assert b"differ" in prompting.shown
    assert not prompting.is_silent()
    assert b"sesame" not in prompting.shown
