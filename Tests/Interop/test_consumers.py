"""One reader stops while many events pass: it costs no memory, slows nobody, and gets everything afterwards (F11)."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest
from faults import acquaint, figure, percentile, resident, scaled
from harness import BIN, Api, Imd, until

pytestmark = pytest.mark.faults

EVENTS = scaled(10_000, 100_000)


@pytest.fixture
def alice(server):
    with Imd(server, log_level="info") as imd:
        yield imd.online()


@pytest.fixture
def bob(server):
    with Imd(server, log_level="info") as imd:
        yield imd.online()


class Reader(threading.Thread):
    """Another subscriber: when it had each event, by its number."""

    def __init__(self, imd):
        super().__init__(daemon=True)
        self.api = Api(imd, timeout=120)
        self.api.call("event.subscribe", types=["state"])
        self.seen = {}

    def run(self):
        try:
            while True:
                event = self.api.event()
                self.seen[event["number"]] = time.monotonic()
        except (OSError, AssertionError, ValueError):  # the test is over
            return


def wait_quiet(imd):
    last = None
    while (now := imd.call("daemon.status")["lastEvent"]) != last:
        last = now
        time.sleep(1)
    return last


def test_a_stopped_reader_costs_nothing_and_gets_everything(alice, bob):
    acquaint(alice, bob)
    start = wait_quiet(alice)
    output = alice.root / "stopped.jsonl"
    with output.open("wb") as file:
        stopped = subprocess.Popen(
            [BIN / "imctl", "events", "--follow", "--consumer", "stopped", "--json"], env=alice.environment,
            stdout=file, stderr=subprocess.PIPE)
    try:
        until(lambda: output.read_text().count("\n") >= start, 30, "it reads")
        os.kill(stopped.pid, signal.SIGSTOP)
        reader = Reader(alice)
        reader.start()
        before = resident(alice)
        latencies = traffic(alice, bob, reader)
        last = wait_quiet(alice)
        grown = (resident(alice) - before) / 1024
        os.kill(stopped.pid, signal.SIGCONT)

        def numbers():
            return [json.loads(line)["number"] for line in output.read_text().splitlines() if line.endswith("}")]

        until(lambda: numbers()[-1:] == [last], 120, "it has everything")
        assert numbers() == list(range(1, last + 1)), "each once, in order"
        assert last - start >= EVENTS
        figure("F11", f"{last - start} events past a stopped reader: memory {grown:+.1f} MiB; another client's round trip "
               f"meanwhile p50 {percentile(latencies, 0.5) * 1000:.1f} ms, p99 {percentile(latencies, 0.99) * 1000:.1f} ms")
        assert grown <= 8 or BIN.name == "debug"
    finally:
        stopped.kill()
        stopped.wait(10)


def traffic(alice, bob, reader):
    """Sends until so many events have passed; how long a call of another client took meanwhile."""
    latencies, sent = [], 0
    with Api(alice, timeout=120) as api, Api(alice) as other:
        deadline = time.monotonic() + scaled(240, 2400)
        while len(reader.seen) < EVENTS:
            assert time.monotonic() < deadline, f"{len(reader.seen)} events"
            requests = []
            for _ in range(50):
                requests.append(api.request("message.send", to=bob.user.jid, body=f"m{sent}"))
                sent += 1
            began = time.monotonic()
            other.call("daemon.status")
            latencies.append(time.monotonic() - began)
            for number in requests:
                assert "result" in api.answer(number)
    return latencies


def test_a_consumer_can_be_set_back(alice, bob):
    acquaint(alice, bob)
    bob.ok("send", alice.user.jid, "again and again", "--wait", "server")
    assert [m["body"] for m in alice.messages(1)] == ["again and again"]
    number = next(c for c in alice.call("consumer.list")["consumers"] if c["name"] == "default")["acknowledged"]
    assert alice.events(1) == []
    alice.ok("consumer", "rewind", "default", "--by", str(number))
    assert "again and again" in [e.get("body") for e in alice.events(2)]
    alice.ok("consumer", "rewind", "default", "--all")
    assert "warm up" in [e.get("body") for e in alice.events(2)]
