"""Fixtures: servers of its own for each file, so that none runs out of users; fresh users and processes for each
test."""

import faults
import pytest
from harness import BIN, Ejabberd, Imd, Peer, Prosody
from servers import CIRCLE


def pytest_report_header():
    return f"imd: {BIN}; faults: {'long form' if faults.TORTURE else 'reduced form'}"


def pytest_configure(config):
    config.addinivalue_line("markers", "faults: a row of the fault matrix; IMD_TORTURE=1 makes it the long form")


def pytest_terminal_summary(terminalreporter):
    if faults.FIGURES:
        terminalreporter.section("measured")
        for line in faults.FIGURES:
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def server():
    """No contact is in anybody's roster; also serves the domains that must be refused."""
    names = [f"user{number}" for number in range(300)]
    with Prosody(names, ["--faulty", "--capture", "--nodelay"]) as server:
        yield server


@pytest.fixture
def friends():
    """A server whose users have each other in the roster."""
    with Prosody([f"friend{number}" for number in range(3)], ["--mutual", "--capture", "--nodelay"]) as server:
        yield server


@pytest.fixture(scope="module")
def archive():
    """A server that keeps an archive, as most do; its users know each other."""
    names = [f"user{number}" for number in range(100)]
    with Prosody(names, ["--mam", "--mutual", "--capture", "--nodelay"]) as server:
        yield server


@pytest.fixture(scope="module")
def ejabberd():
    names = [f"user{number}" for number in range(16)]
    with Ejabberd(names, ["--mutual"]) as server:
        yield server


@pytest.fixture(scope="module")
def prosody_circles():
    options = ["--mam", "--mutual", "--circle", str(CIRCLE), "--capture", "--nodelay"]
    with Prosody([f"user{number}" for number in range(64 * CIRCLE)], options) as server:
        yield server


@pytest.fixture(scope="module")
def ejabberd_circles():
    options = ["--mutual", "--circle", str(CIRCLE)]
    with Ejabberd([f"user{number}" for number in range(64 * CIRCLE)], options) as server:
        yield server


@pytest.fixture(params=["prosody", "ejabberd"])
def place(request):
    """A server with an archive, each test through both kinds; `place.circle()` are users who know each other."""
    return request.getfixturevalue(f"{request.param}_circles")


@pytest.fixture(params=["legacy", "omemo2"])
def version(request):
    return request.param


@pytest.fixture
def imd(server):
    """A daemon whose account is online."""
    with Imd(server) as imd:
        yield imd.online()


@pytest.fixture
def other(server):
    """A second user's daemon, online."""
    with Imd(server) as imd:
        yield imd.online()


@pytest.fixture
def fresh(server):
    """A running daemon without an account; its `user` is one it could add."""
    with Imd(server) as imd:
        yield imd


@pytest.fixture
def peer(server):
    with Peer(server, server.user()) as peer:
        yield peer
