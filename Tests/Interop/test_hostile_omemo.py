"""What a stranger or a contact can do with OMEMO stanzas to a daemon that must stay up (F16, F17, C31)."""

import contextlib
import re
import time

import pytest
from faults import figure, percentile, reading, resident, scaled
from harness import NOPERM, Imd, Peer, bundle_item, until

pytestmark = pytest.mark.faults


@contextlib.contextmanager
def under_attack(place, known):
    """imd, an attacker, and an honest contact. The attacker is a contact too, or a stranger."""
    one, two, three = place.circle()
    attacker = two if known else place.circle()[0]
    with Imd(place, one, log_level="info") as imd, Peer(place, attacker, options=["--no-omemo"]) as crowd, \
            Peer(place, three, options=["--only", "legacy"]) as honest:
        yield imd.online(), crowd, honest


def size(imd):
    return sum(file.stat().st_size for file in imd.database.parent.glob("imd.sqlite*"))


class Watch:
    """How long `daemon.status` takes, asked all the time while something else goes on."""

    def __init__(self, imd):
        self.imd, self.times = imd, []

    def until(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {self.imd.told('undecryptable')[-3:]}"
            began = time.monotonic()
            self.imd.call("daemon.status")
            self.times.append(time.monotonic() - began)
            time.sleep(0.02)


def flood(watch, crowd, imd, **command):
    """Has the crowd send; imd is asked for its status until the server has everything."""
    crowd.begin("crowd", to=imd.user.jid, device=imd.device(), **command)
    ended = []

    def over():
        event = crowd.poll()
        assert event is None or event["ev"] != "error", event
        ended.extend([event] if event and event["ev"] == "done" else [])
        return ended

    watch.until(over, 120, "the crowd has sent")


@pytest.mark.parametrize("known, version", [(True, "legacy"), (False, "omemo2")], ids=["contact", "stranger"])
def test_key_exchanges_of_many_invented_devices(place, known, version):
    count = scaled(300, 10_000)
    with under_attack(place, known) as (imd, crowd, honest):
        honest.send(imd.user.jid, "hello")
        assert [m["body"] for m in imd.messages(1)] == ["hello"]
        before, memory, watch = size(imd), resident(imd), Watch(imd)
        for kind in ("legacy", "omemo2"):
            crowd.publish_list(kind, range(1000, 1000 + count))
        began = time.monotonic()
        flood(watch, crowd, imd, kind="garbage", count=count, first=1000, version=version)
        flood(watch, crowd, imd, kind="strangers", count=count // 5, first=1000, version=version)
        # The honest one is read after all of it.
        honest.send(imd.user.jid, "are you there?")
        watch.until(lambda: "are you there?" in bodies(imd, honest), 60, "the honest contact is read")
        took = time.monotonic() - began
        imd.ok("send", honest.user.jid, "I am", "--wait", "server", "--timeout", "20")
        assert honest.next("message")["body"] == "I am"
        slowest, grown = percentile(watch.times, 0.99) * 1000, (size(imd) - before) / (1 << 20)
        with reading(imd) as connection:
            devices = connection.execute("SELECT count(*) FROM device").fetchone()[0]
            sessions = connection.execute("SELECT count(*) FROM session").fetchone()[0]
        figure("F16", (
            f"{place.script}, {version}, {'contact' if known else 'stranger'}: {count} + {count // 5} hostile key "
            f"exchanges in {took:.1f} s, status p99 {slowest:.0f} ms, database +{grown:.1f} MiB, "
            f"{devices} devices, {sessions} sessions, memory +{(resident(imd) - memory) / 1024:.1f} MiB"))
        assert slowest <= 250
        assert grown <= 20
        assert devices <= 100 + 10 and sessions <= 2 * 110
        # Each exchange that worked took a key; somebody else must still find some.
        for kind in ("legacy", "omemo2"):
            node, _ = bundle_item(kind, imd.device())
            [item] = honest.do("fetch", jid=imd.user.jid, node=node)["items"]
            assert item.count("preKeyPublic " if kind == "legacy" else "pk ") >= 25, "the bundle is never empty"


def bodies(imd, peer):
    return [m["body"] for m in imd.call("message.list", chat=peer.user.jid)["messages"]]


def test_many_key_exchanges_of_one_device_keep_few_sessions(place, version):
    """Each is a session of its own; of those that are replaced only some are kept."""
    count = scaled(100, 2000)
    with under_attack(place, True) as (imd, crowd, honest):
        device, watch = 4711, Watch(imd)
        honest.send(imd.user.jid, "hello")
        assert [m["body"] for m in imd.messages(1)] == ["hello"]
        crowd.publish_list(version, [device])
        before = size(imd)
        flood(watch, crowd, imd, kind="exchanges", count=count, first=device, version=version)
        watch.until(lambda: f"exchanges {count - 1}" in bodies(imd, crowd), 60, "the last one is read")
        with reading(imd) as connection:
            largest = connection.execute("SELECT max(length(record)) FROM session").fetchone()[0]
        assert percentile(watch.times, 0.99) <= 0.25
        assert largest <= 200_000, largest
        assert size(imd) - before <= 20 << 20
        honest.send(imd.user.jid, "are you there?")
        watch.until(lambda: "are you there?" in bodies(imd, honest), 30, "the honest contact is read")


def test_a_list_of_a_thousand_devices(place):
    one, two, _ = place.circle()
    with Imd(place, one, log_level="info") as imd, Peer(place, two, options=["--no-omemo"]) as crowd:
        imd.online()
        for version in ("legacy", "omemo2"):
            crowd.publish_list(version, range(1, 1001))
        until(lambda: len(imd.devices(two.jid)) >= 100, 30, "the list is pushed")
        assert len(imd.devices(two.jid)) <= 100
        began = time.monotonic()
        done = imd.imctl("send", two.jid, "to a thousand", timeout=60)
        took = time.monotonic() - began
        assert done.returncode == NOPERM, done
        figure("F17", f"{place.script}: a list of 1,000 devices: refused after {took:.2f} s")
        assert took <= 10
        named, more = re.findall(r"\d+ \(([a-z-]+)\)", done.stderr), re.search(r"and (\d+) more", done.stderr)
        assert set(named) <= {"no-bundle", "too-many"} and len(named) + int(more[1]) == 1000, done
        # And a real one among them is still reached.
        crowd.publish_list("omemo2", [])
        with Peer(place, two, options=["--only", "legacy"]) as real:
            crowd.publish_list("legacy", [real.own["device"], *range(1, 1000)])
            until(lambda: real.own["device"] in imd.devices(two.jid), 30, "the real one is known")
            began = time.monotonic()
            imd.ok("send", two.jid, "to the one that exists", "--wait", "server", "--timeout", "30")
            took = time.monotonic() - began
            assert real.next("message")["body"] == "to the one that exists"
            figure("F17", f"{place.script}: one device of a thousand exists: with the server after {took:.2f} s")
            assert took <= 10


def test_messages_that_cannot_be_read_start_at_most_one_session(place, version):
    """C31: one event each, and no healing in a loop."""
    count = scaled(200, 1000)
    with under_attack(place, True) as (imd, crowd, honest), \
            Peer(place, crowd.user, options=["--only", version]) as real:
        device = real.own["device"]
        until(lambda: device in imd.devices(real.user.jid), 20, "it is known")
        flood(Watch(imd), crowd, imd, kind="noise", count=count, first=device, version=version)
        until(lambda: len(imd.told("undecryptable")) >= count, 30, "each is told of")
        real.quiet(2)
        assert len(imd.told("undecryptable")) == count
        assert len(imd.told("device", change="session-renewed")) == 1
        assert sum(e["ev"] == "empty" for e in real.seen) == 1, "one empty message"
        imd.kill()
        imd.start(wait_online=True)
        flood(Watch(imd), crowd, imd, kind="noise", count=10, first=device, version=version)
        until(lambda: len(imd.told("undecryptable")) == count + 10, 30, "each is told of")
        time.sleep(1)
        assert len(imd.told("device", change="session-renewed")) == 1, "once a day, whatever happens"
        honest.send(imd.user.jid, "are you there?")
        assert [m["body"] for m in imd.messages(1)] == ["are you there?"]
        real.send(imd.user.jid, "I never wrote that", version=version)
        assert [m["body"] for m in imd.messages(1)] == ["I never wrote that"]
