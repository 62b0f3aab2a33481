"""Traffic and faults for a long time: nothing is lost, and nothing grows (F20)."""

import time

import pytest
from faults import (
    Follower, Sender, account_state, acquaint, check_invariants, descriptors, figure, is_online, randomness, resident,
    scaled)
from harness import Imd, Prosody, until

pytestmark = pytest.mark.faults

SECONDS = scaled(75, 45 * 60)


def slope(samples):
    """MiB an hour, by least squares, over (seconds, KiB)."""
    count = len(samples)
    mean_x, mean_y = (sum(sample[axis] for sample in samples) / count for axis in (0, 1))
    above = sum((x - mean_x) * (y - mean_y) for x, y in samples)
    below = sum((x - mean_x) ** 2 for x, _ in samples)
    return above / below * 3600 / 1024


class Faults:
    """One fault at a time, none of which ends the process that is measured."""

    def __init__(self, server, measured, other, chance):
        self.server, self.measured, self.other, self.chance = server, measured, other, chance
        self.counts = {}

    def one(self):
        kind = self.chance.choice(("server killed", "server stopped", "server paused", "other killed", "disconnected"))
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "server killed":
            self.server.kill()
            self.server.restart()
        elif kind == "server stopped":
            self.server.stop()
            time.sleep(self.chance.uniform(0, 1))
            self.server.restart()
        elif kind == "server paused":
            self.server.pause()
            time.sleep(self.chance.uniform(0, 3))
            self.server.resume()
        elif kind == "other killed":
            self.other.kill()
            self.other.start()
        else:
            self.measured.ok("account", "disconnect", self.measured.user.jid)
            self.measured.ok("account", "connect", self.measured.user.jid)


def test_memory_and_descriptors_stay_flat():
    chance = randomness("soak")
    options = ["--mam", "--mutual", "--capture", "--nodelay"]
    with Prosody(["one", "two"], options) as server, Imd(server, log_level="warning") as one, Imd(
            server, log_level="warning") as two:
        one.online()
        two.online()
        acquaint(one, two)
        faults, samples, files = Faults(server, one, two, chance), [], []
        with Follower(one) as at_one, Follower(two) as at_two:
            count = SECONDS * 4
            bodies = {"a": [f"a {n}" for n in range(count)], "b": [f"b {n}" for n in range(count)]}
            senders = [
                Sender(one, two.user.jid, bodies["a"], pause=0.2, name="a"),
                Sender(two, one.user.jid, bodies["b"], pause=0.2, name="b")]
            for sender in senders:
                sender.start()
            began, next_fault = time.monotonic(), SECONDS * 0.1
            while (now := time.monotonic() - began) < SECONDS:
                if now >= next_fault:
                    faults.one()
                    next_fault = time.monotonic() - began + chance.uniform(1, scaled(6, 20))
                if (account_state(one) or {}).get("state") == "online":
                    samples.append((now, resident(one)))
                    files.append(descriptors(one))
                time.sleep(0.5)
            for sender in senders:
                sender.stop()
            for imd in (one, two):
                until(lambda: is_online(imd), 90, "online at the end")
            at_two.wait(senders[0].accepted, 90, "one to two")
            at_one.wait(senders[1].accepted, 90, "two to one")
            for imd in (one, two):
                check_invariants(imd)
        late = [sample for sample in samples if sample[0] > SECONDS / 3]
        first, last = late[:len(late) // 4], late[-len(late) // 4:]
        growth = (min(kib for _, kib in last) - min(kib for _, kib in first)) / 1024
        figure(
            "F20", f"{SECONDS} s, {len(senders[0].accepted) + len(senders[1].accepted)} messages, "
            f"{sum(faults.counts.values())} faults ({faults.counts}): 0 lost; memory {slope(late):+.2f} MiB/h "
            f"({growth:+.1f} MiB over the last two thirds), descriptors {min(files)} to {max(files)}, "
            f"{files[-1]} at the end")
        assert growth <= 4, "memory does not grow"
        assert files[-1] <= files[0] + 4, "descriptors do not pile up"
