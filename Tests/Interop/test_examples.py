"""Everything in examples/ as people copy it, against a real server, with an independent client at the other end."""

import contextlib
import json
import os
import re
import subprocess
import time

import pytest
from faults import warm_up
from harness import BIN, USAGE, die_with_parent, until
from servers import ROOT
from test_access import configure, place

EXAMPLES = ROOT / "examples"


def environment(imd, **more):
    return {**imd.environment, "PATH": f"{BIN}:{os.environ['PATH']}", **more}


def run(imd, name, *arguments, stdin="", **more):
    return subprocess.run(
        [EXAMPLES / name, *map(str, arguments)], env=environment(imd, **more), input=stdin, capture_output=True,
        text=True, timeout=60, cwd=imd.root)


@contextlib.contextmanager
def running(imd, name, *arguments, **options):
    """An example that goes on until it is ended."""
    with (imd.root / "example.log").open("ab") as errors:
        process = subprocess.Popen(
            [EXAMPLES / name, *map(str, arguments)], env=environment(imd), text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=errors, preexec_fn=die_with_parent, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def pair(imd, peer):
    """A daemon and the independent client, who have written to each other."""
    warm_up(imd, peer)
    return imd, peer


def connected(imd, consumer):
    return lambda: any(c["connected"] for c in imd.call("consumer.list")["consumers"] if c["name"] == consumer)


def acknowledged(imd, consumer):
    return next(c["acknowledged"] for c in imd.call("consumer.list")["consumers"] if c["name"] == consumer)


def body(peer, seconds=30):
    message = peer.next("message", seconds)
    assert message["encrypted"], "nothing is sent in clear"
    return message["body"]


def test_every_example_has_a_test_a_usage_and_can_be_run():
    source = (ROOT / "Tests/Interop/test_examples.py").read_text()
    for path in EXAMPLES.iterdir():
        if path.is_dir():
            continue  # programs of their own, built and tested with the package
        assert f'"{path.name}"' in source, f"{path.name} has no test"
        if path.suffix != ".md":
            assert os.access(path, os.X_OK), path.name
            lines = path.read_text().splitlines()
            assert lines[0].startswith("#!") and lines[1].startswith("# ") and lines[2].startswith("# Use"), path.name
            assert not lines[3].startswith("#"), "two lines say it"


def test_the_echo_bot_is_five_lines_of_shell_and_answers(pair):
    imd, peer = pair
    assert len((EXAMPLES / "echo-bot.sh").read_text().splitlines()) == 5
    with running(imd, "echo-bot.sh", "--from", peer.user.jid):
        until(connected(imd, "echo"), 20, "the bot is connected")
        for text in ("hello", "a\nb", "$(touch x)"):
            peer.send(imd.user.jid, text)
            assert body(peer) == text


def test_the_disk_alert_tells_each_finding_once_a_day(pair):
    imd, peer = pair
    for _ in range(3):
        done = run(imd, "disk-alert.sh", peer.user.jid, 0)
        assert done.returncode == 0 and not done.stdout, done.stderr
    text = body(peer)
    assert "these are at least 0 % full:\n/" in text
    assert run(imd, "disk-alert.sh", peer.user.jid, 101).returncode == 0, "all is well"
    assert not [e for e in peer.quiet(1) if e["ev"] == "message"]
    imd.stop()
    gone = run(imd, "disk-alert.sh", peer.user.jid, 0)
    assert gone.returncode != 0 and "error: " in gone.stderr, "cron mails it"


def test_the_ci_notifier_tells_a_result_once_and_waits_for_the_server(pair):
    imd, peer = pair
    for _ in range(2):
        done = run(imd, "ci-notify.sh", peer.user.jid, "shop-tests", 4711, "failed", "https://ci.example.org/4711")
        assert done.returncode == 0, done.stderr
    assert body(peer) == "shop-tests 4711: failed\nhttps://ci.example.org/4711"
    assert run(imd, "ci-notify.sh", peer.user.jid, "shop-tests", 4712, "passed").returncode == 0
    assert body(peer) == "shop-tests 4712: passed"
    assert not [e for e in peer.quiet(1) if e["ev"] == "message"]
    assert run(imd, "ci-notify.sh", "nobody", "shop-tests", 4712, "passed").returncode == USAGE


def test_the_log_watcher_groups_lines_and_sends_one_message_per_interval(pair):
    imd, peer = pair
    with running(imd, "log-watch.py", peer.user.jid, 4) as watcher:
        watcher.stdin.write("first\n")
        watcher.stdin.flush()
        assert body(peer) == "first"
        began = time.monotonic()
        for number in range(40):
            watcher.stdin.write(f"line {number}\x1b[2J\n")
            watcher.stdin.flush()
            time.sleep(0.01)
        text = body(peer)
        assert time.monotonic() - began > 1.5, "it waited"
        assert text.splitlines() == [*(f"line {n}?[2J" for n in range(30)), "and 10 more lines"]
        watcher.stdin.write("the end, without a line end")
        watcher.stdin.close()
        assert body(peer) == "the end, without a line end"
        assert watcher.wait(20) == 0
    assert not [e for e in peer.quiet(1) if e["ev"] == "message"]


def test_the_log_watcher_keeps_what_it_could_not_send(pair):
    imd, peer = pair
    imd.stop()
    with running(imd, "log-watch.py", peer.user.jid, 1) as watcher:
        watcher.stdin.write("while imd was away\n")
        watcher.stdin.flush()
        time.sleep(2)
        imd.start(wait_online=True)
        assert body(peer) == "while imd was away"


def test_the_log_watcher_sends_nothing_twice_when_an_answer_is_lost_or_the_message_held(pair, tmp_path):
    """imctl stands in here: first accepted but unanswered, then held."""
    imd, peer = pair
    (tmp_path / "imctl").write_text(
        f"""#!/bin/sh
echo "$4" >>"$IDS"
{BIN}/imctl "$@" >/dev/null
case $(wc -l <"$IDS") in 1) exit 75 ;; *) echo "$4"; exit 77 ;; esac
""")
    (tmp_path / "imctl").chmod(0o700)
    watcher = subprocess.Popen(
        [EXAMPLES / "log-watch.py", peer.user.jid, "1"], text=True, stdin=subprocess.PIPE, preexec_fn=die_with_parent,
        env=environment(imd, PATH=f"{tmp_path}:{os.environ['PATH']}", IDS=str(tmp_path / "ids")))
    watcher.stdin.write("once\n")
    watcher.stdin.flush()
    assert body(peer) == "once"
    until(lambda: len((tmp_path / "ids").read_text().split()) == 2, 10, "sent again")
    watcher.stdin.close()
    assert watcher.wait(10) == 0
    assert len(set((tmp_path / "ids").read_text().split())) == 1, "under the same id"
    assert not [e for e in peer.quiet(1) if e["ev"] == "message"]


def test_the_bot_on_the_bare_socket_answers_and_outlasts_a_restart(pair):
    imd, peer = pair
    with running(imd, "socket-bot.py", "bare"):
        until(connected(imd, "bare"), 20, "the bot is connected")
        peer.send(imd.user.jid, "nothing for a bot")
        peer.send(imd.user.jid, "ping", plain=True)  # anybody could have written it
        peer.send(imd.user.jid, "ping")
        assert body(peer) == "pong"
        imd.kill()
        imd.start(wait_online=True)
        peer.send(imd.user.jid, "time")
        assert re.fullmatch(r"\d\d:\d\d:\d\d", body(peer, 60))
        until(connected(imd, "bare"), 20, "the bot is connected")
        before = acknowledged(imd, "bare")
        peer.send(imd.user.jid, "ping")
        assert body(peer) == "pong"
        until(lambda: acknowledged(imd, "bare") > before, 10, "acknowledged")
    assert not [e for e in peer.quiet(1) if e["ev"] == "message"], "nothing is answered twice"


def test_the_status_bar_shows_unread_and_state(pair):
    imd, peer = pair
    imd.ok("contact", "add", peer.user.jid, "--name", "<b>Peer</b> & co")
    with running(imd, "waybar-imd.py") as bar:
        def shown(*wanted):
            """The next line; with `wanted`, the next one of these classes."""
            while True:
                value = json.loads(bar.stdout.readline())
                if not wanted or value["class"] == list(wanted):
                    return value

        first = shown()
        assert set(first) == {"text", "alt", "tooltip", "class"} and first["class"][0] == "online"
        unread = int(first["text"] or 0)
        for number in range(2):
            peer.send(imd.user.jid, f"hello {number}")
            value = shown()
            assert value["text"] == str(unread + number + 1) and value["class"] == ["online", "unread"]
            assert value["tooltip"] == f"{unread + number + 1} &lt;b&gt;Peer&lt;/b&gt; &amp; co"
            assert "hello" not in json.dumps(value)
        imd.ok("displayed", peer.user.jid)
        imd.ok("account", "disconnect", imd.user.jid)
        value = shown("offline")
        assert value["text"] == "" and value["tooltip"] == f"{imd.user.jid}: offline"
        imd.kill()
        shown("stopped")
        imd.start()
        shown("offline")


def test_the_status_bar_and_the_bot_are_content_with_limited_sockets(pair):
    imd, peer = pair
    configure(imd, bar={"allow": ["unread", "status"]}, count={"allow": ["unread"]}, bot={"allow": ["receive", "send"]})
    imd.kill()
    imd.start(wait_online=True)
    imd.ok("displayed", peer.user.jid)
    imd.environment["IMD_SOCKET"] = str(place(imd, "bot"))
    with running(imd, "socket-bot.py", "bot"):
        until(connected(imd, "bot"), 20, "the bot is connected")
        peer.send(imd.user.jid, "ping")
        assert body(peer) == "pong"
    for name, shown in {
            "bar": ["", "online", "nothing unread", ["online"]], "count": ["", "unknown", "nothing unread", ["unknown"]],
            "bot": ["", "denied", 'this socket does not allow "chat.list"', ["denied"]]}.items():
        imd.environment["IMD_SOCKET"] = str(place(imd, name))
        with running(imd, "waybar-imd.py") as bar:
            assert list(json.loads(bar.stdout.readline()).values()) == shown


RECIPES = re.findall(r"```sh\n(.*?)```", (EXAMPLES / "jq-recipes.md").read_text(), re.S)


def test_the_recipes_for_jq_print_what_they_say(pair):
    imd, peer = pair
    peer.send(imd.user.jid, 'a "quoted" text')
    peer.send(imd.user.jid, "in clear", plain=True)
    imd.messages(3, 30, "--consumer", "witness")
    imd.ok("device", "trust", peer.user.jid, "--all")
    peer.send(imd.user.jid, "from a verified device")
    imd.messages(1, 30, "--consumer", "witness")
    them, today = peer.user.jid, r"\d{4}-\d\d-\d\dT[0-9:.]+Z"
    expected = [
        rf"4 {them}\n", rf'(.|\n)*"\d\d:\d\d","{them}","in clear"\]\n\["\d\d:\d\d","{them}","from a verified device"\]\n',
        rf"{today} {them}\n",
        re.escape(json.dumps({"from": them, "body": "from a verified device"}, separators=(",", ":"))) + r"\n", "",
        r"(sent|server|delivered|displayed)\n", rf"(\d+ {them}\n)?", "", "",
        rf'(.|\n)*\["{today}","{them}","a \\"quoted\\" text"\]\n(.|\n)*']
    assert len(RECIPES) == len(expected)
    for recipe, pattern in zip(RECIPES, expected):
        done = subprocess.run(
            ["sh", "-c", recipe.replace("bob@example.org", them)], env=environment(imd), capture_output=True, text=True,
            timeout=60, cwd=imd.root)
        assert done.returncode == 0 and not done.stderr, (recipe, done.stderr)
        assert re.fullmatch(pattern, done.stdout), (recipe, done.stdout)
