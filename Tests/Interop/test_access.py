"""Sockets whose clients may do one thing and no other (D44), bound by imd or handed over by a service manager."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import termios
import threading
import time
from contextlib import ExitStack

import pytest
from harness import BIN, CONFIG, NOPERM, TEMPFAIL, UNAVAILABLE, Api, Imd, assert_explained, die_with_parent, until
from test_socket_activation import answer, fails, listen, spawn

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def configure(imd, /, **access):
    """Writes `[access.NAME]` for each."""
    (imd.config / "imd").mkdir(mode=0o700, exist_ok=True)
    tables = [
        f"[access.{name}]\n" + "".join(f"{key.replace('_', '-')} = {json.dumps(value)}\n" for key, value in more.items())
        for name, more in access.items()]
    (imd.config / "imd/config.toml").write_text("\n".join(tables))


def place(imd, name):
    return imd.run / f"imd/{name}.sock"


class Limited(Api):
    """A raw client of another socket than imd's own."""

    def __init__(self, imd, name, timeout=30):
        self.socket_path = place(imd, name)
        until(lambda: self.connects(timeout), 10, f"{name}.sock is there")

    def connects(self, timeout):
        try:
            super().__init__(self, timeout)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False


@pytest.fixture
def friend(archive):
    """Who may get messages."""
    with Imd(archive) as friend:
        yield friend.online()


@pytest.fixture
def limited(archive, friend):
    """A daemon with an account and three limited sockets."""
    imd = Imd(archive)
    configure(
        imd, alert={"allow": ["send"], "to": [friend.user.jid]}, bar={"allow": ["unread", "status"]},
        reader={"allow": ["send", "plaintext", "receive"], "per_minute": 5})
    with imd:
        yield imd.online()


def refuse(api, method, **params):
    """The call must be denied, and say where that is decided."""
    error = api.fails(method, **params)
    assert error["data"]["code"] == "denied" and "config.toml" in error["data"]["hint"], error


# What may be sent


def test_a_send_only_socket_reaches_those_it_names_and_nobody_else(limited, friend, archive):
    with Limited(limited, "alert") as alert:
        sent = alert.call("message.send", to=friend.user.jid, body="disk full", id="disk", wait="server")
        assert (sent["id"], sent["state"], sent["chat"]) == ("disk", "server", friend.user.jid)
        assert sent["encryption"]
        refuse(alert, "message.send", to=archive.user().jid, body="x")
        refuse(alert, "message.send", to=limited.user.jid, body="x")
        refuse(alert, "message.send", to=friend.user.jid + "/phone", body="x")
        refuse(alert, "message.send", to=[friend.user.jid], body="x")
        refuse(alert, "message.send", body="x")
        assert alert.call("message.send", to=friend.user.jid, body="still here", wait="server")["state"] == "server"
    assert [event["body"] for event in friend.messages(2)] == ["disk full", "still here"]


def test_a_send_only_socket_cannot_switch_encryption_off(limited, friend):
    limited.ok("encryption", friend.user.jid, "--optional")
    with Limited(limited, "alert") as alert:
        for value in (True, 1, "true", {}):
            refuse(alert, "message.send", to=friend.user.jid, body="in clear", plaintext=value)
        refuse(alert, "encryption.set", jid=friend.user.jid, mode="optional")
        refuse(alert, "device.trust", jid=friend.user.jid)
        assert alert.call("message.send", to=friend.user.jid, body="sealed", plaintext=False)["encryption"]
    limited.ok("encryption", friend.user.jid, "--optional")
    with Limited(limited, "reader") as reader:
        assert "encryption" not in reader.call("message.send", to=friend.user.jid, body="open", plaintext=True)


def test_every_method_but_the_allowed_ones_is_refused(limited):
    methods = {method["name"] for method in limited.call("rpc.discover")["methods"]}
    allowed = {
        "alert": {"message.send"}, "bar": {"daemon.status", "chat.list"},
        "reader": {"message.send", "event.subscribe", "event.ack"}}
    assert len(methods) > 35 and "account.remove" in methods
    before = limited.call("account.list")
    for name, own in allowed.items():
        with Limited(limited, name) as api:
            shown = {method["name"] for method in api.call("rpc.discover")["methods"]}
            assert shown == (own | {"rpc.discover"}) & methods
            for method in sorted(methods - own - {"rpc.discover"}) + ["no.such", ""]:
                refuse(api, method)
                refuse(api, method, account=limited.user.jid, id="x", jid=limited.user.jid, name="imctl")
            # Nobody is told about these, and nothing happens.
            api.write(json.dumps({
                "jsonrpc": "2.0", "method": "account.remove", "params": {"account": limited.user.jid}}).encode() + b"\n")
            refuse(api, "account.list")
    assert [account["jid"] for account in limited.call("account.list")["accounts"]] == [
        account["jid"] for account in before["accounts"]]


def test_requests_in_one_line_are_looked_at_one_by_one(limited, friend, archive):
    def request(number, method, **params):
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}

    with Limited(limited, "alert") as alert:
        alert.write(json.dumps([
            request(1, "account.list"), request(2, "message.send", to=archive.user().jid, body="x"),
            request(3, "event.subscribe"), request(4, "message.send", to=friend.user.jid, body="x", plaintext=True),
        ]).encode() + b"\n")
        answers = alert.read()
        assert all("error" in each for each in (answers if isinstance(answers, list) else [answers])), answers
        refuse(alert, "account.list")
        assert not alert.notifications
    assert limited.call("message.list", chat=friend.user.jid)["messages"] == []


def test_its_ids_are_its_own(limited, friend):
    limited.call("message.send", to=friend.user.jid, body="mine", id="backup")
    with Limited(limited, "alert") as alert:
        for duplicate in (False, True):
            sent = alert.call("message.send", to=friend.user.jid, body="other", id="backup")
            assert (sent["id"], sent["duplicate"]) == ("backup", duplicate)
    assert limited.call("message.get", id="backup")["body"] == "mine"


def test_imctl_goes_through_the_socket_that_is_named(limited, friend, archive):
    limited.environment["IMD_SOCKET"] = str(place(limited, "alert"))
    limited.ok("send", friend.user.jid, "by imctl", "--wait", "server")
    assert friend.messages(1)[0]["body"] == "by imctl"
    for arguments in (["send", archive.user().jid, "x"], ["send", "--plaintext", friend.user.jid, "x"], ["status"]):
        done = limited.imctl(*arguments)
        assert done.returncode == NOPERM, done
        assert_explained(done.stderr)
    limited.environment["IMD_SOCKET"] = str(place(limited, "gone"))
    assert limited.imctl("status").returncode == UNAVAILABLE, "no fallback to the socket that may do everything"


# What may be read


def test_a_status_bar_sees_a_number_and_no_chat(limited, friend):
    friend.ok("send", limited.user.jid, "secret text", "--wait", "server")
    limited.messages(1)
    limited.environment["IMD_SOCKET"] = str(place(limited, "bar"))
    assert limited.ok("unread") == "1\n" and json.loads(limited.ok("unread", "--json")) == {"chats": [], "unread": 1}
    with Limited(limited, "bar") as bar:
        assert bar.call("daemon.status")["accounts"][0]["jid"] == limited.user.jid
        bar.request("chat.list")
        answer = bar.read()
        assert friend.user.jid not in json.dumps(answer) and "secret" not in json.dumps(answer)
        if "result" in answer:
            assert answer["result"]["chats"] == []
        for method, params in (
                ("message.list", {"chat": friend.user.jid}), ("event.subscribe", {}), ("contact.list", {})):
            refuse(bar, method, **params)


def test_a_reader_gets_messages_at_a_place_of_its_own(limited, friend):
    friend.ok("send", limited.user.jid, "before anybody read here", "--wait", "delivered")
    with Limited(limited, "reader") as reader:
        for params in ({"consumer": "imctl"}, {"types": ["security"]}, {"types": ["message", "account"]}, {"types": []}):
            refuse(reader, "event.subscribe", **params)
        assert reader.call("event.subscribe")["consumer"] == "reader"
        friend.ok("send", limited.user.jid, "one", "--wait", "server")
        event = reader.event()
        assert (event["type"], event["body"]) == ("message", "one")
        refuse(reader, "event.ack", consumer="imctl", number=event["number"])
        reader.call("event.ack", consumer="reader", number=event["number"])
    shown = [message["body"] for message in limited.messages(2)]
    assert shown == ["before anybody read here", "one"], "the place of others is where it was"


def test_a_reader_gets_nothing_that_its_user_writes_elsewhere(archive, limited, friend):
    friend.ok("send", limited.user.jid, "warm up", "--wait", "delivered")
    with Imd(archive) as elsewhere, Limited(limited, "reader") as reader:
        elsewhere._user = limited.user
        elsewhere.online()
        reader.call("event.subscribe")
        elsewhere.ok("send", friend.user.jid, "from another device", "--wait", "delivered")
        until(lambda: "from another device" in str(limited.call("message.list", chat=friend.user.jid)), 20, "the carbon")
        friend.ok("send", limited.user.jid, "to the reader", "--wait", "server")
        assert reader.event()["body"] == "to the reader"


def test_which_accounts_there_are_is_not_told(archive, friend):
    imd = Imd(archive)
    configure(imd, alert={"allow": ["send", "status"], "to": [friend.user.jid]}, own={
        "allow": ["send", "status"], "account": imd.user.jid})
    second = archive.user()
    with imd:
        imd.online()
        assert imd.add_account(second).returncode == 0
        with Limited(imd, "alert") as alert:
            error = alert.fails("message.send", to=friend.user.jid, body="x")
            assert error["data"]["code"] == "ambiguous-account"
            assert "2" not in json.dumps({**error, "code": 0}) and second.jid not in json.dumps(error)
        with Limited(imd, "own") as own:
            assert [each["jid"] for each in own.call("daemon.status")["accounts"]] == [imd.user.jid]
            refuse(own, "message.send", to=friend.user.jid, body="x", account=second.jid)
            assert own.call("message.send", to=friend.user.jid, body="x")["account"] == imd.user.jid


# What it costs


def test_a_limited_socket_cannot_use_imd_up(limited, friend):
    with ExitStack() as stack:
        clients = [stack.enter_context(Limited(limited, "alert")) for _ in range(32)]
        assert clients[-1].call("rpc.discover")
        with Limited(limited, "alert") as one_too_many:
            assert one_too_many.read()["error"]["data"]["code"] == "busy"
        limited.ok("status")
        with Limited(limited, "reader") as reader:
            codes = [
                reader.answer(reader.request("message.send", to=friend.user.jid, body=f"{number}"))
                for number in range(8)]
            errors = [each["error"]["data"]["code"] for each in codes if "error" in each]
            assert len(errors) >= 2 and set(errors) == {"busy"}
    limited.environment["IMD_SOCKET"] = str(place(limited, "reader"))
    done = limited.imctl("send", friend.user.jid, "x")
    assert done.returncode in (0, TEMPFAIL), done
    limited.environment.pop("IMD_SOCKET")
    limited.ok("send", friend.user.jid, "x")


# Whose sockets they are


def test_the_sockets_are_the_users_alone_and_go_with_imd(limited):
    for name in ("alert", "bar", "reader"):
        until(place(limited, name).exists, 10, name)
        assert stat.S_IMODE(place(limited, name).lstat().st_mode) == 0o600
        assert place(limited, name).lstat().st_uid == os.geteuid()
    limited.stop()
    assert list((limited.run / "imd").iterdir()) == []


def test_what_lies_at_its_place_is_not_followed(archive):
    imd = Imd(archive)
    configure(imd, alert={"allow": ["send"]})
    (imd.run / "imd").mkdir(mode=0o700)
    with listen(imd.root / "elsewhere") as other:
        place(imd, "alert").symlink_to(imd.root / "elsewhere")
        other.settimeout(0.5)
        status, log = imd.fails_to_start()
        assert status != 0, "somebody listens there"
        assert_explained(log)
    place(imd, "alert").unlink()
    (imd.root / "elsewhere").unlink()
    (imd.root / "elsewhere").write_text("kept")
    place(imd, "alert").symlink_to(imd.root / "elsewhere")
    with imd:
        until(lambda: stat.S_ISSOCK(place(imd, "alert").lstat().st_mode), 10, "a socket of its own")
        assert (imd.root / "elsewhere").read_text() == "kept"


@as_root
def test_another_user_is_refused_at_a_limited_socket_even_when_the_modes_let_it_in(limited):
    until(place(limited, "alert").exists, 10, "the socket is there")
    for folder in (limited.root, limited.run, limited.run / "imd"):
        folder.chmod(0o711)
    place(limited, "alert").chmod(0o666)
    program = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]);"
        "s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}\\n'); print(s.recv(65536).decode())")
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, str(place(limited, "alert"))], user="nobody", group="nogroup", cwd="/",
        capture_output=True, text=True, timeout=30)
    assert '"result"' not in done.stdout, done.stdout
    assert "Permission" not in done.stderr, "the test must get as far as the socket"


@pytest.mark.parametrize(
    "access", [{"imd": {"allow": ["send"]}}, {"alert": {"allow": ["everything"]}}, {"alert": {}}, {
        "alert": {"allow": ["send"], "to": "ops@example.org"}}, {"x" * 33: {"allow": ["send"]}}],
    ids=["name", "word", "nothing", "type", "length"])
def test_a_table_that_makes_no_sense_is_refused(archive, access):
    imd = Imd(archive)
    try:
        configure(imd, **access)
        status, log = imd.fails_to_start()
        assert status == CONFIG and "config.toml" in log
        assert_explained(log)
    finally:
        imd.__exit__()


# Read again


def reload(imd, /, **access):
    """The configuration, read while imd runs."""
    before = len(imd.log())
    configure(imd, **access)
    os.kill(imd.process.pid, signal.SIGHUP)
    until(lambda: "the configuration was read again" in imd.log()[before:], 10, "it was read again")


def hung_up(api):
    """Whether imd ended the connection, after what was on its way."""
    try:
        while api.socket.recv(65_536):
            pass
        return True
    except ConnectionError:
        return True


def test_limits_that_are_read_again_hold_at_once_for_those_who_are_connected_too(limited, friend, archive):
    other = archive.user().jid
    bar = {"allow": ["unread", "status"]}
    with Limited(limited, "alert") as alert, Limited(limited, "bar") as kept, Limited(limited, "reader") as reader:
        inode = place(limited, "alert").stat().st_ino
        reader.call("event.subscribe", consumer="reader")
        assert alert.call("rpc.discover"), "it is served"
        reload(
            limited, alert={"allow": ["status"], "to": [friend.user.jid]}, bar=bar,
            reader={"allow": ["receive"], "to": [other]})
        assert hung_up(alert) and hung_up(reader)
        assert kept.call("chat.list")["unread"] == 0, "its table is what it was"
    assert place(limited, "alert").stat().st_ino == inode, "who connects meanwhile is not turned away"
    with Limited(limited, "alert") as alert:
        refuse(alert, "message.send", to=friend.user.jid, body="x")
        assert alert.call("daemon.status")
    with Limited(limited, "reader") as reader:
        refuse(reader, "event.subscribe", chat=friend.user.jid)


def park(api, *requests):
    """Requests that imd has read and does not begin: before them are more answers than the client takes."""
    discover = b'{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n'
    for _ in range(3):  # until imd reads as much at once
        reader = threading.Thread(target=lambda: [api.reader.readline() for _ in range(1000)], daemon=True)
        reader.start()
        api.write(discover * 1000)
        reader.join(30)
        assert not reader.is_alive()
    api.write(discover * 400 + b"".join(json.dumps({"jsonrpc": "2.0", **more}).encode() + b"\n" for more in requests))
    until(lambda: not unread(api), 10, "imd has read all of it")


def unread(api):
    """How many bytes of what was written imd has not read, see unix(7)."""
    return struct.unpack("i", fcntl.ioctl(api.socket, termios.TIOCOUTQ, bytes(4)))[0]


@pytest.mark.parametrize("alert", [{"alert": {"allow": ["status"]}}, {}], ids=["changed", "dropped"])
def test_what_was_asked_for_before_the_limits_changed_is_not_done_afterwards(limited, friend, alert):
    with Limited(limited, "alert") as api:
        park(api, *[
            {"id": number, "method": "message.send", "params": {"to": friend.user.jid, "body": f"parked {number}"}}
            for number in range(20)])
        time.sleep(1)
        assert limited.call("message.list", chat=friend.user.jid)["messages"] == [], "none of them is begun"
        reload(limited, **alert)
        until(lambda: re.search("(chang|clos)ed a limited socket.*alert|access=alert.*(chang|clos)ed", limited.log()), 10,
              "it has changed")
        assert hung_up(api)
    with Limited(limited, "alert") if alert else Api(limited) as api:
        assert api.call("daemon.status")
    time.sleep(1)
    assert limited.call("message.list", chat=friend.user.jid)["messages"] == []


def test_a_socket_that_somebody_holds_keeps_no_limit_from_changing_and_imd_from_ending(limited, friend):
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as waiting:
        listener.bind(str(place(limited, "aaa")))
        listener.listen(0)
        for _ in range(3):  # more than fit
            client = waiting.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(str(place(limited, "aaa")))
            except BlockingIOError:
                break
        else:
            pytest.fail("there is room for ever more")
        with Limited(limited, "alert") as alert:
            assert alert.call("rpc.discover"), "it is served"
            reload(limited, aaa={"allow": ["status"]}, alert={"allow": ["status"]})
            assert hung_up(alert)
        until(lambda: "a limited socket cannot be opened" in limited.log(), 10, "it is told")
        limited.stop()
        assert place(limited, "aaa").exists(), "it is somebody else's"


def test_limited_sockets_come_and_go_with_their_tables(limited, friend):
    alert = {"allow": ["send"], "to": [friend.user.jid]}
    with Limited(limited, "bar") as bar:
        reload(limited, alert=alert, late={"allow": ["status"]})
        assert hung_up(bar)
    until(lambda: not place(limited, "bar").exists() and not place(limited, "reader").exists(), 10, "both are gone")
    with Limited(limited, "late") as late:
        assert late.call("daemon.status")
        refuse(late, "chat.list")
    assert stat.S_IMODE(place(limited, "late").stat().st_mode) == 0o600
    # What cannot be opened is told, and what can be is.
    place(limited, "taken").mkdir()
    reload(limited, taken={"allow": ["status"]}, bar={"allow": ["unread"]})
    until(lambda: "a limited socket cannot be opened" in limited.log(), 10, "it is told")
    with Limited(limited, "bar") as bar:
        assert bar.call("chat.list")["unread"] == 0
    place(limited, "taken").rmdir()
    reload(limited, taken={"allow": ["status"]})
    with Limited(limited, "taken") as taken:
        assert taken.call("daemon.status")
    limited.stop()
    assert not list((limited.run / "imd").glob("*.sock"))


def test_a_table_that_makes_no_sense_changes_no_limits(limited, friend):
    with Limited(limited, "alert") as alert:
        (limited.config / "imd/config.toml").write_text("[access.alert]\nallow = []\n")
        os.kill(limited.process.pid, signal.SIGHUP)
        until(lambda: "the configuration stays as it was" in limited.log(), 10, "it is told")
        assert alert.call("message.send", to=friend.user.jid, body="as before", wait="server")["state"] == "server"


# Handed over by a service manager


@pytest.fixture
def stopped(archive):
    """Folders without a daemon, configured for one limited socket."""
    imd = Imd(archive)
    try:
        configure(imd, alert={"allow": ["status"]})
        (imd.run / "imd").mkdir(mode=0o700)
        yield imd
    finally:
        imd.__exit__()


def refuses_accounts(imd):
    with Limited(imd, "alert") as alert:
        assert alert.call("daemon.status")["pid"] == imd.process.pid
        refuse(alert, "account.list")
    with Api(imd) as api:
        assert api.call("account.list") == {"accounts": []}


@pytest.mark.parametrize("order", [1, -1])
def test_each_socket_that_is_handed_over_keeps_its_limits(stopped, order):
    with listen(stopped.socket_path) as main, listen(place(stopped, "alert")) as alert:
        inode = place(stopped, "alert").stat().st_ino
        spawn(stopped, *[main, alert][::order])
        until(stopped._listens, 20, "imd listens")
        refuses_accounts(stopped)
        stopped.stop()
        assert place(stopped, "alert").stat().st_ino == inode, "it outlives imd"


def test_the_limited_socket_alone_may_be_handed_over(stopped):
    with listen(place(stopped, "alert")) as alert:
        spawn(stopped, alert)
        until(stopped._listens, 20, "imd listens at its own socket")
        refuses_accounts(stopped)


def test_a_socket_without_its_table_is_refused(stopped):
    """It would otherwise be one without limits."""
    with listen(stopped.socket_path) as main, listen(place(stopped, "other")) as other:
        status, log = fails(stopped, main, other)
        assert status == CONFIG
        assert_explained(log)


def test_a_socket_that_was_handed_over_allows_nothing_once_its_table_is_gone(stopped):
    """Its file stays: clients would wait in it."""
    with listen(place(stopped, "alert")) as alert:
        spawn(stopped, alert)
        until(stopped._listens, 20, "imd listens")
        refuses_accounts(stopped)
        with Limited(stopped, "alert") as api:
            assert api.call("daemon.status"), "it is served"
            reload(stopped)
            assert hung_up(api)
        for _ in range(2):
            with Limited(stopped, "alert") as api:
                refuse(api, "daemon.status")
            reload(stopped)
        reload(stopped, alert={"allow": ["status"]})
        until(lambda: "changed a limited socket" in stopped.log(), 10, "the table holds again")
        refuses_accounts(stopped)


def test_two_sockets_under_systemd_socket_activate(stopped):
    program = shutil.which("systemd-socket-activate")
    if program is None:
        pytest.skip("systemd-socket-activate is not installed")
    names = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "HOME"]
    passed = [f"--setenv={name}={stopped.environment[name]}" for name in names]
    with stopped.log_path.open("ab") as log:
        stopped.process = subprocess.Popen(
            [program, f"--listen={place(stopped, 'alert')}", f"--listen={stopped.socket_path}", "--fdname=alert:imd",
             *passed, BIN / "imd"],
            env=stopped.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
    until(stopped.socket_path.exists, 20, "the sockets are there")
    with socket.socket(socket.AF_UNIX) as early:
        early.settimeout(20)
        early.connect(str(place(stopped, "alert")))
        early.sendall(b'{"jsonrpc":"2.0","id":1,"method":"account.list"}\n')
        assert answer(early)["error"]["data"]["code"] == "denied"
    refuses_accounts(stopped)
    stopped.stop()


# In a sandbox


SANDBOX = """
set -e
mount --make-rprivate /
mount --bind "$1" "$2"
mount -t tmpfs none "$XDG_RUNTIME_DIR"
shift
IMD_SOCKET=$1 "$2" send "$3" "out of the box"
IMD_SOCKET=$1 "$2" account list || echo "exit status $?"
"$2" status || echo "exit status $?"
"""


@as_root
def test_a_program_that_is_given_this_socket_alone_has_no_other_way(limited, friend):
    until(place(limited, "alert").exists, 10, "the socket is there")
    box = limited.root / "box"
    box.mkdir(mode=0o700)
    (box / "imd").touch()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SANDBOX, "sh", place(limited, "alert"), box / "imd", BIN / "imctl",
         friend.user.jid], env=limited.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert [line for line in done.stdout.splitlines() if line.startswith("exit")] == [
        f"exit status {NOPERM}", f"exit status {UNAVAILABLE}"]
    assert friend.messages(1)[0]["body"] == "out of the box"
