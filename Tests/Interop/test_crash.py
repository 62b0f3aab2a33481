"""imd is killed at random moments during a two-way exchange: nothing is lost, nothing comes twice."""

import random
import threading
import time
from collections import Counter

from harness import until

KILLS, MESSAGES = 20, 200


def send_with_retries(imd, to, bodies, failures):
    """As a careful script does it: the same --id until imctl says yes."""
    for number, body in enumerate(bodies):
        deadline = time.monotonic() + 120
        while imd.imctl("send", to, body, "--id", f"crash-{number}").returncode != 0:
            if time.monotonic() > deadline:
                failures.append(body)
                return
            time.sleep(0.05)
        time.sleep(0.02)


def test_20_kills_lose_nothing_and_repeat_nothing(imd, peer):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    # The conversation has begun: python-omemo keeps one session with a device, so where both sides start one at the
    # same moment it cannot read what was encrypted with the other; kills would not be what is tested.
    imd.ok("send", peer.user.jid, "warm up", "--wait", "server")
    assert peer.next("message")["body"] == "warm up"
    peer.send(imd.user.jid, "warm up")
    assert [m["body"] for m in imd.messages(1)] == ["warm up"]
    peer.seen.clear()
    to_peer = [f"to peer {number}" for number in range(MESSAGES)]
    to_imd = [f"to imd {number}" for number in range(MESSAGES)]
    failures = []

    def peer_sends():
        for body in to_imd:
            peer.send(imd.user.jid, body)
            time.sleep(0.08)

    threads = [
        threading.Thread(target=send_with_retries, args=(imd, peer.user.jid, to_peer, failures)),
        threading.Thread(target=peer_sends)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            time.sleep(moments.uniform(0.05, 0.9))
            imd.kill()
            imd.start()
    finally:
        for thread in threads:
            thread.join(240)
    assert not failures and not any(thread.is_alive() for thread in threads)
    imd.ok("status", "--wait", "online", "--timeout", "60")

    def received_by_peer():
        peer.quiet(0.5)
        return Counter(event["body"] for event in peer.seen if event["ev"] == "message")

    until(lambda: len(received_by_peer()) == MESSAGES, 90, f"the peer has all {MESSAGES}")
    at_imd = Counter(message["body"] for message in imd.messages(MESSAGES, 90))
    assert at_imd == Counter(to_imd), (at_imd - Counter(to_imd), Counter(to_imd) - at_imd)
    assert not [e for e in imd.events(2) if e["type"] == "message"], "nothing comes a second time"
    assert received_by_peer() == Counter(to_peer)
    numbers = [m["id"] for m in imd.call("message.list", chat=peer.user.jid, limit=1000)["messages"]]
    assert len(numbers) == len(set(numbers)) == 2 * MESSAGES + 2

    # The sessions still work, both ways, with a clean restart in between.
    imd.ok("send", peer.user.jid, "after all kills", "--wait", "server")
    until(lambda: received_by_peer()["after all kills"] == 1, 20, "the peer reads on")
    imd.stop()
    imd.start(wait_online=True)
    peer.send(imd.user.jid, "and back")
    assert [m["body"] for m in imd.messages(1)] == ["and back"]


def test_a_message_queued_before_a_kill_goes_out_once_after_it(server, imd, peer):
    imd.ok("send", peer.user.jid, "warm up", "--wait", "server")
    peer.next("message")
    imd.ok("account", "disconnect", imd.user.jid)
    imd.ok("send", peer.user.jid, "queued while offline", "--id", "once")
    imd.kill()
    imd.start()
    imd.ok("account", "connect", imd.user.jid)
    imd.ok("send", peer.user.jid, "queued while offline", "--id", "once", "--wait", "server")
    assert [e["body"] for e in peer.quiet(4) if e["ev"] == "message"] == ["queued while offline"]
