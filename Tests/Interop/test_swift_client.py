"""The Swift library through its example program, which reads and answers while imd is killed and started."""

import subprocess

import pytest
from harness import BIN, NOPERM, UNAVAILABLE, Imd, assert_explained, die_with_parent, until


@pytest.fixture
def bot(archive):
    """The daemon that the example talks to."""
    with Imd(archive) as imd:
        yield imd.online()


@pytest.fixture
def person(archive):
    with Imd(archive) as imd:
        yield imd.online()


class Echo:
    """The example program, beside the daemon of `imd`."""

    def __init__(self, imd):
        self.imd = imd

    def __enter__(self):
        with (self.imd.root / "echo.log").open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / "imd-echo"], env=self.imd.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)

    def place(self):
        """How far it has acknowledged."""
        consumers = self.imd.call("consumer.list")["consumers"]
        return next(each for each in consumers if each["name"] == "imd-echo")


def say(person, bot, bodies):
    for body in bodies:
        person.ok("send", bot.user.jid, body, "--wait", "server")


def test_every_message_is_answered_once_while_imd_is_killed_and_started(bot, person):
    bodies = [f"message {number}" for number in range(15)]
    with Echo(bot) as echo:
        say(person, bot, bodies[:5])
        heard = person.messages(5)
        say(person, bot, bodies[5:8])
        bot.kill()
        say(person, bot, bodies[8:12])
        bot.start(wait_online=True)
        say(person, bot, bodies[12:])
        heard += person.messages(10)
        assert [event["body"] for event in heard] == bodies
        # The last one is done once the next is asked for, which is at once.
        last = bot.told("message", direction="in")[-1]["number"]
        until(lambda: echo.place()["acknowledged"] >= last, 20, "all is acknowledged")
    # Another run goes on behind it.
    with Echo(bot):
        say(person, bot, ["once more"])
        assert person.messages(1)[0]["body"] == "once more"
        assert not [event for event in person.events(1) if event["type"] == "message"]


def test_what_prevents_the_first_connection_is_said_at_once(bot):
    (bot.run / "imd").chmod(0o755)
    with Echo(bot) as echo:
        assert echo.process.wait(20) == NOPERM
    (bot.run / "imd").chmod(0o700)
    bot.stop()
    with Echo(bot) as echo:
        assert echo.process.wait(20) == UNAVAILABLE
    assert_explained((bot.root / "echo.log").read_text())
