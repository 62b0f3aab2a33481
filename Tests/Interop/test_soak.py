"""Traffic with faults for a while: neither memory nor descriptors grow (F20)."""

import time

import pytest
from faults import Follower, Sender, check_invariants, descriptors, figure, randomness, resident, scaled
from harness import Imd, Prosody, until

pytestmark = pytest.mark.faults


def test_memory_and_descriptors_stay_flat():
    chance, seconds = randomness("soak"), scaled(60, 3600)
    with Prosody(["one", "two"], ["--mam", "--mutual", "--nodelay"]) as server:
        with Imd(server, log_level="info") as alice, Imd(server, log_level="info") as bob, Follower(bob) as follower:
            alice.online()
            bob.online()
            alice.ok("send", bob.user.jid, "warm up", "--wait", "server")
            samples, sent, began = [], [], time.monotonic()
            while time.monotonic() - began < seconds:
                bodies = [f"round {len(samples)} line {number}" for number in range(30)]
                sender = Sender(alice, bob.user.jid, bodies, pause=0.01, name=f"soak-{len(samples)}")
                sender.start()
                if chance.random() < 0.5:
                    time.sleep(chance.uniform(0, 0.3))
                    server.kill()
                    server.restart()
                sender.finish()
                sent += bodies
                follower.wait(sent, 60, "to bob")
                samples.append((time.monotonic() - began, resident(alice), resident(bob), descriptors(alice)))
            check_invariants(bob, captures=False)
            half = samples[len(samples) // 2:]
            hours = (half[-1][0] - half[0][0]) / 3600
            growth = [(half[-1][who] - half[0][who]) / 1024 for who in (1, 2)]
            figure("F20", f"{len(sent)} messages in {len(samples)} rounds with server kills, {seconds} s: 0 lost; second half "
                   f"{growth[0]:+.1f} and {growth[1]:+.1f} MiB in {hours * 60:.1f} min, {half[-1][3]} descriptors")
            assert half[-1][3] <= half[0][3] + 2
            assert max(growth) < 8
            until(lambda: alice.call("account.list")["accounts"][0]["queued"] == 0, 20, "nothing is left")
