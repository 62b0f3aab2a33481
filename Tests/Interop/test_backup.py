"""An account on another machine: its contacts, decisions and history, and a device of its own."""

import os
import subprocess

from harness import BIN, Imd, Peer, assert_explained, until

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
        old.messages(1)
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
        history = [(m["direction"], m["body"]) for m in new.call("message.list", chat=two.jid)["messages"]]
        assert history == [("out", "canary before the move"), ("in", "see you there")]
        known = {d["fingerprint"]: d["trust"] for d in new.devices(two.jid).values()}
        assert known[peer.own["fingerprint"]] == "verified"
        assert new.call("encryption.get", jid=two.jid)["policy"] == "verified-only"
        assert new.imctl("send", two.jid, "in clear", "--plaintext").returncode == NOPERM, "it stays encrypted"
        new.ok("send", two.jid, "I have moved", "--wait", "server")
        assert peer.next("message")["body"] == "I have moved"
        peer.send(one.jid, "welcome")
        assert [m["body"] for m in new.messages(1)] == ["welcome"]


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
