"""The socket as a script sees it: framing, errors, order, idempotence, durable consumers. Only `nc -U` is needed."""

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from harness import DATAERR, NOINPUT, TEMPFAIL, UNAVAILABLE, USAGE, Api, assert_explained


def assert_error(answer, code, word):
    error = answer["error"]
    assert (error["code"], error["data"]["code"]) == (code, word), error
    assert error["message"]


def assert_lives(api):
    assert api.call("daemon.status")["pid"] > 0


@pytest.fixture
def api(fresh):
    with Api(fresh) as api:
        yield api


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"nonsense",
        b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"} trailing',
        b'{"jsonrpc":"2.0","id":1,"method":"daemon.status","method":"daemon.status"}',
        b'{"jsonrpc":"2.0","id":1,"method":"daemon.status","params":{"a":1,"a":2}}',
        b'{"jsonrpc":"2.0","id":1,"method":"caf\xe9"}',
        b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}',
        b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
        b'{"jsonrpc":"2.0","id":1e400,"method":"daemon.status"}',
        b'{"jsonrpc":"2.0","id":1,"method":"daemon.status","params":{"a":' + b"[" * 40 + b"]" * 40 + b"}}",
        b"[" * 100_000,
        b"\x00",
    ],
    ids=lambda line: line[:24].hex())
def test_what_is_not_json_is_answered_and_the_connection_lives(api, line):
    api.write(line + b"\n")
    answer = api.read()
    assert_error(answer, -32700, "bad-json")
    assert answer["id"] is None
    assert_lives(api)


@pytest.mark.parametrize(
    "line",
    [
        b"[]", b"1", b"{}", b'{"id":1,"method":"daemon.status"}', b'{"jsonrpc":"1.0","id":1,"method":"daemon.status"}',
        b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"daemon.status"}',
    ],
    ids=lambda line: line.decode())
def test_what_is_not_a_request_is_answered_and_the_connection_lives(api, line):
    api.write(line + b"\n")
    assert_error(api.read(), -32600, "bad-request")
    assert_lives(api)


def test_a_line_over_1_mib_is_answered_and_the_connection_lives(api):
    api.write(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (1 << 21) + b'"}\n')
    assert api.read()["error"]["data"]["code"] == "too-large"
    assert_lives(api)


def test_a_line_without_end_costs_no_memory(fresh, api):
    def resident():
        return int(Path(f"/proc/{fresh.process.pid}/status").read_text().split("VmRSS:")[1].split()[0])

    before = resident()
    for _ in range(64):
        api.write(b"x" * (1 << 20))
    api.write(b"\n")
    assert api.read()["error"]["data"]["code"] == "too-large"
    assert_lives(api)
    assert resident() - before < 16 * 1024, "64 MiB were sent"


def test_unknown_methods_and_parameters(api):
    assert_error({"error": api.fails("message.sned")}, -32601, "unknown-method")
    assert_error({"error": api.fails("daemon.status", verbose=True)}, -32602, "invalid-params")
    assert_error({"error": api.fails("message.send", to="bob@imd.test")}, -32602, "invalid-params")
    assert_error({"error": api.fails("message.send", to=7, body="x")}, -32602, "invalid-params")
    assert_error({"error": api.fails("event.subscribe", window=1.5)}, -32602, "invalid-params")
    assert_lives(api)


def test_a_mistyped_option_of_imctl_is_a_usage_error(fresh):
    for arguments in (["sned", "x"], ["send", "--plain-text", "bob@imd.test", "x"], ["send"], ["receive", "--count", "x"]):
        done = fresh.imctl(*arguments)
        assert (done.returncode, done.stdout) == (USAGE, ""), done
        assert done.stderr


def test_rpc_discover_describes_every_method(api):
    document = api.call("rpc.discover")
    names = {method["name"] for method in document["methods"]}
    assert names >= {
        "daemon.status", "account.add", "account.list", "account.remove", "account.connect", "account.disconnect",
        "message.send", "message.list", "message.get", "contact.list", "contact.add", "contact.remove",
        "contact.approve", "presence.set", "device.list", "event.subscribe", "event.ack", "consumer.list",
        "consumer.remove"}


def test_answers_come_in_the_order_of_the_requests(imd, peer):
    imd.ok("send", peer.user.jid, "so that a session exists", "--wait", "server")
    with Api(imd) as api:
        numbers = []
        for count in range(50):
            # A slow one (waits for the server) before fast ones.
            numbers.append(api.request("message.send", to=peer.user.jid, body=f"{count}", wait="server", timeout=20))
            numbers.append(api.request("daemon.status"))
            numbers.append(api.request("no.such"))
        for number in numbers:
            api.answer(number)  # asserts the id
    peer.next("message")
    assert [e["body"] for e in peer.messages(50)] == [str(count) for count in range(50)]


def test_half_close_still_gets_all_answers(fresh):
    nc = shutil.which("nc")
    if nc is None:
        pytest.skip("netcat is not installed")
    request = "".join(
        json.dumps({"jsonrpc": "2.0", "id": number, "method": "daemon.status"}) + "\n" for number in range(20))
    done = subprocess.run(
        [nc, "-N", "-U", fresh.socket_path], input=request, capture_output=True, text=True, timeout=20)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(20))


def test_a_second_send_with_the_same_id_sends_nothing_and_answers_alike(imd, peer):
    with Api(imd) as api:
        first = api.call("message.send", to=peer.user.jid, body="once", id="backup-1", wait="server")
        second = api.call("message.send", to=peer.user.jid, body="once", id="backup-1", wait="server")
        assert (first["id"], first["duplicate"]) == ("backup-1", False)
        assert (second["id"], second["duplicate"]) == ("backup-1", True)
        assert api.fails("message.send", to=peer.user.jid, body="other", id="backup-1")["data"]["code"] == "conflict"
    assert imd.ok("send", peer.user.jid, "once", "--id", "backup-1").strip() == "backup-1"
    imd.stop()
    imd.start(wait_online=True)
    imd.ok("send", peer.user.jid, "once", "--id", "backup-1", "--wait", "server")
    assert [e["body"] for e in peer.quiet(3) if e["ev"] == "message"] == ["once"]


def test_events_come_again_until_they_are_acknowledged(imd, peer):
    with Api(imd) as api:
        api.call("event.subscribe", consumer="bot", types=["message"])
    for number in range(3):
        peer.send(imd.user.jid, f"{number}")
    imd.messages(3)

    def waiting():
        with Api(imd) as api:
            api.call("event.subscribe", consumer="bot", types=["message"])
            return api.events_until_caught_up()

    first = waiting()
    assert [event["body"] for event in first] == ["0", "1", "2"]
    assert waiting() == first, "after a reconnect"
    imd.kill()
    imd.start(wait_online=True)
    assert waiting() == first, "after kill -9, with the same numbers"
    imd.call("event.ack", consumer="bot", number=first[1]["number"])
    assert waiting() == first[2:]
    imd.call("event.ack", consumer="bot", number=first[0]["number"])
    assert waiting() == first[2:], "an older number changes nothing"
    imd.call("event.ack", consumer="bot", number=first[2]["number"])
    assert waiting() == []


def test_consumers_do_not_share_their_place(imd, peer):
    for name in ("one", "two"):
        imd.call("event.subscribe", consumer=name)
    peer.send(imd.user.jid, "for both")
    assert [m["body"] for m in imd.messages(1, 30, "--consumer", "one")] == ["for both"]
    assert [m["body"] for m in imd.messages(1, 30, "--consumer", "two")] == ["for both"]
    assert not [e for e in imd.events(1, "--consumer", "one") if e["type"] == "message"]
    names = {consumer["name"] for consumer in imd.call("consumer.list")["consumers"]}
    assert {"one", "two"} <= names
    imd.ok("consumer", "remove", "--yes", "one")
    assert "one" not in {consumer["name"] for consumer in imd.call("consumer.list")["consumers"]}


def test_an_unfinished_window_holds_a_consumer_back_and_nobody_else(imd, peer):
    with Api(imd) as slow, Api(imd) as live:
        slow.call("event.subscribe", consumer="slow", types=["message"], window=2)
        live.call("event.subscribe", types=["message"])
        for number in range(5):
            peer.send(imd.user.jid, f"{number}")
        assert [live.event("message")["body"] for _ in range(5)] == ["0", "1", "2", "3", "4"]
        first, second = slow.event("message"), slow.event("message")
        assert [first["body"], second["body"]] == ["0", "1"]
        slow.call("daemon.status")
        assert not [n for n in slow.notifications if n["method"] == "event"], "two are unacknowledged"
        slow.call("event.ack", consumer="slow", number=second["number"])
        assert [slow.event("message")["body"] for _ in range(2)] == ["2", "3"]


def test_nothing_arrives_that_was_not_asked_for(imd, peer):
    with Api(imd) as api:
        peer.send(imd.user.jid, "not for this connection")
        imd.messages(1)
        api.call("daemon.status")
        assert api.notifications == []


def test_receive_since_reads_without_a_consumer(imd, peer):
    for number in range(3):
        peer.send(imd.user.jid, f"{number}")
    received = imd.messages(3)
    after_first = str(received[0]["number"])
    for _ in range(2):
        again = [e for e in imd.events(2, "--since", after_first) if e["type"] == "message"]
        assert [e["body"] for e in again] == ["1", "2"]
    numbers = [event["number"] for event in received]
    assert numbers == sorted(set(numbers))


def test_receive_prints_each_message_once_and_exits(imd, peer):
    peer.send(imd.user.jid, "line one\nline two")
    imd.ok("status", "--wait", "online", "--timeout", "10")
    shown = ""
    for _ in range(30):
        shown += imd.imctl("receive", "--timeout", "1").stdout
        if "line two" in shown:
            break
    assert shown.count("line one") == 1 and peer.user.jid in shown
    assert "line one" not in imd.imctl("receive").stdout


def test_exit_statuses_of_imctl(imd, fresh):
    assert imd.imctl("receive", "--count", "1", "--timeout", "1").returncode in (0, TEMPFAIL)
    assert imd.imctl("send", "someone@imd.test", "").returncode == DATAERR
    assert imd.imctl("send", "someone@imd.test", "x" * 70_000).returncode == DATAERR
    assert imd.imctl("consumer", "remove", "--yes", "never-made").returncode == NOINPUT
    assert fresh.imctl("send", "someone@imd.test", "x").returncode == USAGE, "there is no account"
    fresh.stop()
    done = fresh.imctl("status")
    assert done.returncode == UNAVAILABLE
    assert_explained(done.stderr)
    for arguments in (["--version"], ["--help"], ["send", "--help"], ["account", "add", "--help"]):
        assert fresh.imctl(*arguments).returncode == 0


def test_a_status_is_told_also_where_nobody_knows_what_waits(imd):
    def rename(before, after):
        connection = sqlite3.connect(imd.database)
        with connection:
            connection.execute(f"ALTER TABLE {before} RENAME TO {after}")
        connection.close()

    assert imd.call("account.list")["accounts"][0]["queued"] == 0
    rename("outbox", "away")
    try:
        for method in ("daemon.status", "account.list"):
            account = imd.call(method)["accounts"][0]
            assert account["state"] == "online" and "queued" not in account
    finally:
        rename("away", "outbox")
    assert imd.call("daemon.status")["accounts"][0]["queued"] == 0


def test_history_of_long_messages_comes_in_short_pages(imd, other):
    count, size = 80, 60_000
    imd.ok("send", other.user.jid, "to begin with")
    other.messages(1)
    with Api(imd) as api:
        requests = [api.request("message.send", to=other.user.jid, body=f"{n:02}".ljust(size, "x")) for n in range(count)]
        for request in requests:
            api.answer(request)
    whole = [f"{n:02}" for n in range(count)]
    page = imd.call("message.list", chat=other.user.jid, limit=1000)
    bodies = [message["body"][:2] for message in page["messages"]]
    # 4 MiB, and the message that reaches them.
    assert bodies == whole[-70:] and page["more"]
    older = imd.call("message.list", chat=other.user.jid, limit=1000, before=page["messages"][0]["id"])
    assert [message["body"][:2] for message in older["messages"]] == ["to", *whole[:-70]] and not older["more"]
    exact = imd.call("message.list", chat=other.user.jid, limit=11, before=page["messages"][0]["id"])
    assert len(exact["messages"]) == 11 and not exact["more"]
    assert imd.call("message.list", chat=other.user.jid, limit=1)["more"]
    printed = [json.loads(line)["body"][:2] for line in imd.ok("history", "--json", "-n", "100", other.user.jid).splitlines()]
    assert printed == ["to", *whole]
