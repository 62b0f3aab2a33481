"""Many readers, slow readers, and readers that were away too long (F11, F12)."""

import json
import resource
import select
import signal
import socket
import subprocess
import threading
import time
from datetime import datetime

import pytest
from faults import Follower, figure, percentile, resident, scaled, warm_up
from harness import BIN, CANTCREAT, NOINPUT, TEMPFAIL, Api, Imd, until

pytestmark = pytest.mark.faults


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


def test_a_stopped_reader_slows_nobody_costs_no_memory_and_gets_everything(server, daemon):
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
            assert percentile(stopped, 0.99) <= max(100, 3 * percentile(calm, 0.99))
    finally:
        slow.send_signal(signal.SIGCONT)
        slow.kill()
        slow.wait(10)


class Crowd:
    """Many raw clients, read by one thread."""

    def __init__(self, imd, count):
        self.imd, self.sockets, self.count = imd, {}, count
        self.poller = select.epoll()
        self.data, self.seen = {}, {}

    def __enter__(self):
        request = json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": "event.subscribe", "params": {"types": ["state"]}}).encode() + b"\n"
        for _ in range(self.count):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(20)
            client.connect(str(self.imd.socket_path))
            self.sockets[client.fileno()] = client
            self.poller.register(client.fileno(), select.EPOLLIN)
            self.data[client.fileno()], self.seen[client.fileno()] = b"", []
            client.sendall(request)
        return self

    def __exit__(self, *_):
        self.poller.close()
        for client in self.sockets.values():
            client.close()

    def read(self, condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            for descriptor, _ in self.poller.poll(0.2):
                received = self.sockets[descriptor].recv(1 << 16)
                assert received, "a client was disconnected"
                *lines, self.data[descriptor] = (self.data[descriptor] + received).split(b"\n")
                now = time.time() * 1000
                self.seen[descriptor] += [(now, json.loads(line)) for line in lines]
        assert condition(), "not all in time"

    def events(self):
        return [[(now, note["params"]) for now, note in seen if note.get("method") == "event"]
                for seen in self.seen.values()]


def test_1000_clients_are_served(server, daemon):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip(f"no more than {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    target = server.user().jid
    produce(daemon, target, 20, 50)
    before, began = resident(daemon), time.monotonic()
    with Crowd(daemon, 1000) as crowd:
        crowd.read(lambda: all(seen for seen in crowd.seen.values()), 30)
        connected = time.monotonic() - began
        assert all("result" in seen[0][1] for seen in crowd.seen.values())
        rounds = scaled(20, 200)
        sender = threading.Thread(target=produce, args=(daemon, target, rounds, 2), daemon=True)
        sender.start()
        crowd.read(lambda: all(len(seen) >= 2 * rounds for seen in crowd.events()), rounds + 60)
        sender.join(10)
        late = [now - milliseconds(event["at"]) for seen in crowd.events() for now, event in seen]
        growth = (resident(daemon) - before) / 1024
        figure(
            "F12", f"1000 clients: connected and subscribed in {connected:.2f} s, fan-out p99 "
            f"{percentile(late, 0.99):.0f} ms, memory {growth:+.0f} MiB")
        numbers = [[event["number"] for _, event in seen] for seen in crowd.events()]
        assert all(seen == sorted(set(seen)) for seen in numbers)
        assert growth <= 64
        assert daemon.call("daemon.status")["pid"] == daemon.process.pid
    until(lambda: daemon.imctl("status").returncode == 0, 10, "they are gone")


# Going back, and what is kept


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


def test_a_reader_that_was_away_too_long_is_told_what_it_missed(server):
    with Imd(server, log_level="warning", settings={"event_limit": 1000}) as imd:
        imd.online()
        target = server.user().jid
        for name in ("away", "present"):
            imd.call("event.subscribe", consumer=name, types=["state"])
        with Follower(imd, "present", ("state",)) as present:
            produce(imd, target, 900)
            until(lambda: len(present.events) >= 1800, 60, "the other one has all")
            imd.stop()
            imd.start(wait_online=True)
            until(lambda: oldest(imd) > 1, 90, "the oldest events are dropped")
            assert not [e for e in present.events if e["type"] == "overflow"], "it had acknowledged them"
        with Api(imd) as api:
            api.call("event.subscribe", consumer="away", types=["state"], window=10_000)
            events = api.events_until_caught_up()
        overflow, rest = events[0], events[1:]
        assert overflow["type"] == "overflow", overflow
        assert overflow["number"] == overflow["through"] and overflow["after"] == 0, overflow
        numbers = [event["number"] for event in rest]
        assert numbers and numbers[0] > overflow["through"] and numbers == sorted(set(numbers))
        assert 900 <= len(numbers) <= 1100, "the newest are there"
        imd.call("event.ack", consumer="away", number=numbers[-1])
        done = imd.imctl("receive", "--consumer", "late", "--timeout", "1")
        assert done.returncode in (0, TEMPFAIL)


def oldest(imd):
    """The number of the oldest event that is kept."""
    with Api(imd) as api:
        api.call("event.subscribe", since=0, window=1)
        return next((e["number"] for e in api.events_until_caught_up() if e["type"] != "overflow"), 0)


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
