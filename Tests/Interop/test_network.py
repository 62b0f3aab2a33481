"""Changes of the network, in a namespace of its own: real ones are noticed at once, the rest is not."""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from harness import Imd, until

CHANGED = "the network has changed"


def ip(namespace, *words):
    subprocess.run(["ip", "-n", namespace, *words], check=True, capture_output=True, text=True)


@pytest.fixture
def namespace():
    """A network of its own with the interface `one`, up and with an address and a default route; `far` is its other end."""
    name = f"imd-test-{os.getpid()}"
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and ip(8) for a network namespace")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"cannot make a network namespace: {made.stderr.strip()}")
    try:
        try:
            ip(name, "link", "set", "lo", "up")
            ip(name, "link", "add", "one", "type", "veth", "peer", "name", "far")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"cannot make a network interface: {error.stderr.strip()}")
        ip(name, "link", "set", "far", "up")
        ip(name, "link", "set", "one", "up")
        ip(name, "address", "add", "192.0.2.5/24", "dev", "one")
        ip(name, "route", "add", "default", "via", "192.0.2.1", "dev", "one")
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.fixture
def inside(server, namespace):
    time.sleep(2.5)  # the interface's own IPv6 address is checked for duplicates
    with Imd(server, prefix=["ip", "netns", "exec", namespace]) as imd:
        yield imd


def changes(imd):
    return imd.log().count(CHANGED)


@contextlib.contextmanager
def noticed(imd, count=1):
    """`count` changes are noticed within a second, and no more."""
    before = changes(imd)
    yield
    if count:
        until(lambda: changes(imd) > before, 1, "the change is noticed")
    time.sleep(0.6)
    assert changes(imd) - before == count, imd.log()


def test_addresses_and_routes_that_come_and_go_are_noticed(inside, namespace):
    with noticed(inside):
        ip(namespace, "address", "add", "192.0.2.6/24", "dev", "one")
    with noticed(inside):
        ip(namespace, "address", "delete", "192.0.2.6/24", "dev", "one")
    with noticed(inside):
        ip(namespace, "route", "replace", "default", "via", "192.0.2.2", "dev", "one")
    with noticed(inside):
        ip(namespace, "route", "delete", "default")
    with noticed(inside):
        ip(namespace, "-6", "address", "add", "2001:db8::5/64", "dev", "one", "nodad")
    with noticed(inside):
        ip(namespace, "-6", "route", "add", "default", "via", "2001:db8::1", "dev", "one")
    with noticed(inside):  # as when a cable is pulled
        ip(namespace, "link", "set", "far", "down")


def test_many_reports_at_once_are_one_change(inside, namespace):
    with noticed(inside):
        for number in range(10, 30):
            ip(namespace, "address", "add", f"192.0.2.{number}/24", "dev", "one")


def test_what_makes_no_difference_to_a_connection_is_not_noticed(inside, namespace):
    with noticed(inside, 0):
        ip(namespace, "link", "add", "two", "type", "bridge")  # down, without an address
        ip(namespace, "route", "add", "198.51.100.0/24", "via", "192.0.2.1", "dev", "one")
        ip(namespace, "address", "change", "192.0.2.5/24", "dev", "one", "valid_lft", "900", "preferred_lft", "600")
        ip(namespace, "link", "set", "one", "mtu", "1400")
        ip(namespace, "address", "add", "192.0.2.7/24", "dev", "one")
        ip(namespace, "address", "delete", "192.0.2.7/24", "dev", "one")  # back before anybody looked


def test_the_event_loops_sleep_while_nothing_happens(inside):
    folder = Path(f"/proc/{inside.process.pid}/task")

    def switches():
        """How often each event loop has waited for something."""
        return {
            task.name: int((task / "status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
            for task in folder.iterdir() if (task / "comm").read_text().startswith("NIO")}

    time.sleep(2)
    before = switches()
    time.sleep(5)
    assert before and switches() == before
