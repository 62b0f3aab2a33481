"""Events do not stay for ever, and nobody who has not acknowledged one loses it unsaid."""

import contextlib
import sqlite3
import time

import pytest
from harness import Api, Imd, until

LIMIT = 1000


@pytest.fixture
def kept(server):
    """A daemon that keeps 1,000 events, with a consumer that was connected once."""
    with Imd(server, settings={"event_limit": LIMIT, "event_days": 1}) as imd:
        imd.call("event.subscribe", consumer="slow")
        yield imd


def append(imd, count, at):
    """Events that nobody has seen, while imd is not running."""
    with contextlib.closing(sqlite3.connect(imd.database)) as connection, connection:
        connection.execute(
            "INSERT INTO event (type, detail, at) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            " WHERE i < ?) SELECT 'error', '{\"code\":\"internal\",\"message\":\"x\"}', ? FROM n", (count, at))


def numbers(imd):
    with contextlib.closing(sqlite3.connect(imd.database)) as connection:
        return [number for [number] in connection.execute("SELECT number FROM event ORDER BY number")]


def now():
    return int(time.time() * 1000)


def test_D46_F11_a_consumer_whose_events_were_dropped_is_told_which(kept):
    kept.stop()
    append(kept, LIMIT + 500, now())
    kept.start()
    until(lambda: len(numbers(kept)) == LIMIT, 20, "the oldest are dropped")
    [first, *_] = numbers(kept)
    for _ in range(2):  # until it is acknowledged
        with Api(kept) as api:
            api.call("event.subscribe", consumer="slow", types=["message"])
            event = api.event()
            assert (event["type"], event["number"]) == ("overflow", first - 1)
            assert (event["after"], event["through"]) == (0, first - 1)
    kept.call("event.ack", consumer="slow", number=first - 1)
    with Api(kept) as api:
        api.call("event.subscribe", consumer="slow", window=5000)
        assert [event["number"] for event in api.events_until_caught_up()] == numbers(kept)


def test_old_events_go_when_every_consumer_has_them_and_not_before(kept):
    kept.stop()
    append(kept, 500, now() - 2 * 86_400_000)
    kept.start()
    kept.call("daemon.status")
    time.sleep(1)
    assert len(numbers(kept)) == 500, "the consumer has not acknowledged them"
    kept.call("event.ack", consumer="slow", number=max(numbers(kept)))
    kept.stop()
    kept.start()
    until(lambda: numbers(kept) == [], 20, "they are dropped")
    with Api(kept) as api:
        api.call("event.subscribe", consumer="slow")
        assert api.events_until_caught_up() == [], "nothing was missed"
