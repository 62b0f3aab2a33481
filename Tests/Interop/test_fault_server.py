"""The server dies, forgets, overflows or shows another certificate (F2, F3, F5)."""

import contextlib
import re
import threading
import time

import pytest
from faults import (
    Follower, Sender, account_state, acquaint, assert_same, check_invariants, figure, is_online, percentile,
    randomness, reading, scaled, seconds_until)
from harness import Ejabberd, Imd, Prosody, until

pytestmark = pytest.mark.faults

KINDS = {
    "prosody": (Prosody, ["--mam", "--mutual", "--capture", "--nodelay"]),
    "ejabberd": (Ejabberd, ["--mutual"])}


@contextlib.contextmanager
def pair(kind, *options):
    """A server of its own, and two daemons in conversation, each with a consumer."""
    server_type, usual = KINDS[kind]
    with server_type(["one", "two"], [*usual, *options]) as server, Imd(server) as one, Imd(server) as two:
        one.online()
        two.online()
        acquaint(one, two)
        with Follower(one) as at_one, Follower(two) as at_two:
            yield server, one, two, at_one, at_two


class Watch(threading.Thread):
    """When the server's port opens, and when each daemon is online after that."""

    def __init__(self, server, daemons):
        super().__init__(daemon=True)
        self.server, self.daemons, self.delays, self.opened = server, daemons, [], None

    def run(self):
        until(self.server.is_open, 60, "the server listens")
        self.opened = time.monotonic()
        left = list(self.daemons)
        while left and time.monotonic() < self.opened + 60:
            for imd in list(left):
                if (account_state(imd) or {}).get("state") == "online":
                    left.remove(imd)
                    self.delays.append(time.monotonic() - self.opened)
            time.sleep(0.03)


def lost_by_server(kind, server, one, two):
    """The texts that a killed ejabberd lost. It acknowledges a message once that is in the sender's archive; the
    recipient's session writes it into the other one later. None of them may be called delivered."""
    if kind != "ejabberd":
        return set()
    with reading(one) as connection:
        taken = connection.execute(
            "SELECT messageID, body, state FROM message WHERE direction = 'out' AND state IN ('server', 'delivered')"
        ).fetchall()
    archived = server.archived(two.user)
    lost = [(body, state) for message_id, body, state in taken if message_id not in archived]
    assert all(state == "server" for _, state in lost), lost
    return {body for body, _ in lost}


def wait_for_all(follower, bodies, lost, what):
    """Everything came, once and in order, but what `lost()` names."""
    def complete():
        return len(follower.bodies()) + len(lost()) >= len(bodies)

    until(lambda: complete() and not time.sleep(1) and complete(), 120, f"{what}: {len(bodies)} messages")
    gone = lost()
    follower.wait([body for body in bodies if body not in gone], 1, what)
    return len(gone)


@pytest.mark.parametrize("kind, times", [("prosody", 20), ("ejabberd", scaled(3, 20))])
def test_a_server_killed_again_and_again_costs_no_message(kind, times):
    chance = randomness("server kills")
    count = times * scaled(6, 20)
    bodies = {name: [f"{name} {number}" for number in range(count)] for name in ("from one", "from two")}
    with pair(kind) as (server, one, two, at_one, at_two):
        senders = [
            Sender(one, two.user.jid, bodies["from one"], pause=0.15, name="a"),
            Sender(two, one.user.jid, bodies["from two"], pause=0.15, name="b")]
        for sender in senders:
            sender.start()
        delays = []
        for _ in range(times):
            time.sleep(chance.uniform(0.1, 1.0))
            server.kill()
            time.sleep(chance.uniform(0, 0.3))
            watch = Watch(server, (one, two))
            watch.start()
            server.restart()
            watch.join(90)
            assert len(watch.delays) == 2, f"both come back: {one.log()[-1500:]}\n---\n{two.log()[-1500:]}"
            delays += watch.delays
        for sender in senders:
            sender.finish()
        gone = wait_for_all(
            at_two, bodies["from one"], lambda: lost_by_server(kind, server, one, two), "one to two")
        gone += wait_for_all(
            at_one, bodies["from two"], lambda: lost_by_server(kind, server, two, one), "two to one")
        for imd in (one, two):
            check_invariants(imd)
        figure(
            "F2", f"{kind}: killed and restarted {times} times, {count} messages each way: 0 lost by imd, {gone} by the "
            f"server, 0 repeated; online {percentile(delays, 0.5):.1f} s (median), {max(delays):.1f} s (worst) after "
            "the port opened")
        assert max(delays) <= 5 + 2, "5 s, and the log-in on a busy machine"


@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
def test_an_expired_session_is_continued_by_the_archive(kind):
    option = ("--hibernation", 2) if kind == "prosody" else ("--resume-timeout", 2)
    with pair(kind, *option) as (server, one, two, at_one, _):
        one.kill()
        early = [f"while it could be resumed {number}" for number in range(5)]
        late = [f"after that {number}" for number in range(5)]
        for body in early:
            two.ok("send", one.user.jid, body, "--wait", "server")
        time.sleep(4)
        for body in late:
            two.ok("send", one.user.jid, body, "--wait", "server")
        one.start(wait_online=True)
        at_one.wait(early + late, 30, "to one")
        check_invariants(one)


def test_a_session_is_resumed_after_a_kill():
    with pair("prosody") as (server, one, two, at_one, at_two):
        one.kill()
        bodies = [f"meanwhile {number}" for number in range(20)]
        for body in bodies:
            two.ok("send", one.user.jid, body)
        until(lambda: len(server.capture().split("<encrypted")) > 20, 20, "the server has them")
        one.start(wait_online=True)
        assert account_state(one).get("resumed") is True, account_state(one)
        at_one.wait(bodies, 30, "to one")
        one.ok("send", two.user.jid, "resumed", "--wait", "delivered", "--timeout", "30")
        at_two.wait(["resumed"], 30, "to two")
        check_invariants(one)


@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_more_than_the_server_keeps_for_a_stream_comes_from_the_archive(kind, how):
    # ejabberd ends a stream that has so many unacknowledged, so it must hold a page of the archive.
    limit = {"prosody": 20, "ejabberd": 300}[kind]
    option = ("--smacks-queue" if kind == "prosody" else "--ack-queue", limit)
    count = scaled(5 if kind == "prosody" else 2, 20) * limit
    with pair(kind, *option) as (server, one, two, at_one, _):
        sleeping = how == "stopped"
        if sleeping:
            one.process.send_signal(19)  # SIGSTOP: it reads nothing, and answers nothing
        else:
            one.kill()
        bodies = [f"overflow {number}" for number in range(count)]
        for body in bodies:
            assert Sender(two, one.user.jid, ()).try_one(body, body.replace(" ", "-"))
        until(lambda: two.call("outbox.list")["messages"] == [], 60, "the server has all")
        if sleeping:
            one.process.send_signal(18)
            until(lambda: is_online(one), 60, "online again")
        else:
            one.start(wait_online=True)
        at_one.wait(bodies, 60, "to one")
        two.ok("send", one.user.jid, "live again")
        at_one.wait([*bodies, "live again"], 60, "to one")
        check_invariants(one)
        figure("F3", f"{kind}: {count} messages for a stream of which it keeps {limit} ({how}): all came, once")


@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
def test_a_server_killed_while_its_archive_is_read_changes_no_order(kind):
    count = scaled(400, 4000)
    with pair(kind) as (server, one, two, at_one, _):
        one.stop()
        bodies = [f"missed {number}" for number in range(count)]
        for body in bodies:
            assert Sender(two, one.user.jid, ()).try_one(body, body.replace(" ", "-"))
        until(lambda: two.call("outbox.list")["messages"] == [], 120, "the server has all")
        one.start()
        for goal in (count // 8, count // 2):
            until(lambda: len(at_one.bodies()) >= goal, 60, f"{goal} have come")
            server.kill()
            server.restart()
        live = [f"live {number}" for number in range(20)]
        for body in live:
            assert Sender(two, one.user.jid, ()).try_one(body, body.replace(" ", "-"))
        at_one.wait(bodies + live, 120, "to one")
        until(lambda: is_online(one), 60, "caught up")
        check_invariants(one)
        figure("F9", f"{kind}: {count} messages waiting, the server killed twice while they are read: in order, 0 lost")


# The certificate (F5)


def connections(server, what="Client connected"):
    return (server.folder / "prosody.log").read_text().count(what)


def logins(server):
    return connections(server, "Authenticated as")


def failing(imd):
    account = account_state(imd)
    return account and account["state"] != "online" and (account.get("reason") or {}).get("code") == "certificate"


def test_a_renewed_certificate_is_taken_and_one_for_another_name_is_not():
    with pair("prosody") as (server, one, two, at_one, _):
        before = one.call("event.subscribe", consumer="errors", types=["error"])
        assert before is not None
        server.stop()
        server.renew()
        server.restart()
        for imd in (one, two):
            until(lambda: is_online(imd), 30, "online with the renewed certificate")
        assert not [e for e in one.events(1, "--consumer", "errors") if e["type"] == "error"], "silently"
        server.stop()
        server.renew("--name", "elsewhere.test")
        server.restart()
        took = seconds_until(lambda: failing(one), 15, "the account says that the certificate is wrong")
        watched = scaled(30, 180)
        seen = connections(server)
        time.sleep(watched)
        retries = (connections(server) - seen) / 2  # two daemons
        assert logins(server) == 0, "nobody logged in"
        mechanisms = re.findall(r"[Ss]asl|<auth", (server.folder / "prosody.log").read_text())
        assert not mechanisms, "no attempt at logging in"
        assert retries <= 1 + watched / 60, f"{retries} retries in {watched} s"
        done = one.imctl("status")
        assert "certificate" in (done.stdout + done.stderr).lower()
        server.stop()
        server.renew()
        server.restart()
        two.ok("send", one.user.jid, "certified again")
        for imd in (one, two):
            imd.imctl("outbox", "retry")  # at once, and not when the next attempt is due
        at_one.wait(["certified again"], scaled(60, 330), "to one")
        figure("F5", f"wrong certificate: error after {took:.1f} s, 0 log-ins, {retries:.1f} retries in {watched} s")
        assert took <= 5 + 2
        assert_same(at_one.bodies(), ["certified again"], "to one")
