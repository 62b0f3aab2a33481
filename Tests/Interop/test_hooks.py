"""Hooks: executables that imd starts for events, in order, within limits, and again where they failed (D37, F19)."""

import json
import os
import sqlite3
import statistics
import time
from pathlib import Path

import pytest
from faults import figure, resident, scaled
from harness import CONFIG, NOINPUT, SOFTWARE, Api, Imd, until

RECORD = "cat >>$HOME/events.jsonl"
PYTHON_RECORD = """
import json, os, sys
line = json.dumps({"argv": sys.argv, "environment": dict(os.environ), "event": sys.stdin.read(),
                   "descriptors": sorted(os.listdir("/proc/self/fd")), "folder": os.getcwd(),
                   "group": os.getpgid(0) == os.getpid(), "limit": __import__("resource").getrlimit(7)[0]})
open(os.environ["HOME"] + "/runs.jsonl", "a").write(line + "\\n")
"""


def add_hook(imd, name, body, header="", interpreter="/bin/sh"):
    """Puts a script into the folder of the hooks."""
    folder = imd.config / "imd/hooks.d"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!{interpreter}\n# imd-hook: {header}\n{body}\n")
    path.chmod(0o755)
    return path


def lines(imd, name="events.jsonl"):
    """What was recorded, whole lines alone."""
    path = imd.root / name
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def bodies(imd):
    return [event["body"] for event in lines(imd)]


def say(sender, imd, *texts):
    for text in texts:
        sender.call("message.send", to=imd.user.jid, body=text, plaintext=True)


def hooks(imd):
    return {hook["name"]: hook for hook in imd.call("hook.list")["hooks"]}


def failures(imd, name):
    return imd.call("failure.list", consumer=f"hook:{name}")["failures"]


def children(imd):
    """The processes that imd started and that are not reaped: pid and state."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == imd.process.pid:
            found[int(path.parent.name)] = state
    return found


def test_a_hook_gets_each_message_once_in_order_and_none_of_the_past(imd, other):
    say(other, imd, "before there was a hook")
    imd.messages(1)
    add_hook(imd, "record", RECORD)
    assert hooks(imd)["record"]["state"] == "active"
    texts = [f"message {number}" for number in range(20)]
    say(other, imd, *texts)
    until(lambda: len(lines(imd)) >= 20, 60, "20 runs")
    time.sleep(0.5)
    assert bodies(imd) == texts
    event = lines(imd)[0]
    assert event["type"] == "message" and event["from"] == other.user.jid and event["direction"] == "in"
    hook = hooks(imd)["record"]
    assert hook["running"] == hook["waiting"] == hook["failed"] == 0
    assert "message 1" not in imd.log()


def test_restarts_and_kills_lose_nothing_and_repeat_only_what_was_running(imd, other):
    add_hook(imd, "slow", f"{RECORD}; sleep 0.2; echo 1 >>$HOME/done.jsonl")
    hooks(imd)
    texts = [f"{number}" for number in range(24)]
    say(other, imd, *texts)
    for index, end in enumerate([imd.kill, imd.stop, imd.kill]):
        until(lambda: len(lines(imd)) >= 5 * (index + 1), 60, "some runs")
        end()
        imd.start(wait_online=True)
    until(lambda: len(lines(imd, "done.jsonl")) >= 24 and bodies(imd)[-1] == "23", 60, "all runs")
    seen = bodies(imd)
    assert list(dict.fromkeys(seen)) == texts, "each, in order of its first run"
    assert len(seen) <= 24 + 3, "one at most was running at each end"


@pytest.mark.parametrize("parallel", [3])
def test_parallel_runs_are_repeated_only_where_they_were_running(imd, other, parallel):
    add_hook(
        imd, "parallel", 'event=$(cat); case $event in *long*) sleep 4;; esac; printf "%s\\n" "$event" >>$HOME/events.jsonl',
        f"parallel={parallel}")
    hooks(imd)
    say(other, imd, "long", *[f"{number}" for number in range(6)])
    until(lambda: len(lines(imd)) >= 6, 30, "the short ones pass the long one")
    assert "long" not in bodies(imd)
    until(lambda: failures(imd, "parallel"), 10, "what is still running is kept")
    imd.kill()
    imd.start(wait_online=True)
    until(lambda: "long" in bodies(imd), 30, "the long one")
    until(lambda: not failures(imd, "parallel"), 30, "nothing is left")
    assert sorted(set(bodies(imd))) == sorted(["long", *[f"{number}" for number in range(6)]])
    assert len([body for body in bodies(imd) if body != "long"]) == 6


def test_a_run_beyond_its_time_ends_with_all_it_started(imd, other):
    add_hook(
        imd, "stuck", "trap '' TERM; echo $$ >$HOME/pids; (trap '' TERM; sleep 300 & echo $! >>$HOME/pids; wait) & wait; sleep 300",
        "timeout=1 attempts=1")
    hooks(imd)
    say(other, imd, "x")
    until(lambda: failures(imd, "stuck"), 30, "a failure")
    assert "time limit" in failures(imd, "stuck")[0]["reason"]
    pids = [int(pid) for pid in (imd.root / "pids").read_text().split()]
    assert len(pids) == 2
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), 5, "the group is gone")
    assert not children(imd)


def test_a_failed_event_is_tried_again_kept_and_replayed(imd, other):
    add_hook(
        imd, "picky", f'if [ -e "$HOME/well" ]; then {RECORD}; else echo "not \033[1m now" >&2; exit 3; fi',
        "attempts=2 retry=1 types=message,error")
    hooks(imd)
    say(other, imd, "one")
    first = until(lambda: failures(imd, "picky"), 30, "the first failure")[0]
    assert first["attempts"] == 1 and first["retryAt"] and first["event"]["body"] == "one"
    until(lambda: "retryAt" not in failures(imd, "picky")[0], 30, "the end of trying")
    dead = failures(imd, "picky")[0]
    assert dead["attempts"] == 2 and dead["reason"] == "exit status 3: not \x1b[1m now"
    assert [event["code"] for event in imd.told("error")] == ["hook-failed"]
    # The event about the failure fails, too, and that is told to nobody: nothing runs in circles.
    until(lambda: len(failures(imd, "picky")) == 2 and hooks(imd)["picky"]["failed"] == 2, 30, "both failed")
    assert len(imd.told("error")) == 1
    assert "not tried again" in imd.log() and "not \x1b" not in imd.log()
    shown = imd.ok("hook", "failures", "picky")
    assert shown.count("exit status 3") == 2
    imd.messages(1, 30, "--consumer", "a-bot")
    imd.call("failure.add", consumer="a-bot", number=dead["number"], attempts=1, reason="not of a hook")
    assert imd.ok("hook", "failures", "--limit", "2") == shown, "failures of others do not count"
    assert imd.ok("hook", "failures", "--limit", "1").count("exit status 3") == 1
    imd.stop()
    imd.start(wait_online=True)
    (imd.root / "well").touch()
    assert imd.ok("hook", "replay", "picky", str(dead["number"])) == "1 to be run again\n"
    until(lambda: bodies_of_messages(imd) == ["one"], 30, "the replay")
    until(lambda: len(failures(imd, "picky")) == 1, 10, "it is done")
    assert json.loads(imd.ok("hook", "replay", "picky", "--json")) == {"count": 1}
    until(lambda: not failures(imd, "picky"), 30, "everything is done")
    # One that went well can be had again, too.
    imd.call("hook.replay", name="picky", number=dead["number"])
    until(lambda: bodies_of_messages(imd) == ["one", "one"], 30, "once more")


def bodies_of_messages(imd):
    return [event["body"] for event in lines(imd) if event["type"] == "message"]


def test_what_one_hook_fails_at_holds_up_neither_it_nor_others(imd, other):
    add_hook(imd, "bad", "exit 1", "attempts=3 retry=60")
    add_hook(imd, "record", RECORD)
    hooks(imd)
    say(other, imd, "a", "b", "c")
    until(lambda: bodies(imd) == ["a", "b", "c"], 30, "the good one has all")
    until(lambda: hooks(imd)["bad"]["waiting"] == 3, 30, "all three wait")
    assert hooks(imd)["bad"]["pending"] == 0, "its place moves on"


HOSTILE = [
    "$(touch x)", "`touch x`", ";id", "; touch x", "-n", "--help", "a\nb", "\n", "() { :;}; touch x", "%00", "\\0",
    "␀", "' \" $HOME", "| touch x", "&& touch x", "\\x00\\u0000", "../../x", "\u202e\u2066",
]


def test_D37_no_text_of_a_message_reaches_argv_or_environment(imd, other):
    """Threat row 37: what is run is the same whatever a message says; its text is data on standard input."""
    path = add_hook(imd, "record", PYTHON_RECORD, "types=message timeout=60", "/usr/bin/python3")
    hooks(imd)
    say(other, imd, *HOSTILE)
    until(lambda: len(lines(imd, "runs.jsonl")) >= len(HOSTILE), 120, "all runs")
    runs = lines(imd, "runs.jsonl")
    events = [json.loads(run["event"]) for run in runs]
    assert [event["body"] for event in events] == HOSTILE
    for run, event in zip(runs, events):
        assert run["event"].count("\n") == 1 and run["event"].endswith("}\n")
        assert run["argv"] == [str(path)]
        environment = run["environment"]
        assert environment.pop("IMD_EVENT_NUMBER") == str(event["number"])
        assert environment.pop("IMD_EVENT_TYPE") == "message"
        assert environment.pop("IMD_ACCOUNT") == imd.user.jid
        assert environment.pop("IMD_CHAT") == other.user.jid
        environment.pop("LC_CTYPE", None)  # Python's own
        assert environment == runs[0]["environment"]
        assert set(environment) <= {
            "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY",
            "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", *(name for name in environment if name.startswith("XDG_"))}
        assert len(run["descriptors"]) == 4, "the three and the listing's own"
        assert run["group"] and run["folder"] == str(imd.root) and run["limit"] <= 65536
    assert not list(imd.root.rglob("x")) and not Path("x").exists()


def test_F19_a_flood_of_events_and_slow_hooks(imd, other):
    """Fault row 19: at most 8 children, a bounded queue, no zombies."""
    count = scaled(1000, 10_000)
    for name in ("one", "two", "three"):
        add_hook(imd, name, "sleep 10", "types=state parallel=8 timeout=60")
    hooks(imd)
    say(imd, other, *[f"warm {number}" for number in range(100)])
    until(lambda: len(children(imd)) >= 1, 30, "hooks run")
    before, most, zombies, began = resident(imd), 0, set(), time.monotonic()
    with Api(imd, timeout=120) as api:
        waiting = []
        for number in range(count):
            waiting.append(api.request("message.send", to=other.user.jid, body=f"{number}", plaintext=True))
            if len(waiting) >= 64:
                api.answer(waiting.pop(0))
            if number % 50 == 0:
                running = children(imd)
                most = max(most, len(running))
        for number in waiting:
            api.answer(number)
    until(lambda: len(imd.told("state")) >= 2 * count, 120, "two events of each message")
    rate = 2 * count / (time.monotonic() - began)
    for _ in range(30):
        running = children(imd)
        most = max(most, len(running))
        now = {pid for pid, state in running.items() if state == "Z"}
        assert not now & zombies, "a child is reaped at once"
        zombies = now
        time.sleep(0.1)
    grown = (resident(imd) - before) / 1024
    assert most == 8
    listed = hooks(imd)
    assert sum(hook["running"] for hook in listed.values()) <= 8
    assert all(hook["pending"] > count for hook in listed.values()), "what waits is in the database"
    assert grown < 16
    figure("F19", f"{2 * count} events at {rate:.0f}/s, 3 hooks of 10 s: {most} children, {grown:+.1f} MiB, no zombies")
    began = time.monotonic()
    imd.stop()
    assert time.monotonic() - began < 5


def test_a_hook_starts_when_its_event_is_committed(imd, other):
    add_hook(imd, "clock", "echo $EPOCHREALTIME >>$HOME/times.jsonl", "types=message", "/bin/bash")
    hooks(imd)
    delays = []
    with Api(imd) as api:
        api.call("event.subscribe", types=["message"])
        for number in range(20):
            say(other, imd, f"{number}")
            api.event("message")
            seen = time.time()
            until(lambda: len(lines(imd, "times.jsonl")) > number, 30, "a run")
            delays.append((lines(imd, "times.jsonl")[number] - seen) * 1000)
    middle = statistics.median(delays)
    figure("hook start", f"{middle:.1f} ms after a subscriber has the event (median of 20), at worst {max(delays):.1f} ms")


def test_files_that_must_not_be_run_are_refused_and_said(imd, other):
    folder = add_hook(imd, "good", RECORD).parent
    add_hook(imd, "open", "touch $HOME/wrong").chmod(0o777)
    add_hook(imd, "plain", "touch $HOME/wrong").chmod(0o644)
    add_hook(imd, "wrong-header", "touch $HOME/wrong", "colour=red")
    add_hook(imd, "a b", "touch $HOME/wrong")
    (folder / "folder").mkdir()
    (folder / "dangling").symlink_to("/nonexistent")
    target = imd.root / "elsewhere"
    target.write_text(f"#!/bin/sh\n{RECORD}\n")
    target.chmod(0o755)
    (folder / "link").symlink_to(target)
    listed = hooks(imd)
    states = {name: hook["state"] for name, hook in listed.items()}
    assert states == {
        "good": "active", "link": "active", **{name: "refused" for name in (
            "open", "plain", "wrong-header", "a b", "folder", "dangling")}}
    assert "written by others" in listed["open"]["reason"] and "executable" in listed["plain"]["reason"]
    assert "'colour'" in listed["wrong-header"]["reason"]
    assert imd.log().count("a hook is not run") == 6
    shown = imd.ok("hook", "list").splitlines()
    assert "open refused: it can be written by others" in shown
    assert "good active: message, running 0, pending 0" in shown
    say(other, imd, "x")
    until(lambda: len(lines(imd)) == 2, 30, "both good ones")
    # A file that is opened to others later is not run either.
    (folder / "link").unlink()
    (folder / "good").chmod(0o775)
    say(other, imd, "y")
    until(lambda: failures(imd, "good"), 30, "refused at its run")
    assert len(lines(imd)) == 2 and not (imd.root / "wrong").exists()
    assert hooks(imd)["link"]["state"] == "missing"
    folder.chmod(0o777)
    assert all(hook["state"] != "active" for hook in hooks(imd).values())
    folder.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(target, 65534, 65534)
        (folder / "link").symlink_to(target)
        assert "somebody else" in hooks(imd)["link"]["reason"]


def test_a_hook_can_be_set_back_and_begun_anew(imd, other):
    add_hook(imd, "record", RECORD)
    place = hooks(imd)["record"]["acknowledged"]
    say(other, imd, "a", "b")
    until(lambda: bodies(imd) == ["a", "b"], 30, "both")
    until(lambda: hooks(imd)["record"]["running"] == 0, 10, "both are done")
    imd.ok("consumer", "rewind", "hook:record", "--to", str(place))
    until(lambda: bodies(imd) == ["a", "b", "a", "b"], 30, "both again")
    until(lambda: hooks(imd)["record"]["running"] == 0, 10, "both are done")
    imd.ok("consumer", "remove", "hook:record", "--yes")
    say(other, imd, "c")
    until(lambda: bodies(imd)[4:] == ["c"], 30, "what is new")
    assert imd.call("event.subscribe", consumer="mine")["consumer"] == "mine"
    with Api(imd) as api:
        assert api.fails("event.subscribe", consumer="hook:record")["data"]["code"] == "invalid-params"


def test_a_busy_hook_can_be_set_back(imd, other):
    add_hook(imd, "record", f"{RECORD}; sleep 1")
    place = hooks(imd)["record"]["acknowledged"]
    say(other, imd, "a", "b")
    until(lambda: bodies(imd) == ["a", "b"], 30, "the second is running")
    assert hooks(imd)["record"]["running"] == 1
    imd.ok("consumer", "rewind", "hook:record", "--to", str(place))
    until(lambda: bodies(imd) == ["a", "b", "a", "b"], 30, "both again")


def test_a_hook_goes_on_when_its_account_is_removed(imd, other):
    add_hook(imd, "bad", "cat >>$HOME/events.jsonl; sleep 2; exit 1", "attempts=1")
    hooks(imd)
    say(other, imd, "a")
    until(lambda: bodies(imd) == ["a"], 30, "it is running")
    imd.call("account.remove", account=imd.user.jid)
    until(lambda: hooks(imd)["bad"]["running"] == 0, 30, "it is done")
    assert "cannot be written down" not in imd.log() and "is refused by" not in imd.log()


def test_failures_that_are_removed_are_not_run_again_and_others_go_on(imd, other):
    add_hook(imd, "picky", "cat >>$HOME/events.jsonl; exit 1", "attempts=1")
    hooks(imd)
    say(other, imd, "a", "b")
    until(lambda: len(failures(imd, "picky")) == 2, 30, "both failed")
    first, second = failures(imd, "picky")
    imd.call("failure.remove", consumer="hook:picky", number=first["number"])
    imd.ok("hook", "replay", "picky")
    until(lambda: bodies(imd) == ["a", "b", "b"], 30, "the one that is kept")
    until(lambda: len(failures(imd, "picky")) == 1, 30, "it failed again")


def test_a_replay_runs_nothing_else_again_while_a_hook_is_busy(imd, other):
    add_hook(
        imd, "slow", f"""event=$(cat)
echo "$event" | {RECORD}
case $event in
*first*) [ -e "$HOME/well" ] ;;
*second*) until [ -e "$HOME/well" ]; do sleep 0.05; done ;;
esac""", "attempts=1")
    hooks(imd)
    say(other, imd, "first")
    until(lambda: failures(imd, "slow"), 30, "it failed")
    say(other, imd, "second")
    until(lambda: bodies(imd) == ["first", "second"], 30, "the second is running")
    imd.ok("hook", "replay", "slow")
    (imd.root / "well").touch()
    say(other, imd, "third")
    until(lambda: bodies(imd)[-1] == "third", 30, "all runs")
    assert bodies(imd) == ["first", "second", "first", "third"]


def test_a_hook_that_was_just_put_there_can_have_an_old_event(imd, other):
    say(other, imd, "old")
    imd.messages(1)
    add_hook(imd, "record", RECORD)
    imd.ok("hook", "replay", "record", str(imd.told("message")[0]["number"]))
    until(lambda: bodies(imd) == ["old"], 30, "a run")


def test_a_hook_with_a_thousand_to_try_again_goes_on_when_one_is_given_up(imd, other):
    names = ["removed", "given-up"]
    for name in [*names, "other"]:
        add_hook(imd, name, f"cat >>$HOME/{name}.jsonl")
    hooks(imd)
    imd.stop()
    connection = sqlite3.connect(imd.database)
    with connection:
        now = time.time_ns() // 1_000_000
        connection.executemany(
            "INSERT INTO deadLetter VALUES (?, ?, NULL, 1, 'exit status 1', ?, ?, '{}')",
            [(f"hook:{name}", 10_000 + number, now, now + 3_000_000) for name in names for number in range(1000)])
    connection.close()
    imd.start(wait_online=True)
    say(other, imd, "new")
    until(lambda: lines(imd, "other.jsonl"), 10, "the one without failures has run")
    time.sleep(0.3)
    for name in names:
        assert hooks(imd)[name]["waiting"] == 1000 and not lines(imd, f"{name}.jsonl")
    imd.call("failure.remove", consumer="hook:removed", number=10_000)
    until(lambda: lines(imd, "removed.jsonl"), 10, "it is removed")
    assert not lines(imd, "given-up.jsonl")
    imd.call("failure.add", consumer="hook:given-up", number=10_000, attempts=2, reason="no use")
    until(lambda: lines(imd, "given-up.jsonl"), 10, "nobody tries it again")


def test_a_file_that_comes_into_the_folder_is_noticed(imd, other):
    (imd.config / "imd/hooks.d").mkdir(mode=0o700, parents=True)
    hooks(imd)  # the folder is new
    add_hook(imd, "record", RECORD)
    until(lambda: "a hook is run" in imd.log(), 10, "it is noticed")
    say(other, imd, "x")
    until(lambda: bodies(imd) == ["x"], 30, "a run")
    (imd.config / "imd/hooks.d/record").chmod(0o777)
    until(lambda: "a hook is not run" in imd.log(), 10, "its mode is noticed")


def test_the_configuration_has_the_last_word(server, other):
    with Imd(server) as imd:
        imd.online()
        add_hook(imd, "one", RECORD, "types=presence parallel=4")
        add_hook(imd, "two", "exit 1")
        imd.stop()
        (imd.config / "imd/config.toml").write_text(
            f'[hook.one]\ntypes = ["message"]\nchat = "{other.user.jid}"\ntimeout = 7\n[hook.two]\nenabled = false\n')
        imd.start(wait_online=True)
        listed = hooks(imd)
        assert listed["one"]["types"] == ["message"] and listed["one"]["timeout"] == 7
        assert listed["one"]["parallel"] == 4 and listed["one"]["chat"] == other.user.jid
        assert listed["two"]["state"] == "disabled"
        say(other, imd, "x")
        until(lambda: bodies(imd) == ["x"], 30, "a run")
        imd.stop()
        (imd.config / "imd/config.toml").write_text("[hook.one]\ntimeout = 0\n")
        status, said = imd.fails_to_start()
        assert status == CONFIG and "config.toml:2" in said and "timeout" in said


def test_a_hook_is_tried_by_hand(imd):
    add_hook(imd, "echo", 'echo "got $IMD_EVENT_TYPE"; cat; echo warn >&2')
    add_hook(imd, "bad", "cat >/dev/null; exit 9")
    add_hook(imd, "loud", "yes hello | head -c 1000000")
    text = imd.ok("hook", "test", "echo")
    assert text.startswith("got message\n") and '"from":"alice@example.org"' in text
    shown = json.loads(imd.ok("hook", "test", "echo", "--json", "--event", '{"type":"presence","from":"a@b.example"}'))
    assert shown["status"] == 0 and "got presence" in shown["output"] and shown["errors"] == "warn\n"
    bad = imd.imctl("hook", "test", "bad")
    assert bad.returncode == SOFTWARE and "exit status 9" in bad.stderr
    loud = imd.call("hook.test", name="loud")
    assert len(loud["output"]) == 16384 and loud["status"] == 0
    assert imd.imctl("hook", "test", "nobody").returncode == NOINPUT
    assert imd.imctl("hook", "replay", "nobody").returncode == NOINPUT


def test_presence_events_tell_what_was_shown_before(friends):
    with Imd(friends) as first, Imd(friends) as second:
        first.online()
        add_hook(first, "record", RECORD, "types=presence")
        hooks(first)
        second.online()
        second.call("presence.set", show="away")
        until(lambda: len(lines(first)) >= 2, 30, "two events")
        assert [(event["was"], event["show"]) for event in lines(first)] == [("offline", "online"), ("online", "away")]


def test_what_a_hook_leaves_behind_ends_with_it(imd, other):
    add_hook(imd, "lazy", "sleep 300 >/dev/null 2>&1 & echo $! >$HOME/pid")
    hooks(imd)
    say(other, imd, "x")
    pid = int(until(lambda: (imd.root / "pid").exists() and (imd.root / "pid").read_text(), 30, "a run"))
    until(lambda: not Path(f"/proc/{pid}/exe").exists(), 5, "it is ended")
    until(lambda: hooks(imd)["lazy"]["pending"] == 0, 10, "it is done")
