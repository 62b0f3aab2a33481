"""Several requests on one line: the specification's own examples (JSON-RPC 2.0 §6, §7), order, limits."""

import json
import time

import pytest
from harness import Api
from test_api import assert_error, assert_lives

METHOD_NOT_FOUND, INVALID_REQUEST, PARSE_ERROR = -32601, -32600, -32700


@pytest.fixture
def api(fresh):
    with Api(fresh) as api:
        yield api


def ask(api, line):
    api.write(line.encode() + b"\n")
    return api.read()


def request(number, method, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def codes(answers):
    return [(answer["id"], answer["error"]["code"]) for answer in answers]


# §7, with methods of imd in the place of the specification's.


def test_call_of_non_existent_method(api):
    answer = ask(api, '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}')
    assert codes([answer]) == [("1", METHOD_NOT_FOUND)]


def test_notifications_have_no_answer(api):
    api.write(b'{"jsonrpc": "2.0", "method": "update", "params": {}}\n{"jsonrpc": "2.0", "method": "foobar"}\n')
    assert_lives(api)


def test_call_with_invalid_json(api):
    answer = ask(api, '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]')
    assert codes([answer]) == [(None, PARSE_ERROR)]


def test_call_with_invalid_request_object(api):
    answer = ask(api, '{"jsonrpc": "2.0", "method": 1, "params": "bar"}')
    assert codes([answer]) == [(None, INVALID_REQUEST)]


def test_batch_with_invalid_json(api):
    line = '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]'
    assert codes([ask(api, line)]) == [(None, PARSE_ERROR)]


def test_call_with_an_empty_array(api):
    assert codes([ask(api, "[]")]) == [(None, INVALID_REQUEST)]


def test_call_with_an_invalid_batch_but_not_empty(api):
    assert codes(ask(api, "[1]")) == [(None, INVALID_REQUEST)]


def test_call_with_invalid_batch(api):
    assert codes(ask(api, "[1,2,3]")) == [(None, INVALID_REQUEST)] * 3


def test_call_batch(api):
    answers = ask(api, """[\
        {"jsonrpc": "2.0", "method": "consumer.list", "params": {}, "id": "1"},\
        {"jsonrpc": "2.0", "method": "notify_hello", "params": {}},\
        {"jsonrpc": "2.0", "method": "account.list", "params": {}, "id": "2"},\
        {"foo": "boo"},\
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},\
        {"jsonrpc": "2.0", "method": "chat.list", "id": "9"}]""")
    assert [answer["id"] for answer in answers] == ["1", "2", None, "5", "9"]
    assert [answer.get("result") for answer in answers] == [
        {"consumers": []}, {"accounts": []}, None, None, {"chats": [], "unread": 0}]
    assert codes(answers[2:4]) == [(None, INVALID_REQUEST), ("5", METHOD_NOT_FOUND)]
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)


def test_call_batch_of_notifications_alone(api):
    api.write(b'[{"jsonrpc":"2.0","method":"notify_sum","params":{}},{"jsonrpc":"2.0","method":"notify_hello"}]\n')
    assert_lives(api)  # the next answer is to the next request


# Beyond the examples


def test_a_thousand_requests_are_taken_and_one_more_is_refused_whole(api):
    batch = [request(number, "consumer.list") for number in range(1000)]
    assert [answer["id"] for answer in ask(api, json.dumps(batch))] == list(range(1000))
    assert_error(ask(api, json.dumps(batch + [request(1000, "daemon.status")])), -32065, "too-large")
    assert_lives(api)


def test_a_batch_over_1_mib_or_nested_too_deep_is_one_error(api):
    long = [request(number, "daemon.status", padding="x" * 2000) for number in range(600)]
    assert_error(ask(api, json.dumps(long)), -32065, "too-large")
    assert_error(ask(api, "[" * 33 + "]" * 33), PARSE_ERROR, "bad-json")
    assert_lives(api)


def test_what_would_make_the_answer_too_long_is_not_begun_and_says_so(api):
    size = len(json.dumps(api.call("rpc.discover")))
    count = (1 << 24) // size * 2
    batch = [request(n, "rpc.discover") for n in range(count)] + [request("last", "event.subscribe", consumer="never")]
    answers = ask(api, json.dumps(batch))
    assert [answer["id"] for answer in answers] == [*range(count), "last"]
    done = ["result" in answer for answer in answers]
    assert done.count(True) < count and done == sorted(done, reverse=True), "from one place on"
    assert_error(answers[-1], -32065, "too-large")
    assert api.call("consumer.list")["consumers"] == [], "the last was not carried out"


def test_a_subscription_in_a_batch_begins_behind_its_answer(imd, peer):
    peer.send(imd.user.jid, "was there before")
    imd.messages(1)
    with Api(imd) as api:
        batch = [request(n, "event.subscribe", since=0, types=["message"]) for n in (1, 2)]
        api.write(json.dumps(batch).encode() + b"\n" + json.dumps(request(3, "daemon.status")).encode() + b"\n")
        assert [answer["id"] for answer in api.read()] == [1, 2]
        api.answer(3)
        bodies = [event["body"] for event in api.events_until_caught_up() + api.events_until_caught_up()]
        assert bodies == ["was there before"] * 2


def test_a_slow_request_before_it_does_not_let_events_overtake_the_answer(imd, peer):
    peer.send(imd.user.jid, "news")
    imd.messages(1)
    with Api(imd) as api:
        slow = api.request("message.send", to=peer.user.jid, body="slow", wait="displayed", timeout=1)
        fast = api.request("event.subscribe", since=0, types=["message"])
        api.answer(slow)
        api.answer(fast)
        assert api.notifications == [], "nothing came between the two"
        assert api.event("message")["body"] == "news"


def test_sends_in_a_batch_keep_their_order_whatever_one_of_them_waits_for(imd, peer):
    imd.ok("send", peer.user.jid, "so that a session exists", "--wait", "server")
    peer.next("message")
    batch = [request(n, "message.send", to=peer.user.jid, body=f"{n}") for n in range(60)]
    batch[7]["params"] |= {"wait": "server", "timeout": 20}
    batch[20]["params"]["to"] = "no address"
    with Api(imd) as api:
        answers = ask(api, json.dumps(batch))
        assert [answer["id"] for answer in answers] == list(range(60))
        assert [answer["id"] for answer in answers if "error" in answer] == [20]
        assert answers[7]["result"]["state"] in ("server", "delivered")
        api.write(json.dumps([request("next", "message.send", to=peer.user.jid, body="next")]).encode() + b"\n")
        assert api.read()[0]["result"]["state"]
    expected = [f"{n}" for n in range(60) if n != 20] + ["next"]
    assert [e["body"] for e in peer.messages(len(expected))] == expected


def test_a_client_that_reads_no_answers_gets_no_more_made(imd):
    """128 lines may be begun, and each be answered at length: all that together is not kept for it."""
    def made():
        return {consumer["name"] for consumer in imd.call("consumer.list")["consumers"]} & set(names)

    names = [f"deaf-{number}" for number in range(6)]
    discover = [{"jsonrpc": "2.0", "id": number, "method": "rpc.discover"} for number in range(30)]
    with Api(imd, timeout=60) as api:
        for name in names:
            subscribe = {"jsonrpc": "2.0", "id": name, "method": "event.subscribe", "params": {"consumer": name}}
            api.write(json.dumps([subscribe, *discover]).encode() + b"\n")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and len(made()) < 4:
            time.sleep(0.1)
        assert 1 <= len(made()) < 4
        for name in names:
            answers = api.read()
            while isinstance(answers, dict):  # what the subscriptions bring
                answers = api.read()
            assert answers[0]["id"] == name and "result" in answers[0]
    assert made() == set(names)
