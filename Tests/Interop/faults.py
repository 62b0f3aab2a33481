"""What the tests of faults share: how much to do, figures, invariants, a consumer, careful senders."""

import base64
import contextlib
import json
import os
import random
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from xml.etree import ElementTree

from harness import LEGACY, OMEMO2, Api, bare, until

TORTURE = os.environ.get("IMD_TORTURE") == "1"
FIGURES = []


def scaled(short, long):
    """`short` in `make test`, `long` in `make torture`."""
    return long if TORTURE else short


def figure(row, text):
    """A measured figure; pytest prints all of them at its end."""
    FIGURES.append(f"{row}: {text}")
    print(FIGURES[-1])


def randomness(name):
    """A source of chance whose seed is told: IMD_SEED repeats a run."""
    seed = int(os.environ.get("IMD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{name}: IMD_SEED={seed}")
    return random.Random(seed)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# The daemon from outside


def resident(imd):
    """KiB."""
    return _status(imd, "VmRSS")


def peak(imd):
    """KiB."""
    return _status(imd, "VmHWM")


def _status(imd, key):
    return int(Path(f"/proc/{imd.process.pid}/status").read_text().split(f"{key}:")[1].split()[0])


def descriptors(imd):
    return len(os.listdir(f"/proc/{imd.process.pid}/fd"))


def account_state(imd):
    """The account as `account.list` tells it; None while the daemon does not answer."""
    try:
        with Api(imd, timeout=10) as api:
            return next(iter(api.call("account.list")["accounts"]), None)
    except (OSError, AssertionError):
        return None


def is_online(imd):
    account = account_state(imd)
    return account is not None and account["state"] == "online" and not account.get("catchingUp")


def seconds_until(condition, limit, what):
    """How long it took."""
    began = time.monotonic()
    until(condition, limit, what)
    return time.monotonic() - began


# Invariants (I1 to I5)


@contextlib.contextmanager
def reading(imd):
    """Its database, read only; of a daemon that is gone a copy, so that the original is left for its next start."""
    folder = None
    path = imd.database
    if imd.process is None or imd.process.poll() is not None:
        folder = Path(tempfile.mkdtemp(prefix="imd-copy-"))
        for file in imd.database.parent.glob("imd.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        path = folder / imd.database.name
    connection = sqlite3.connect(f"file:{path}?mode={'ro' if folder is None else 'rw'}", uri=True, timeout=20)
    try:
        yield connection
    finally:
        connection.close()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def columns(connection, table):
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


STATES = ("queued", "sent", "server", "delivered", "displayed")


def check_invariants(imd, captures=True):
    """I1 to I5, whenever the daemon is; with `captures` also those that need what the server saw."""
    acknowledged = imd.server.handled()  # before the database: what was on disk then still is
    with reading(imd) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "I4"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == [], "I4"
        check_events(connection)
        check_handled(connection, acknowledged)
    if captures:
        check_chains(imd.server.capture(), imd.user.jid)


def check_events(connection):
    """I1, I2: each message came once and is told of once; states only go forward; nobody is ahead of the log."""
    repeated = connection.execute(
        """SELECT messageID, count(*) FROM message WHERE direction = 'in'
           GROUP BY account, chat, sender, messageID HAVING count(*) > 1""").fetchall()
    assert repeated == [], f"I1: rows {repeated}"
    kept = connection.execute("SELECT coalesce(min(number), 0) FROM event").fetchone()[0] <= 1
    wrong = connection.execute(
        """SELECT m.id, count(e.number) AS events FROM message m
           LEFT JOIN event e ON e.message = m.id AND e.type = 'message'
           WHERE m.direction = 'in' GROUP BY m.id HAVING events > 1 OR (events = 0 AND ?)""", (kept,)).fetchall()
    assert wrong == [], f"I1: events {wrong}"
    went = defaultdict(list)
    for message, detail in connection.execute(
            "SELECT message, detail FROM event WHERE type = 'state' ORDER BY number"):
        state = json.loads(detail)["state"]
        if state != "held":  # from where it may go back to queued
            went[message].append(state)
    for message, states in went.items():
        if "failed" not in states:
            ranks = [STATES.index(state) for state in states]
            assert ranks == sorted(set(ranks)), f"I1: message {message} went {states}"
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'").fetchone()[0]
    ahead = connection.execute("SELECT name FROM consumer WHERE acknowledged > ?", (last,)).fetchall()
    assert ahead == [], f"I2: {ahead}"


def check_handled(connection, acknowledged):
    """I5: the server was never told of more than what is on disk."""
    if "handled" not in columns(connection, "resumption"):
        return
    for stream, handled in connection.execute("SELECT streamID, handled FROM resumption"):
        assert acknowledged.get(stream, 0) <= handled, f"I5: h={acknowledged[stream]}, on disk {handled}"


def check_chains(capture, jid):
    """I3: with one key of a chain never two different messages were encrypted."""
    used = defaultdict(set)
    for line in capture.splitlines():
        if LEGACY not in line and OMEMO2 not in line:
            continue
        try:
            stanza = ElementTree.fromstring(line)
        except ElementTree.ParseError:  # the server was killed while it wrote
            continue
        if bare(stanza.get("from", jid)) != jid:
            continue
        for namespace, mark, header_of in ((LEGACY, "prekey", ratchet_header), (OMEMO2, "kex", ratchet_header_2)):
            for header in stanza.findall(f"{{{namespace}}}encrypted/{{{namespace}}}header"):
                for key in header.iter(f"{{{namespace}}}key"):
                    ratchet, counter, text = header_of(base64.b64decode(key.text), key.get(mark) in ("true", "1"))
                    used[header.get("sid"), key.get("rid"), ratchet, counter].add(text)
    twice = {place: len(texts) for place, texts in used.items() if len(texts) > 1}
    assert not twice, f"I3: {twice}"
    return len(used)


def ratchet_header(data, is_key_exchange):
    """Ratchet key, counter and ciphertext of an OMEMO message (XEP-0384 0.3: version byte, protobuf, 8 byte MAC)."""
    if is_key_exchange:
        data = protobuf(data[1:])[4]
    fields = protobuf(data[1:-8])
    return fields[1], fields.get(2, 0), fields[4]


def ratchet_header_2(data, is_key_exchange):
    """The same of an omemo:2 one (XEP-0384 0.9, section 5.5)."""
    fields = protobuf(protobuf(protobuf(data)[5] if is_key_exchange else data)[2])
    return fields[3], fields.get(1, 0), fields[4]


def protobuf(data):
    """Field number to value: whole numbers and byte strings are all there is."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        number, kind = divmod(varint(), 8)
        assert kind in (0, 2), f"wire type {kind}"
        fields[number] = varint()
        if kind == 2:
            length = fields[number]
            fields[number] = data[at:at + length]
            at += length
    return fields


# Both ends of a conversation


def warm_up(imd, peer):
    """One message each way.

    python-omemo keeps one session with a device: where both sides start one at the same moment it cannot read what
    was encrypted with the other, and that is not what these tests are about.
    """
    imd.ok("send", peer.user.jid, "warm up", "--wait", "server")
    assert peer.next("message")["body"] == "warm up"
    peer.send(imd.user.jid, "warm up")
    peer.next("sent")
    assert [m["body"] for m in imd.messages(1)] == ["warm up"]
    peer.seen.clear()


def acquaint(one, two):
    """The same for two imd."""
    for sender, receiver in ((one, two), (two, one)):
        sender.ok("send", receiver.user.jid, "warm up", "--wait", "server")
        assert [m["body"] for m in receiver.messages(1)] == ["warm up"]


class Sender(threading.Thread):
    """Sends `bodies` like a careful script: the same id until the daemon says yes."""

    def __init__(self, imd, to, bodies, pause=0.02, name="send"):
        super().__init__(daemon=True)
        self.imd, self.to, self.bodies, self.pause, self.prefix = imd, to, list(bodies), pause, name
        self.accepted, self.failure, self.ending = [], None, threading.Event()

    def run(self):
        for number, body in enumerate(self.bodies):
            deadline = time.monotonic() + 180
            while not self.try_one(body, f"{self.prefix}-{number}"):
                if time.monotonic() > deadline or self.ending.wait(0.05):
                    self.failure = body
                    return
            self.accepted.append(body)
            if self.ending.wait(self.pause):
                return

    def try_one(self, body, message_id):
        try:
            with Api(self.imd, timeout=40) as api:
                answer = api.answer(api.request("message.send", to=self.to, body=body, id=message_id))
        except (OSError, AssertionError):  # nobody listens, or the connection ended
            return False
        if "error" in answer:
            word = answer["error"]["data"]["code"]
            assert word in ("storage", "disk-full", "busy", "timeout"), answer
            return False
        return True

    def finish(self, seconds=240):
        self.join(seconds)
        assert not self.is_alive() and self.failure is None, f"not accepted: {self.failure}"

    def stop(self):
        self.ending.set()
        self.join(60)


class Follower(threading.Thread):
    """A consumer that reads on for ever, across restarts of the daemon; acknowledges each event after it has it.

    `events` holds each event once. What comes again must be what was not known to be acknowledged (I2). Without a
    consumer it only sees what is new while it is connected.
    """

    def __init__(self, imd, consumer="follower", types=("message",)):
        super().__init__(daemon=True)
        self.imd, self.consumer, self.types = imd, consumer, list(types)
        self.events, self.repeated, self.problem = [], 0, None
        self.ending, self.confirmed, self.numbers = threading.Event(), 0, set()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(30)

    def run(self):
        while not self.ending.is_set():
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(self.imd.socket_path))
                    connection.settimeout(0.5)
                    self.follow(connection)
            except (OSError, ConnectionError):
                self.ending.wait(0.05)
            except Exception as error:  # told by the test's own thread
                self.problem = error
                return

    def follow(self, connection):
        def call(identifier, method, /, **params):
            line = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
            connection.sendall(json.dumps(line).encode() + b"\n")

        call(0, "event.subscribe", **({"consumer": self.consumer} if self.consumer else {}), types=self.types)
        last = self.confirmed
        for note in self.lines(connection):
            if note.get("id") == 0 or "error" in note:
                assert "result" in note, note
            elif "id" in note:
                self.confirmed = max(self.confirmed, note["id"])
            elif note["method"] == "event":
                event = note["params"]
                assert event["number"] > last, f"I2: number {event['number']} after {last}"
                last = event["number"]
                if last in self.numbers:
                    self.repeated += 1
                else:
                    self.numbers.add(last)
                    self.events.append({**event, "seen": time.time()})
                if self.consumer:
                    call(last, "event.ack", consumer=self.consumer, number=last)

    def lines(self, connection):
        data = b""
        while not self.ending.is_set():
            try:
                more = connection.recv(1 << 16)
            except socket.timeout:
                continue
            if not more:
                raise ConnectionError
            data += more
            *lines, data = data.split(b"\n")
            yield from map(json.loads, lines)

    def bodies(self, chat=None):
        assert self.problem is None, self.problem
        return [
            event["body"] for event in self.events
            if event["type"] == "message" and event["direction"] == "in" and chat in (None, event["chat"])
            and event["body"] != "warm up"]

    def wait(self, bodies, seconds, what, ordered=True):
        """All of these are there, each once, in this order, and nothing else."""
        bodies = list(bodies)
        deadline = time.monotonic() + seconds
        while len(self.bodies()) < len(bodies) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert_same(self.bodies(), bodies, what, ordered)


def assert_same(got, expected, what, ordered=True):
    missing, extra = Counter(expected) - Counter(got), Counter(got) - Counter(expected)
    assert not missing and not extra, f"{what}: lost {dict(missing)}, too many {dict(extra)}"
    if ordered and got != expected:
        at = next(index for index, pair in enumerate(zip(got, expected)) if pair[0] != pair[1])
        raise AssertionError(f"{what}: out of order at {at}: {[text[:40] for text in got[max(0, at - 2):at + 8]]}")
