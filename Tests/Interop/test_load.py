"""Many programs at once: 1,000 subscribers, clients above the limit, descriptors that run out (threat row F12)."""

import json
import resource
import selectors
import socket
import subprocess
import time
from pathlib import Path

import pytest
from faults import figure, percentile, resident
from harness import BIN, TEMPFAIL, Api, Imd, assert_explained, until

CLIENTS, EVENTS = 1000, 20
# A debug build does everything several times slower.
SLOWNESS = 3 if BIN.name == "debug" else 1


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * CLIENTS:
        pytest.skip(f"needs {2 * CLIENTS} descriptors, and the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Many subscribers, read by one loop; a % in `params` stands for the number of each."""

    def __init__(self, imd, count, params):
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "event.subscribe", "params": params})
        for number in range(count):
            client = socket.socket(socket.AF_UNIX)
            self.sockets.append(client)
            client.connect(str(imd.socket_path))
            client.sendall((request.replace("%", str(number)) + "\n").encode())
            client.setblocking(False)
            self.selector.register(client, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.selector.close()
        for client in self.sockets:
            client.close()

    def read(self, count, seconds=30):
        """The times at which `count` more lines had come."""
        times, deadline = [], time.monotonic() + seconds
        while len(times) < count:
            ready = self.selector.select(max(0, deadline - time.monotonic()))
            assert ready, f"{len(times)} of {count} lines"
            for key, _ in ready:
                data = key.fileobj.recv(1 << 16)
                assert data, "imd closed a connection"
                times += [time.monotonic()] * data.count(b"\n")
        assert len(times) == count
        return times


def events(imd):
    with Api(imd) as api:
        api.call("event.subscribe", since=0)
        return api.events_until_caught_up()


def is_quiet(imd):
    before = len(events(imd))
    time.sleep(1)
    return len(events(imd)) == before


@pytest.mark.parametrize(
    "params", [{}, {"consumer": "reader-%"}, {"types": ["undecryptable"]}], ids=["live", "consumers", "not interested"])
def test_F12_1000_subscribers(imd, other, params, request):
    """Latencies are from the call that sends a message to the moment a subscriber of the other side has it."""
    until(lambda: is_quiet(imd), 30, "nothing happens any more")
    history = len(events(imd)) if "consumer" in params else 0
    with Api(imd) as bystander, Api(other) as sender:
        before, start = resident(imd), time.monotonic()
        with Crowd(imd, CLIENTS, params) as crowd:
            crowd.read(CLIENTS * (2 + history))  # an answer, what there was, the end of that
            connected = time.monotonic() - start
            bystander.call("event.subscribe", types=["message"])
            latencies, aside = [], []
            for number in range(EVENTS):
                start = time.monotonic()
                sender.call("message.send", to=imd.user.jid, body=f"{number} " + "x" * 200, plaintext=True)
                if "types" not in params:
                    latencies += [moment - start for moment in crowd.read(CLIENTS)]
                bystander.event("message")
                aside.append(time.monotonic() - start)
            grown = (resident(imd) - before) / 1024
    worst = percentile(latencies or aside, 0.99)
    figure(
        "F12", f"{CLIENTS} subscribers, {request.node.callspec.id}: connected in {connected:.2f} s, fan-out p50 "
        f"{percentile(latencies or aside, 0.5) * 1000:.0f} ms, p99 {worst * 1000:.0f} ms, +{grown:.1f} MiB")
    assert connected <= 2 * SLOWNESS
    assert worst <= 0.1 * SLOWNESS
    assert grown <= 64


@pytest.fixture
def cramped(server):
    """A daemon with room for 64 clients."""
    with Imd(server, prefix=["prlimit", "--nofile=128:128"]) as imd:
        yield imd


def test_F12_a_client_above_the_limit_is_told_and_the_others_stay(cramped):
    clients = [Api(cramped) for _ in range(64)]
    try:
        for client in clients:
            client.call("daemon.status")
        with Api(cramped) as one_too_many:
            error = one_too_many.read()["error"]
            assert error["data"]["code"] == "busy" and error["data"]["hint"]
            assert one_too_many.reader.readline() == b"", "and its connection is closed"
        done = cramped.imctl("status")
        assert done.returncode == TEMPFAIL, done
        assert_explained(done.stderr)
        for client in clients:
            client.call("daemon.status")
        clients.pop().__exit__()
        until(lambda: cramped.imctl("status").returncode == 0, 10, "there is room again")
    finally:
        for client in clients:
            client.__exit__()


def test_F12_the_soft_limit_of_descriptors_is_raised(server):
    with Imd(server, prefix=["prlimit", "--nofile=256:2048"]) as imd:
        limits = Path(f"/proc/{imd.process.pid}/limits").read_text()
        [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["2048", "2048"]


def test_F12_running_out_of_descriptors_ends_nothing(fresh):
    folder = Path(f"/proc/{fresh.process.pid}/fd")
    with Api(fresh) as old:
        old.call("daemon.status")
        highest = max(int(entry.name) for entry in folder.iterdir())
        limit(fresh, highest + 1)
        waiting = [Api(fresh) for _ in range(40)]  # connected for the kernel; imd cannot accept them all
        try:
            old.call("daemon.status")
            time.sleep(1.5)
            assert fresh.process.poll() is None
            old.call("daemon.status")
            limit(fresh, 1024)
            for client in waiting:
                client.call("daemon.status")
        finally:
            for client in waiting:
                client.__exit__()
    fresh.ok("status")


def limit(imd, count):
    subprocess.run(["prlimit", f"--pid={imd.process.pid}", f"--nofile={count}:"], check=True)
