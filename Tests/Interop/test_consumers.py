"""Readers of events: one that stops, one that goes back, one whose output is lost (F11)."""

import json
import signal
import subprocess
import time
from datetime import datetime

import pytest
from faults import Follower, figure, percentile, resident, scaled, warm_up
from harness import BIN, CANTCREAT, NOINPUT, Api, Imd, until

pytestmark = pytest.mark.faults
# A debug build, on a machine that does other things beside it.
SLOWNESS = 3 if BIN.name == "debug" else 1


@pytest.fixture
def daemon(server):
    with Imd(server, log_level="warning") as imd:
        yield imd.online()


def produce(imd, to, count, rate=None, first=0):
    """`count` messages and the events of their way: two each, once the server has them. The bodies' last number."""
    with Api(imd, timeout=60) as api:
        began, waiting = time.monotonic(), []
        for number in range(first, first + count):
            waiting.append(api.request("message.send", to=to, body=f"{number}", plaintext=True))
            if len(waiting) >= 32:
                api.answer(waiting.pop(0))
            if rate:
                time.sleep(max(0, began + (number - first) / rate - time.monotonic()))
        for number in waiting:
            api.answer(number)
    return first + count


def milliseconds(stamp):
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() * 1000


def delays(events):
    """Milliseconds from an event's time to its being read."""
    return [event["seen"] * 1000 - milliseconds(event["at"]) for event in events]


def test_D46_F11_a_stopped_reader_costs_nothing_and_gets_everything(server, daemon):
    events, rate = scaled(10_000, 100_000), 300
    target = server.user().jid
    log = daemon.root / "slow.jsonl"
    with log.open("wb") as out:
        slow = subprocess.Popen(
            [BIN / "imctl", "events", "--follow", "--consumer", "slow", "--types", "state", "--json"],
            env=daemon.environment, stdout=out, stderr=subprocess.DEVNULL)
    try:
        with Follower(daemon, None, ("state",)) as live:
            time.sleep(1)
            first = produce(daemon, target, 1000, rate)  # everybody is warm
            until(lambda: len(live.events) >= 2 * first and log.read_bytes().count(b"\n") >= 2 * first, 60, "warm")
            calm, mark = delays(live.events), len(live.events)
            before = resident(daemon)
            slow.send_signal(signal.SIGSTOP)
            last = produce(daemon, target, events // 2, rate, first)
            until(lambda: len(live.events) >= 2 * last, 60, "the other one has all")
            growth = (resident(daemon) - before) / 1024
            stopped = delays(live.events[mark:])
            assert log.read_bytes().count(b"\n") < 2 * last
            slow.send_signal(signal.SIGCONT)
            until(lambda: log.read_bytes().count(b"\n") >= 2 * last, scaled(60, 300), "the stopped one has all")
            time.sleep(0.5)
            lines = [json.loads(line)["number"] for line in log.read_text().splitlines()]
            assert lines == sorted(set(lines)) and len(lines) == 2 * last, "each once, in order"
            figure(
                "F11", f"one reader stopped for {events} events: others' p99 {percentile(stopped, 0.99):.0f} ms "
                f"(without it {percentile(calm, 0.99):.0f} ms), memory {growth:+.1f} MiB, it got all")
            assert growth <= 8
            assert percentile(stopped, 0.99) < 20 * SLOWNESS or percentile(stopped, 0.99) < 2 * percentile(calm, 0.99)
    finally:
        slow.send_signal(signal.SIGCONT)
        slow.kill()
        slow.wait(10)


def bodies(imd, *options):
    return [e["body"] for e in imd.events(1, *options) if e["type"] == "message" and e["direction"] == "in"]


def test_a_consumer_can_be_set_back(daemon, peer):
    warm_up(daemon, peer)
    for number in range(4):
        peer.send(daemon.user.jid, f"{number}")
    received = daemon.messages(4, 30, "--consumer", "reader")[1:]
    received += daemon.messages(1, 30, "--consumer", "reader") if len(received) < 4 else []
    assert bodies(daemon, "--consumer", "reader") == []
    daemon.ok("consumer", "rewind", "reader", "--to", received[1]["number"])
    assert bodies(daemon, "--consumer", "reader") == ["2", "3"]
    daemon.ok("consumer", "rewind", "reader", "--all")
    assert bodies(daemon, "--consumer", "reader") == ["warm up", "0", "1", "2", "3"]
    newest = daemon.call("consumer.list")["consumers"]
    number = next(c["acknowledged"] for c in newest if c["name"] == "reader")
    daemon.ok("consumer", "rewind", "reader", "--by", number - received[2]["number"])
    assert bodies(daemon, "--consumer", "reader") == ["3"]
    assert daemon.imctl("consumer", "rewind", "nobody", "--all").returncode == NOINPUT
    with Api(daemon) as api:
        api.call("event.subscribe", consumer="reader")
        assert daemon.imctl("consumer", "rewind", "reader", "--all").returncode == CANTCREAT, "it is connected"


def test_a_line_is_acknowledged_only_after_it_was_written(daemon, peer):
    """The reader of imctl's output is gone: what was not written comes again."""
    warm_up(daemon, peer)
    for number in range(5):
        peer.send(daemon.user.jid, f"{number} " + "x" * 40_000)  # more than a pipe holds
    daemon.messages(5, 30, "--consumer", "witness")
    process = subprocess.Popen(
        [BIN / "imctl", "receive", "--consumer", "broken", "--follow", "--json"], env=daemon.environment,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        first = json.loads(process.stdout.readline())
        second = json.loads(process.stdout.readline())
        assert second["body"].startswith("0 "), (first["body"][:9], second["body"][:9])
        time.sleep(0.5)
    finally:
        process.kill()
        process.wait(10)
    again = [body.split()[0] for body in bodies(daemon, "--consumer", "broken")]
    everything = ["warm", "0", "1", "2", "3", "4"]
    assert again[-4:] == everything[-4:], f"what no line was written of comes again: {again}"
    assert again == everything[-len(again):], "in order"
