"""An account on another machine: its contacts, decisions and history, and a device of its own."""

import json
import os
import subprocess

import pytest
from harness import BIN, USAGE, Api, Imd, Peer, assert_explained, until
from terminal import Terminal

DATA, NOPERM, CONFLICT = 65, 77, 73


def run(imd, *arguments, passphrase):
    """imctl with the passphrase on descriptor 3: never an argument."""
    read, write = os.pipe()
    os.write(write, passphrase.encode() + b"\n")
    os.close(write)
    try:
        return subprocess.run(
            [BIN / "imctl", *map(str, arguments), "--passphrase-fd", str(read)], env=imd.environment,
            capture_output=True, text=True, timeout=90, pass_fds=[read])
    finally:
        os.close(read)


def test_an_account_moves_to_another_machine(server, tmp_path):
    one, two, _ = server.circle()
    file = tmp_path / "alice.imd"
    with Imd(server, one) as old, Imd(server, one) as new, Peer(server, two) as peer:
        old.online()
        old.ok("send", two.jid, "canary before the move", "--wait", "server")
        assert peer.next("message")["body"] == "canary before the move"
        peer.send(one.jid, "see you there")
        [heard] = old.messages(1)
        old.ok("send", two.jid, "\U0001f44d", "--react-to", heard["id"], "--wait", "server")
        old.ok("device", "verify", two.jid, "--fingerprint", peer.own["fingerprint"])
        old.ok("encryption", two.jid, "--policy", "verified-only")
        done = run(old, "account", "export", file, passphrase="open sesame")
        assert done.returncode == 0, done.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        data = file.read_bytes()
        assert b"canary" not in data and one.password.encode() not in data and one.jid.encode() not in data
        again = run(old, "account", "export", file, passphrase="open sesame")
        assert again.returncode == CONFLICT and file.read_bytes() == data, "nothing is written over"
        before = old.devices(one.jid)
        old.stop()

        done = run(new, "account", "import", file, passphrase="open sesame")
        assert done.returncode == 0, done.stderr
        new.ok("status", "--wait", "online", "--timeout", "30")
        assert new.fingerprint() not in [device["fingerprint"] for device in before.values()], "another device"
        history = new.call("message.list", chat=two.jid)["messages"]
        assert [(m["direction"], m["body"], m.get("reactsTo")) for m in history] == [
            ("out", "canary before the move", None), ("in", "see you there", None),
            ("out", "\U0001f44d", heard["id"])]
        known = {d["fingerprint"]: d["trust"] for d in new.devices(two.jid).values()}
        assert known[peer.own["fingerprint"]] == "verified"
        assert new.call("encryption.get", jid=two.jid)["policy"] == "verified-only"
        assert new.imctl("send", two.jid, "in clear", "--plaintext").returncode == NOPERM, "it stays encrypted"
        new.ok("send", two.jid, "I have moved", "--wait", "server")
        assert peer.next("message")["body"] == "I have moved"
        peer.send(one.jid, "welcome")
        assert [m["body"] for m in new.messages(1)] == ["welcome"]


@pytest.fixture
def with_command(server, tmp_path):
    """A backup whose account has a password command that leaves a trace, and the trace."""
    user, _, _ = server.circle()
    file, trace, password = tmp_path / "alice.imd", tmp_path / "trace", tmp_path / "canary-password"
    password.write_text(user.password)
    command = f"touch {trace}; cat {password}"
    with Imd(server, user) as old:
        old.ok(
            "account", "add", user.jid, "--password-command", command, "--server", server.address, "--ca-file",
            server.ca)
        assert run(old, "account", "export", file, passphrase="open sesame").returncode == 0
    trace.unlink()
    return file, trace, command, user


def test_a_command_in_a_backup_is_not_run_before_somebody_agrees(server, with_command):
    file, trace, command, old = with_command
    with Imd(server) as new:
        done = run(new, "account", "import", file, passphrase="open sesame")
        assert done.returncode == USAGE, done
        assert "'touch'" in done.stderr and "--accept-password-command" in done.stderr
        assert "canary" not in done.stderr + new.log()
        assert_explained(done.stderr)
        with Api(new) as api:
            content = api.call("account.inspect", path=str(file), passphrase="open sesame")
            assert (content["account"], content["passwordCommand"]) == (old.jid, command)
            assert content["server"] == server.address
            refused = api.fails("account.import", path=str(file), passphrase="open sesame")
            assert refused["data"]["code"] == "invalid-params" and "canary" not in json.dumps(refused)
        with Terminal([BIN / "imctl", "account", "import", file], new.environment) as terminal:
            terminal.expect("Passphrase: ")
            terminal.type("open sesame\n")
            assert command in terminal.expect("[y/N]").replace("\r\n", "")
            terminal.type("n\n")
            assert terminal.wait() == USAGE
        assert new.call("account.list")["accounts"] == [] and not trace.exists()
        with Terminal([BIN / "imctl", "account", "import", file], new.environment) as terminal:
            terminal.expect("Passphrase: ")
            terminal.type("open sesame\n")
            terminal.expect("[y/N]")
            terminal.type("y\n")
            assert terminal.wait() == 0, terminal.shown
        new.ok("status", "--wait", "online", "--timeout", "30")
        assert trace.exists() and "canary" not in new.log()


def test_a_flag_agrees_to_the_command_in_a_backup_and_another_one_takes_its_place(server, with_command):
    file, trace, command, _ = with_command
    with Imd(server) as new, Imd(server) as other:
        done = run(new, "account", "import", file, "--accept-password-command", passphrase="open sesame")
        assert done.returncode == 0, done.stderr
        new.ok("status", "--wait", "online", "--timeout", "30")
        assert trace.exists()
        trace.unlink()
        own = command.partition("; ")[2]
        done = run(other, "account", "import", file, "--password-command", own, passphrase="open sesame")
        assert done.returncode == 0, done.stderr
        other.ok("status", "--wait", "online", "--timeout", "30")
        assert not trace.exists()


def test_a_backup_that_is_not_whole_or_not_ours_changes_nothing(server, tmp_path):
    one, _, _ = server.circle()
    file = tmp_path / "alice.imd"
    with Imd(server, one) as old, Imd(server, one) as new:
        old.online()
        assert run(old, "account", "export", file, passphrase="open sesame").returncode == 0
        wrong = run(new, "account", "import", file, passphrase="close sesame")
        assert wrong.returncode == NOPERM
        assert_explained(wrong.stderr)
        data = file.read_bytes()
        for name, damaged in (
            ("cut", data[:-1]), ("flipped", data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]),
            ("other", b"not a backup"), ("empty", b""),
        ):
            bad = tmp_path / name
            bad.write_bytes(damaged)
            done = run(new, "account", "import", bad, passphrase="open sesame")
            assert done.returncode in (DATA, NOPERM), (name, done)
            assert "error: " in done.stderr
        assert new.call("account.list")["accounts"] == []
        conflict = run(old, "account", "import", file, passphrase="open sesame")
        assert conflict.returncode == CONFLICT
        assert not list(tmp_path.glob("*.part"))
