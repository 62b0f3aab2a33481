"""What `imctl account add` says when the account, the server or its certificate is wrong."""

import json
import socket

import pytest
from harness import NOHOST, NOINPUT, NOPERM, PROTOCOL, UNAVAILABLE, USAGE, Api, Imd, User, assert_explained


def assert_refused(done, *statuses):
    assert done.returncode in statuses, done
    assert_explained(done.stderr)
    assert done.stdout == ""


def assert_survives(imd):
    """The failed attempt left nothing behind and the daemon works: the next one succeeds."""
    assert imd.call("account.list")["accounts"] == []
    imd.online()
    imd.ok("status", "--wait", "online", "--timeout", "10")


def test_starttls_login(imd):
    [account] = imd.call("account.list")["accounts"]
    assert (account["jid"], account["state"]) == (imd.user.jid, "online")
    assert account["mechanism"].startswith("SCRAM-SHA-")
    assert account["tls"] in ("TLSv1.2", "TLSv1.3")


def test_direct_tls_login(server, fresh):
    done = fresh.add_account(server=server.tls_address, options=["--tls", "direct"])
    assert done.returncode == 0, done.stderr


def test_a_password_command_instead_of_a_password(server, fresh):
    password = fresh.root / "password"
    password.write_text(fresh.user.password + "\n")
    fresh.ok(
        "account", "add", fresh.user.jid, "--password-command", f"cat {password}", "--server", server.address,
        "--ca-file", server.ca)
    fresh.stop()
    fresh.start(wait_online=True)


def test_the_account_is_online_again_after_a_restart(imd):
    imd.stop()
    imd.start(wait_online=True)


def test_the_account_comes_back_when_the_server_does(friends):
    with Imd(friends, friends.user()) as imd:
        imd.online()
        friends.stop()
        assert imd.imctl("status", "--wait", "online", "--timeout", "2").returncode != 0
        friends.restart()
        imd.ok("status", "--wait", "online", "--timeout", "60")


def test_adding_an_account_again_changes_its_settings_and_keeps_its_keys(imd):
    [before] = imd.call("account.list")["accounts"]
    assert_refused(imd.add_account(password="wrong"), NOPERM)
    assert imd.add_account().returncode == 0
    [after] = imd.call("account.list")["accounts"]
    assert after["state"] == "online"
    assert (after["device"], after["fingerprint"]) == (before["device"], before["fingerprint"])


def test_wrong_password(fresh):
    assert_refused(fresh.add_account(password="not the password"), NOPERM)
    assert_survives(fresh)


def test_unknown_user(server, fresh):
    assert_refused(fresh.add_account(User(f"nobody@{server.domain}", "x")), NOPERM)
    assert_survives(fresh)


def test_unknown_host(fresh):
    done = fresh.imctl("account", "add", "alice@does-not-exist.invalid", "--password-stdin", stdin="x\n")
    assert_refused(done, NOHOST, UNAVAILABLE)
    assert_survives(fresh)


def test_nobody_listens_there(fresh):
    assert_refused(fresh.add_account(server="127.0.0.1:9"), UNAVAILABLE)
    assert_survives(fresh)


def test_malformed_server_address(fresh):
    for address in ("127.0.0.1:70000", "127.0.0.1:", ":5222", "127.0.0.1:x"):
        assert_refused(fresh.add_account(server=address), USAGE)
    assert_survives(fresh)


@pytest.mark.parametrize("jid", ["", "@", "no-at-sign@", "two@at@signs", "alice@exa mple.org", "a" * 2000 + "@x.org"])
def test_malformed_jid(fresh, jid):
    assert_refused(fresh.add_account(User(jid, "x")), USAGE)
    assert_survives(fresh)


@pytest.mark.parametrize("domain", ["wrong-name.test", "expired.test", "other-ca.test"])
def test_a_certificate_that_does_not_vouch_for_the_domain(server, fresh, domain):
    assert_refused(fresh.add_account(User(f"user0@{domain}", "user0-password")), PROTOCOL)
    assert_survives(fresh)


def test_the_server_is_not_trusted_without_its_authority(fresh):
    done = fresh.imctl(
        "account", "add", fresh.user.jid, "--password-stdin", "--server", fresh.server.address,
        stdin=fresh.user.password + "\n")
    assert_refused(done, PROTOCOL)
    assert_survives(fresh)


def test_a_server_without_tls(fresh):
    assert_refused(fresh.add_account(User("user0@no-tls.test", "user0-password")), PROTOCOL)
    assert_survives(fresh)


def test_a_server_that_wants_the_password_itself(fresh):
    user = User("user0@plain-only.test", "user0-password")
    assert_refused(fresh.add_account(user), PROTOCOL, NOPERM, UNAVAILABLE)
    assert_survives(fresh)


def test_an_account_that_nobody_waits_for_any_more_is_not_kept_unseen(fresh):
    """A login that was given up has shown nothing; its connection ends."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        with Api(fresh) as api:
            api.request(
                "account.add", jid=fresh.user.jid, passwordCommand="echo x",
                server=f"127.0.0.1:{silent.getsockname()[1]}")
            connection, _ = silent.accept()
            with connection:
                connection.settimeout(20)
                assert b"<stream:stream" in connection.recv(4096)
                api.__exit__()
                while connection.recv(4096):
                    pass
    assert_survives(fresh)


def test_an_unreadable_authority_file(fresh):
    done = fresh.add_account(ca="/does/not/exist.pem")
    assert done.returncode == NOINPUT, done
    assert_survives(fresh)


def test_a_jid_with_a_wrong_domain_part_never_reaches_a_server(fresh):
    done = fresh.imctl("send", "bob@exa mple.org", "x")
    assert_refused(done, USAGE)


def test_a_removed_account_is_gone_after_a_restart(imd):
    imd.ok("account", "remove", "--yes", imd.user.jid)
    imd.stop()
    imd.start()
    assert json.dumps(imd.call("account.list")) == '{"accounts": []}'
    done = imd.imctl("send", "bob@imd.test", "x")
    assert_refused(done, USAGE)
