"""imctl bot: a command per message, what it may know, what its end means, and what a kill costs."""

import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from faults import Sender, acquaint, figure, randomness, scaled, warm_up
from harness import BIN, CANTCREAT, NOINPUT, UNAVAILABLE, USAGE, Imd, Peer, assert_explained, die_with_parent, until


class Bot:
    """`imctl bot` with a command of its own, written as a shell script; `log` is a file for that to write to."""

    def __init__(self, imd, script, *options, name="bot", interpreter="/bin/sh"):
        self.imd, self.options, self.name = imd, list(map(str, options)), name
        self.folder = Path(tempfile.mkdtemp(prefix="bot-", dir=imd.root))
        self.log, self.errors, self.command = (self.folder / part for part in ("log", "errors", "command"))
        self.log.touch()
        self.write(script, interpreter)
        self.process = None

    def write(self, script, interpreter="/bin/sh"):
        self.command.write_text(f"#!{interpreter}\n{script}\n")
        self.command.chmod(0o700)

    @property
    def environment(self):
        return {**self.imd.environment, "LOG": str(self.log), "PATH": f"{BIN}:{os.environ['PATH']}"}

    def start(self):
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [BIN / "imctl", "bot", self.name, *self.options, "--", self.command], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=die_with_parent)
        until(self.is_connected, 20, "the bot is connected")
        return self

    def is_connected(self):
        assert self.process.poll() is None, self.told()
        consumers = self.imd.call("consumer.list")["consumers"]
        return any(c["connected"] for c in consumers if c["name"] == self.name)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(10)

    def told(self):
        return self.errors.read_text(errors="replace")

    def lines(self):
        return self.log.read_text().splitlines()

    def failures(self):
        shown = self.imd.ok("bot", self.name, "--failures", "--json")
        return [json.loads(line) for line in shown.splitlines()]

    def replay(self, *options):
        return subprocess.run(
            [BIN / "imctl", "bot", self.name, "--replay", *options, "--", self.command], env=self.environment,
            capture_output=True, text=True, timeout=60)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.stop()


@pytest.fixture
def friend(imd, other):
    """A second user's daemon whose sessions with the bot's are made."""
    acquaint(imd, other)
    return other


def say(friend, imd, *bodies):
    for body in bodies:
        friend.ok("send", imd.user.jid, "--", body) if body.startswith("-") else friend.ok("send", imd.user.jid, body)


def answers(friend, count, seconds=30):
    return [message["body"] for message in friend.messages(count, seconds)]


ECHO = "jq -r .body"


def test_what_a_command_prints_is_the_reply(imd, peer):
    """To an independent client; one line end at the end is not part of it, and nothing is no reply."""
    warm_up(imd, peer)
    script = 'case $(jq -r .body) in quiet) ;; two) printf "a\\nb\\n\\n" ;; *) echo "hello $IMD_FROM" ;; esac'
    with Bot(imd, script):
        for body in ("quiet", "two", "x"):
            peer.send(imd.user.jid, body)
        assert [m["body"] for m in peer.messages(2)] == ["a\nb\n", f"hello {peer.user.jid}"]
        assert all(m["encrypted"] for m in peer.seen if m["ev"] == "message")


def test_a_new_bot_begins_with_what_is_new_and_then_misses_nothing(imd, friend):
    say(friend, imd, "before it was there")
    imd.messages(1, 30, "--consumer", "witness")
    with Bot(imd, ECHO) as bot:
        say(friend, imd, "one")
        assert answers(friend, 1) == ["one"]
        bot.stop()
        say(friend, imd, "while it was away")
    with Bot(imd, ECHO):
        assert answers(friend, 1) == ["while it was away"]


def test_json_output_is_several_messages_also_to_others(imd, friend, peer):
    warm_up(imd, peer)
    other = f'{{"to":"{peer.user.jid}","body":"for you"}}'
    script = f"""cat >/dev/null; echo '{{"body":"one"}}'; echo '[{{"body":"two"}}, {other}]'"""
    with Bot(imd, script, "--json"):
        say(friend, imd, "go")
        assert answers(friend, 2) == ["one", "two"]
        assert peer.next("message")["body"] == "for you"


@pytest.mark.parametrize("output, word", [
    ('{"body":"one"}\n{"reaction":"secret"}', "line 2 of its output: the text is no reaction"),
    ("secret", "line 1 of its output is not valid JSON"),
    ('{"body":"one"}\n{"body":3}', '"body" in line 2 of its output is not a string'),
    ('{"body":"x","secret":1}', "none of"), ("{}", 'no "body"'),
    ('{"body":"one"}\n{"to":"bob","body":"x"}', '"to" in line 2 of its output is no address'),
    ('{"to":"bob@example.org/home","body":"x"}', "is no address"), ('"secret"', "a string, not an object")])
def test_output_that_is_no_reply_is_kept_as_a_failure_and_nothing_of_it_is_sent(imd, friend, output, word):
    with Bot(imd, f"cat >/dev/null; cat <<'END'\n{output}\nEND", "--json") as bot:
        say(friend, imd, "go")
        [failure] = until(bot.failures, 20, "it failed")
        assert word in failure["reason"] and "secret" not in failure["reason"]
        assert "secret" not in bot.told() and word in bot.told()
        assert friend.events(1) == []


REACT = """case $(jq -r .body) in
  go) echo '{"reaction":"\u23f3"}'; echo '[{"reaction":"\u2705 \U0001f389"},{"body":"done"}]' ;;
  never) echo '{"reaction":""}' ;;
esac"""


def test_a_command_reacts_to_messages_and_the_server_does_not_see_how(place):
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--only", "omemo2"]) as peer, \
            Bot(imd.online(), REACT, "--json"):
        peer.send(one.jid, "go", version="omemo2")
        first, second = peer.next("reactions"), peer.next("reactions")
        assert [first["emojis"], second["emojis"]] == [["\u23f3"], ["\u2705", "\U0001f389"]]
        [heard] = imd.messages(1)
        assert first["of"] == second["of"] == heard["id"]
        assert not [tag for tag in first["outer"] if "reactions" in tag or "body" in tag]
        assert peer.next("message")["body"] == "done"
        peer.send(one.jid, "never", version="omemo2")
        assert peer.next("reactions")["emojis"] == []
        ids = {m["body"]: m["id"] for m in imd.call("message.list", chat=two.jid)["messages"]}
        assert ids["done"].endswith(":0") and ids["\u23f3"].endswith(":r0"), "texts are counted for themselves"
        shown = imd.ok("history", two.jid)
        assert f"[reaction to {heard['id']}]: \u2705 \U0001f389\n" in shown, shown
        assert not [e for e in peer.seen if e["ev"] in ("failed", "error")]


def test_row_29_a_reaction_that_would_travel_in_clear_is_left_out_and_the_answer_goes(place):
    """Nothing of it leaves, by the bot or by hand; with --plaintext neither, as the chat is encrypted."""
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--only", "legacy"]) as peer:
        with Bot(imd.online(), REACT, "--json") as bot:
            peer.send(one.jid, "go")
            assert peer.next("message")["body"] == "done"
            until(lambda: bot.told().count("its reaction is left out: no-trusted-device") == 2, 10, "it is told")
            assert bot.failures() == []
        [heard] = imd.messages(1)
        for options in ([], ["--plaintext"]):
            refused = imd.imctl("send", two.jid, "\U0001f44d", "--react-to", heard["id"], *options)
            assert refused.returncode == 77, refused
            assert_explained(refused.stderr)
            assert ("chat" if options else "legacy-only") in refused.stderr
        empty = imd.imctl("send", two.jid, "--react-to", heard["id"], stdin="")
        assert empty.returncode == 65 and "empty" in empty.stderr, "what failed to say anything takes nothing back"
        assert not [e for e in peer.quiet(2) if e["ev"] in ("reactions", "message", "foreign")]


IDS = ("IMD_ACCOUNT=", "IMD_CHAT=", "IMD_FROM=", "IMD_MESSAGE_ID=", "IMD_EVENT_NUMBER=")
HOSTILE = ["$(touch x)", ";id", "a\nb\n$(id)", "() { :;}; touch x", "-n", "`id`", "%s%n", "\u202e\u0007"[:1], "'\";"]


def test_nothing_of_a_text_reaches_argv_or_environment_and_no_descriptor_leaks(imd, friend):
    """D37: content comes on standard input alone."""
    script = """mkdir "$LOG.d" 2>/dev/null; into="$LOG.d/$IMD_EVENT_NUMBER"
        tr '\\0' '\\n' </proc/$$/cmdline >"$into.argv"; tr '\\0' '\\n' </proc/$$/environ | sort >"$into.env"
        ls -l /proc/$$/fd >"$into.fd"; cat >"$into.in"; echo done >"$into.done" """
    imd.environment["IMD_CHAT"] = imd.environment["IMD_MESSAGE_ID"] = "not of this message"
    with Bot(imd, script) as bot:
        for body in HOSTILE:
            say(friend, imd, body)
        done = until(
            lambda: (found := list(bot.folder.glob("log.d/*.done"))) and len(found) == len(HOSTILE) and found,
            40, "all were handled")
    places = [path.with_suffix("") for path in sorted(done, key=lambda path: int(path.stem))]
    assert [json.loads(place.with_suffix(".in").read_text())["body"] for place in places] == HOSTILE
    assert all(place.with_suffix(".in").read_bytes().count(b"\n") == 1 for place in places)
    assert {place.with_suffix(".argv").read_text() for place in places} == {f"/bin/sh\n{bot.command}\n"}
    own, common = [], set()
    for place in places:
        lines = place.with_suffix(".env").read_text().splitlines()
        own.append({line.split("=")[0]: line.split("=", 1)[1] for line in lines if line.startswith(IDS)})
        common.add(tuple(line for line in lines if not line.startswith(IDS)))
        descriptors = place.with_suffix(".fd").read_text()
        assert "socket:" not in descriptors and descriptors.count("pipe:") == 2, descriptors
    assert len(common) == 1
    for place, values in zip(places, own):
        event = json.loads(place.with_suffix(".in").read_text())
        assert values == {
            "IMD_ACCOUNT": imd.user.jid, "IMD_CHAT": friend.user.jid, "IMD_FROM": friend.user.jid,
            "IMD_MESSAGE_ID": event["id"], "IMD_EVENT_NUMBER": str(event["number"])}
    assert not any(path.name == "x" for path in imd.root.rglob("x")) and not Path("x").exists()


def test_an_id_that_a_stranger_made_up_is_not_in_the_environment(imd, friend, peer):
    """A stanza's id is the sender's choice."""
    warm_up(imd, peer)
    imd.environment["IMD_MESSAGE_ID"] = "not of this message"
    with Bot(imd, 'echo "id=$IMD_MESSAGE_ID" >>"$LOG"', "--plaintext") as bot:
        head = f"<message xmlns='jabber:client' to='{imd.user.jid}' type='chat' id='$(touch x)'>"
        peer.do("raw", xml=head + "<body>plain</body></message>")
        until(bot.lines, 20, "it was handled")
        assert bot.lines() == ["id="]


def test_the_exit_status_decides_what_becomes_of_a_message(imd, friend):
    script = """body=$(jq -r .body); echo "$body" >>"$LOG"
        case $body in
        later) [ "$(grep -c later "$LOG")" -gt 1 ] || { echo no; exit 75; } ;;
        never) echo no; exit 3 ;;
        dies) [ "$(grep -c dies "$LOG")" -gt 1 ] || kill -9 $$ ;;
        esac
        echo "$body done" """
    with Bot(imd, script) as bot:
        say(friend, imd, "later", "never", "dies", "last")
        assert answers(friend, 3) == ["later done", "dies done", "last done"]
        assert bot.lines() == ["later", "later", "never", "dies", "dies", "last"], "their order is kept"
        [failure] = bot.failures()
        assert failure["reason"] == "it ended with status 3" and failure["attempts"] == 1
        assert failure["event"]["body"] == "never" and failure["consumer"] == "bot"
        assert failure["event"]["number"] == failure["number"]
        assert "it ended with status 75; trying again in 1 s" in bot.told()
        assert not any(body in bot.told() for body in ("later", "never", "dies"))
        shown = imd.ok("bot", "bot", "--failures")
        assert shown.startswith(f"{failure['number']} ") and friend.user.jid in shown and "never" not in shown


def test_what_is_always_tried_again_fails_in_the_end_and_holds_up_its_chat_alone(imd, friend, peer):
    warm_up(imd, peer)
    script = 'body=$(jq -r .body); [ "$body" != never ] || exit 75; echo "$body"'
    with Bot(imd, script, "--attempts", 3) as bot:
        say(friend, imd, "never", "behind it")
        until(lambda: "trying again" in bot.told(), 20, "it was tried")
        peer.send(imd.user.jid, "elsewhere")
        assert peer.next("message")["body"] == "elsewhere"
        assert bot.failures() == []
        assert answers(friend, 1) == ["behind it"]
        [failure] = bot.failures()
        assert failure["attempts"] == 3 and failure["reason"] == "it ended with status 75"


def test_failures_are_replayed_once_the_command_can_do_them(imd, friend):
    with Bot(imd, "exit 3") as bot:
        say(friend, imd, "one", "two")
        until(lambda: len(bot.failures()) == 2, 20, "both failed")
        again = bot.replay()
        assert again.returncode == UNAVAILABLE and "2 of 2 messages failed again" in again.stderr
        assert_explained(again.stderr)
        assert len(bot.failures()) == 2
        bot.write("jq -r .body")
        assert bot.replay().returncode == 0, "also while the bot is running"
        assert answers(friend, 2) == ["one", "two"]
        assert bot.failures() == []
    assert imd.imctl("bot", "nobody", "--failures").returncode == NOINPUT


def test_a_reply_that_cannot_be_sent_is_a_failure(imd, friend, server):
    stranger = server.user()  # has no device
    script = f"""cat >/dev/null; echo '{{"to":"{stranger.jid}","body":"x"}}'"""
    with Bot(imd, script, "--json") as bot:
        say(friend, imd, "go")
        [failure] = until(bot.failures, 30, "it failed")
        assert failure["reason"] == "the reply was refused: no-trusted-device"


def alive(pattern):
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True).returncode == 0


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(imd, friend):
    mark = f"3{random.randrange(10**6):06}.25"
    script = f"""trap 'echo asked >>"$LOG"' TERM; (trap '' TERM; sleep {mark}) & sleep {mark}; sleep {mark}"""
    with Bot(imd, script, "--timeout", 1, "--attempts", 1) as bot:
        say(friend, imd, "go")
        until(lambda: alive(mark), 20, "it runs")
        [failure] = until(bot.failures, 20, "it failed")
        assert failure["reason"] == "it took longer than 1 s" and bot.lines() == ["asked"]
        until(lambda: not alive(mark), 5, "all of it is gone")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_bot_that_is_ended_ends_its_command_and_has_the_message_again(imd, friend, number):
    mark = f"3{random.randrange(10**6):06}.25"
    with Bot(imd, f"sleep {mark}; echo late") as bot:
        say(friend, imd, "go")
        until(lambda: alive(mark), 20, "it runs")
        assert bot.stop(number) == 128 + number
        assert not alive(mark)
        bot.write(ECHO)
        bot.start()
        assert answers(friend, 1) == ["go"]


def test_what_came_in_clear_is_not_handled_unless_that_is_asked_for(imd, friend, peer):
    """Whoever can put a message into the stream could give orders otherwise, under any name."""
    warm_up(imd, peer)
    options = "--from", peer.user.jid
    with Bot(imd, ECHO, *options) as bot, Bot(imd, 'jq -r .body >>"$LOG"', *options, "--plaintext", name="lax") as lax:
        peer.send(imd.user.jid, "deploy in clear", plain=True)
        peer.send(imd.user.jid, "deploy")
        assert [m["body"] for m in peer.messages(1)] == ["deploy"]
        until(lambda: lax.lines() == ["deploy in clear", "deploy"], 20, "the other has both")
        assert "in clear" not in bot.told() and bot.told().count("without encryption") == 1
        assert f"from {peer.user.jid} is ignored" in bot.told() and bot.failures() == []
    assert "without encryption" not in lax.told()


def test_an_expression_sees_letters_and_not_bytes(imd, friend):
    with Bot(imd, ECHO, "--match", "^.[[:alpha:]]$"):
        say(friend, imd, "äöü", "жж")
        assert answers(friend, 1) == ["жж"]


def test_sender_chat_text_and_account_can_be_chosen(imd, friend, peer, server):
    warm_up(imd, peer)
    second = server.user()
    assert imd.add_account(second).returncode == 0
    account = imd.user.jid
    with contextlib.ExitStack() as stack:
        bots = {
            name: stack.enter_context(Bot(imd, 'echo "$(jq -r .body)" >>"$LOG"', *options, name=name))
            for name, options in {
                "from": ["--from", friend.user.jid.upper(), "--from", "nobody@example.org"],
                "chat": ["--chat", peer.user.jid], "match": ["--match", "^(deploy|stop) [a-z]+$"],
                "account": ["--account", second.jid], "all": ["--account", account]}.items()}
        say(friend, imd, "deploy shop", "Deploy shop")
        imd.messages(2, 30, "--consumer", "witness", "--account", account)
        peer.send(account, "stop it")
        friend.ok("send", second.jid, "to the other account")
        until(lambda: len(bots["all"].lines()) == 3 and bots["account"].lines(), 30, "all have theirs")
        time.sleep(0.5)
        assert {name: bot.lines() for name, bot in bots.items()} == {
            "from": ["deploy shop", "Deploy shop", "to the other account"], "chat": ["stop it"],
            "match": ["deploy shop", "stop it"], "account": ["to the other account"],
            "all": ["deploy shop", "Deploy shop", "stop it"]}
        until(lambda: all(c["acknowledged"] for c in imd.call("consumer.list")["consumers"]), 10, "acknowledged")


def test_what_cannot_work_is_told_at_once(imd):
    for status, arguments in [
            (USAGE, ["bot", "b"]), (USAGE, ["bot", "b", "--match", "(", "--", "cat"]),
            (USAGE, ["bot", "b c", "--", "cat"]),
            (USAGE, ["bot", "b", "--from", "bob", "--", "cat"]), (USAGE, ["bot", "b", "--parallel", "0", "--", "cat"]),
            (USAGE, ["bot", "b", "--chat", "@", "--", "cat"]), (NOINPUT, ["bot", "b", "--", "/nowhere/x"]),
            (NOINPUT, ["bot", "b", "--", "no-such-command"]), (USAGE, ["bot", "b", "--account", "x@y", "--", "cat"])]:
        done = imd.imctl(*arguments, timeout=20)
        assert done.returncode == status, (arguments, done.stderr)
        assert "imctl: error: " in done.stderr
    imd.kill()
    assert imd.imctl("bot", "b", "--", "cat", timeout=20).returncode == UNAVAILABLE
    imd.start()
    with Bot(imd, ECHO):
        twice = imd.imctl("bot", "bot", "--", "cat", timeout=20)
        assert twice.returncode == CANTCREAT, twice.stderr


def test_chats_run_in_parallel_and_each_keeps_its_order(imd, friend, peer):
    warm_up(imd, peer)
    script = """line=$(jq -r '"\\(.from) \\(.body)"'); echo "begin $line" >>"$LOG"
        sleep 0.3; echo "end $line" >>"$LOG" """
    with Bot(imd, script, "--parallel", 4) as bot:
        for number in range(4):
            peer.send(imd.user.jid, f"{number}")
            say(friend, imd, f"{number}")
        until(lambda: len(bot.lines()) == 16, 30, "all are handled")
        overlaps, running = 0, []
        for line in bot.lines():
            what, jid, number = line.split()
            if what == "begin":
                assert jid not in running, "one run of a chat at a time"
                running.append(jid)
            else:
                running.remove(jid)
            overlaps += len(running) == 2
        assert overlaps, "two chats run side by side"
        for jid in (friend.user.jid, peer.user.jid):
            order = [line.split()[2] for line in bot.lines() if line.startswith("end") and jid in line]
            assert order == ["0", "1", "2", "3"]


LINES = """import json, os, sys
with open(os.environ["LOG"], "a") as log:
    print("started", file=log, flush=True)
    for line in sys.stdin:
        body = json.loads(line)["body"]
        print(body, file=log, flush=True)
        if body == "die" and open(os.environ["LOG"]).read().count("die") == 1:
            sys.exit(0)
        if body == "hang":
            import time; time.sleep(600)
        print("" if body == "quiet" else body.upper(), flush=True)"""


def test_a_command_that_stays_answers_line_by_line(imd, friend):
    with Bot(imd, LINES, "--lines", "--timeout", 2, "--attempts", 2, interpreter="/usr/bin/env python3") as bot:
        say(friend, imd, "one", "quiet", "two", "die", "three")
        assert answers(friend, 4) == ["ONE", "TWO", "DIE", "THREE"]
        assert bot.lines() == ["started", "one", "quiet", "two", "die", "started", "die", "three"]
        assert "the command is started again in 1 s: it ended with status 0" in bot.told()
        say(friend, imd, "hang", "four")
        assert answers(friend, 1) == ["FOUR"]
        [failure] = bot.failures()
        assert failure["reason"] == "it did not answer within 2 s" and failure["attempts"] == 2
        assert not alive(str(bot.command)) or bot.stop() == 128 + signal.SIGTERM
    until(lambda: not alive(str(bot.command)), 5, "it is gone with the bot")


JSON_LINES = """import json, sys
for line in sys.stdin:
    body = json.loads(line)["body"]
    print(json.dumps([{"body": body[:4]}, {"body": body[4:]}] if len(body) > 4 else []), flush=True)"""


def test_a_command_that_stays_can_answer_in_json_and_several_at_a_time(imd, friend):
    with Bot(imd, JSON_LINES, "--lines", "--json", "--parallel", 4, interpreter="/usr/bin/env python3"):
        say(friend, imd, "one two", "no", "three four")
        assert answers(friend, 4) == ["one ", "two", "thre", "e four"]


@pytest.mark.parametrize("options", [[], ["--lines"]])
def test_long_texts_come_and_go_whole(imd, friend, options):
    """Longer than a pipe holds."""
    text = "ü" * 30_000 + '"' * 5_000
    script = "import sys, json\nfor line in sys.stdin: print(json.loads(line)['body'][::-1], flush=True)"
    with Bot(imd, script, *options, interpreter="/usr/bin/env python3"):
        friend.ok("send", imd.user.jid, "-", stdin=text)
        assert answers(friend, 1) == [text[::-1]]


def test_it_outlasts_a_restart_of_imd(imd, friend):
    with Bot(imd, 'body=$(jq -r .body); echo "$body" >>"$LOG"; sleep 1; echo "$body"') as bot:
        say(friend, imd, "one")
        until(bot.lines, 20, "it runs")
        imd.kill()
        time.sleep(1.5)  # the command ends while nobody is there for its reply
        imd.start(wait_online=True)
        say(friend, imd, "two")
        assert answers(friend, 2) == ["one", "two"]
        assert bot.lines() == ["one", "two"], "and none is run again for it"
        assert "waiting for imd to come back" in bot.told()


def test_it_does_not_answer_what_is_its_own(imd, friend, server):
    """Neither what another of its accounts writes, nor what it sends to itself."""
    second = server.user()
    assert imd.add_account(second).returncode == 0
    with Bot(imd, 'body=$(jq -r .body); echo "$body" >>"$LOG"; echo "re: $body"') as bot:
        imd.ok("send", second.jid, "to my other self", "--account", imd.user.jid, "--wait", "server")
        imd.ok("send", friend.user.jid, "to a friend", "--account", imd.user.jid, "--wait", "server")
        say(friend, imd, "hello")
        assert answers(friend, 2) == ["to a friend", "re: hello"]
        time.sleep(1)
        assert bot.lines() == ["hello"]


def test_a_reply_that_is_known_is_not_sent_again_even_if_it_would_be_another(imd, friend):
    """What was handled before comes again after a rewind; the command answers differently now."""
    bot = Bot(imd, 'cat >/dev/null; echo x >>"$LOG"; wc -l <"$LOG"', "--match", "^go$")
    with bot:
        say(friend, imd, "go")
        [first] = answers(friend, 1)
    imd.ok("consumer", "rewind", "bot", "--by", 30)
    with bot:
        until(lambda: len(bot.lines()) >= 2, 20, "it is handled again")
        time.sleep(1)
        assert friend.events(1) == [], f"after {first}"
        assert bot.failures() == []


@pytest.mark.faults
def test_killed_at_random_it_handles_everything_in_order_and_answers_once(imd, friend, peer):
    """Handled again is only what was not yet acknowledged."""
    warm_up(imd, peer)
    kills, count = scaled(5, 50), scaled(100, 1000)
    chance = randomness("bot")
    bodies = [f"#{number} ".ljust(20, "x") for number in range(count)]
    script = r"""read -r line; printf '%s\n' "$line" >>"$LOG"; body=${line#*\"body\":\"}; printf '%s\n' "${body%%\"*}" """
    began = time.monotonic()
    bot = Bot(imd, script, "--parallel", 2)
    deaths = []
    with bot:
        sender = Sender(friend, imd.user.jid, bodies, pause=0)
        sender.start()
        peer.burst(imd.user.jid, count, 20)
        for moment in sorted(chance.sample(range(2 * count), kills)):
            until(lambda: len(bot.lines()) >= moment, 120, "it goes on")
            time.sleep(chance.uniform(0, 0.1))
            place = next(c["acknowledged"] for c in imd.call("consumer.list")["consumers"] if c["name"] == "bot")
            bot.kill()
            deaths.append((len(bot.lines()), place))
            bot.start()
        sender.finish()
        peer.next("burst", scaled(60, 300))
        until(lambda: len(handled(bot)) >= 2 * count, scaled(60, 600), "all are handled")
        to_friend = answers(friend, count, scaled(60, 300))
        until(lambda: len(received(peer)) >= count, scaled(60, 300), "the peer has all replies")
        time.sleep(1)
        to_peer = received(peer)
        assert [e for e in friend.events(1) if e["type"] == "message"] == [], "no reply twice"
    assert to_friend == bodies and to_peer == bodies, "each once, in order"
    runs = [json.loads(line) for line in bot.lines()]
    for jid in (friend.user.jid, peer.user.jid):
        first = list(dict.fromkeys(run["body"] for run in runs if run["from"] == jid))
        assert first == bodies, "none skipped, in order"
    for line, place in deaths:
        assert all(run["number"] > place for run in runs[line:]), "what was acknowledged never comes again"
    repeated = len(runs) - len({run["number"] for run in runs})
    figure(
        "bot", f"{kills} kills -9 while {2 * count} messages of two senders came: each handled, in order, "
        f"{repeated} handled again, 0 replies doubled, {time.monotonic() - began:.0f} s")


def received(peer):
    peer.quiet(0.3)
    return [event["body"] for event in peer.seen if event["ev"] == "message"]


def handled(bot):
    return {json.loads(line)["number"] for line in bot.lines() if line.endswith("}")}
