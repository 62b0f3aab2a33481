"""Dead links and changing addresses, between network namespaces of this machine (F4)."""

import os
import subprocess
import threading
import time

import pytest
from faults import (
    Follower, Sender, account_state, acquaint, assert_same, check_invariants, figure, is_online, scaled, seconds_until)
from harness import Imd, Prosody, until


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def possible():
    if os.geteuid() != 0:
        return False
    probe = f"imdp{os.getpid()}"
    works = run("ip", "netns", "add", probe).returncode == 0 and run(
        "ip", "netns", "exec", probe, "ip", "link", "add", "name", "end0", "type", "veth", "peer", "name", "end1").returncode == 0
    run("ip", "netns", "del", probe)
    return works


pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not possible(), reason="needs root and the right to make network namespaces")]


class Network:
    """client -- router -- server, each a namespace; the router forwards or swallows."""

    def __init__(self):
        names = {role: f"imd{role[0]}{os.getpid()}" for role in ("client", "router", "server")}
        self.client, self.router, self.server = names.values()
        self.address = "10.77.2.2"

    def __enter__(self):
        try:
            for name in (self.client, self.router, self.server):
                self.must("ip", "netns", "add", name)
                self.inside(name, "ip", "link", "set", "lo", "up")
            for net, end in ((1, self.client), (2, self.server)):
                link = f"{end}l"[-14:]
                self.must(
                    "ip", "link", "add", "name", link, "netns", end, "type", "veth", "peer", "name", f"r{net}", "netns",
                    self.router)
                self.inside(self.router, "ip", "addr", "add", f"10.77.{net}.1/24", "dev", f"r{net}")
                self.inside(self.router, "ip", "link", "set", f"r{net}", "up")
                self.inside(end, "ip", "addr", "add", f"10.77.{net}.2/24", "dev", link)
                self.inside(end, "ip", "link", "set", link, "up")
                self.inside(end, "ip", "route", "add", "default", "via", f"10.77.{net}.1")
            self.link = f"{self.client}l"[-14:]
            self.forward(True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in (self.client, self.router, self.server):
            run("ip", "netns", "del", name)

    @staticmethod
    def must(*command):
        done = run(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def inside(self, name, *command):
        self.must("ip", "netns", "exec", name, *command)

    def at(self, name):
        return ["ip", "netns", "exec", name]

    def forward(self, on):
        self.inside(self.router, "sh", "-c", f"echo {int(on)} >/proc/sys/net/ipv4/ip_forward")

    def move(self, old, new):
        """The client's address goes, and with it its default route; later it has another one."""
        self.inside(self.client, "ip", "addr", "del", f"10.77.1.{old}/24", "dev", self.link)
        time.sleep(1)
        self.inside(self.client, "ip", "addr", "add", f"10.77.1.{new}/24", "dev", self.link)
        self.inside(self.client, "ip", "route", "replace", "default", "via", "10.77.1.1")


@pytest.fixture(scope="module")
def network():
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def far(network):
    """The server behind the router."""
    options = ["--mam", "--mutual", "--capture", "--nodelay", "--listen", network.address]
    with Prosody([f"user{number}" for number in range(12)], options, prefix=network.at(network.server)) as server:
        yield server


@pytest.fixture
def near(network, far):
    """A daemon whose way to the server leads through the router."""
    with Imd(far, prefix=network.at(network.client)) as imd:
        yield imd.online()


@pytest.fixture
def there(network, far):
    """A daemon beside the server, with an undisturbed way."""
    with Imd(far, prefix=network.at(network.server)) as imd:
        yield imd.online()


def is_down(imd):
    account = account_state(imd)
    return account is not None and account["state"] != "online"


def test_a_dead_link_is_noticed_idle_and_with_a_message_on_its_way(network, far, near, there):
    with Imd(far, prefix=network.at(network.client)) as idle, Follower(there) as at_there, Follower(near) as at_near:
        idle.online()
        acquaint(near, there)
        time.sleep(2)
        noticed = {}

        def watch(name, imd, began):
            until(lambda: is_down(imd), 60, f"{name} notices")
            noticed[name] = time.monotonic() - began

        network.forward(False)
        try:
            began = time.monotonic()
            assert Sender(near, there.user.jid, ()).try_one("into the hole", "into-the-hole")
            watches = [
                threading.Thread(target=watch, args=(name, imd, began), daemon=True)
                for name, imd in (("unacknowledged", near), ("idle", idle))]
            for thread in watches:
                thread.start()
            there.ok("send", near.user.jid, "from the other side")
            for thread in watches:
                thread.join(70)
        finally:
            network.forward(True)
        back = seconds_until(lambda: is_online(near) and is_online(idle), 60, "both are back")
        at_there.wait(["into the hole"], 30, "to there")
        at_near.wait(["from the other side"], 30, "to near")
        for imd in (near, idle):
            check_invariants(imd)
        figure(
            "F4", f"dead link noticed after {noticed['unacknowledged']:.1f} s with a message on its way, after "
            f"{noticed['idle']:.1f} s idle; back {back:.1f} s after the link")
        assert noticed["unacknowledged"] <= 10 + 2 and noticed["idle"] <= 30 + 3


def test_a_server_that_stands_still_is_noticed(far, near, there):
    acquaint(near, there)
    with Follower(there) as at_there:
        far.pause()
        try:
            assert Sender(near, there.user.jid, ()).try_one("to a sleeper", "to-a-sleeper")
            took = seconds_until(lambda: is_down(near), 40, "noticed")
        finally:
            far.resume()
        at_there.wait(["to a sleeper"], 60, "to there")
        until(lambda: is_online(near), 60, "back again")
        figure("F4", f"a server that answers nothing noticed after {took:.1f} s")
        assert took <= 10 + 2


@pytest.mark.parametrize("times", [scaled(2, 10)])
def test_a_new_address_is_used_at_once(network, near, there, times):
    acquaint(near, there)
    with Follower(near) as at_near, Follower(there) as at_there:
        addresses, delays = [2, 3], []
        bodies = {"in": [], "out": []}
        for number in range(times):
            network.move(addresses[0], addresses[1])
            began = time.monotonic()
            addresses.reverse()
            there.ok("send", near.user.jid, f"in {number}")
            near.ok("send", there.user.jid, f"out {number}")
            bodies["in"].append(f"in {number}")
            bodies["out"].append(f"out {number}")
            until(lambda: len(at_there.bodies()) == number + 1, 60, "the message is there")
            delays.append(time.monotonic() - began)
            until(lambda: len(at_near.bodies()) == number + 1, 60, "and the other one here")
        if addresses[0] != 2:
            network.move(addresses[0], 2)
        assert_same(at_near.bodies(), bodies["in"], "to near")
        assert_same(at_there.bodies(), bodies["out"], "to there")
        check_invariants(near)
        figure("F4", f"{times} changes of address: messages flow within {max(delays):.1f} s of the new one")
        assert max(delays) <= 5, "at once: not when some timer is due"
