"""Rows D45 and F13: whatever comes as a line, the connection that sent it lives on, and the daemon too."""

import json
import random

from harness import Api

ATTACKS = {
    "a hundred thousand brackets": b"[" * 100_000,
    "a hundred thousand objects": b'{"a":' * 100_000,
    "a fraction for a whole number": b'{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{"window":1.5}}',
    "a number beyond a double": b'{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{"window":1e400}}',
    "a number beyond an integer":
        b'{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{"window":9223372036854775808}}',
    "a lone surrogate": b'{"jsonrpc":"2.0","id":1,"method":"message.get","params":{"id":"\\ud800"}}',
    "a surrogate in UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"message.get","params":{"id":"\xed\xa0\x80"}}',
    "NUL": b"\x00",
    "NUL in a string": b'{"jsonrpc":"2.0","id":1,"method":"message.get","params":{"id":"a\x00b"}}',
    "a key twice": b'{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"to":"a@b","to":"c@d","body":"x"}}',
    "a key twice, once escaped":
        b'{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"to":"a@b","\\u0074o":"c@d","body":"x"}}',
    "a byte order mark": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"daemon.status"}',
    "2 MiB on one line": b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (1 << 21) + b'"}',
}


def test_D45_one_connection_lives_through_all_of_it(fresh):
    with Api(fresh) as api:
        for name, line in ATTACKS.items():
            api.write(line + b"\n")
            answer = api.read()
            assert answer["error"]["data"]["code"] in ("bad-json", "invalid-params", "too-large"), (name, answer)
            assert api.call("daemon.status")["pid"] == fresh.process.pid, name


def test_D45_an_escaped_nul_is_text_and_finds_nothing(imd):
    with Api(imd) as api:
        assert api.fails("message.get", id="a\0b")["data"]["code"] == "no-such-message"
        assert api.fails("message.send", to="bob@imd.test", body="a\0b")["data"]["code"] == "bad-text"
        assert api.fails("message.list", chat="bob\0@imd.test")["data"]["code"] == "bad-address"


def damaged(line, chance):
    pieces = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\ud800", b"\\u0000", b"1e400", b"1.5", b"-", b"null",
              b'"id":1,', b"\x00", b"\xff", b"\xed\xa0\x80"]
    line = bytearray(line)
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(line))
        kind = chance.randrange(4)
        if kind == 0:
            line[place:place] = chance.choice(pieces)
        elif kind == 1 and place < len(line):
            line[place] = chance.randrange(256)
        elif kind == 2:
            del line[place:place + chance.randint(1, 8)]
        else:
            line[place:place] = line[chance.randint(0, len(line)):][:40]
    return bytes(line).replace(b"\n", b" ")


def test_F13_a_live_dispatcher_answers_requests_with_random_damage_and_lives(fresh):
    """Of each line there is at most one answer, and the next whole request is answered at once."""
    chance = random.Random(13)
    methods = [
        ("daemon.status", {}), ("account.list", {}), ("chat.list", {"account": "a@imd.test"}), ("no.such", {}),
        ("message.send", {"to": "bob@imd.test", "body": "hello \u2603", "wait": "queued"}),
        ("message.list", {"chat": "bob@imd.test", "limit": 3}), ("consumer.rewind", {"name": "x", "number": 3}),
        ("trust.import", {"entries": [{"jid": "bob@imd.test", "fingerprint": "0" * 64, "trust": "verified"}]}),
    ]
    lines = [json.dumps({"jsonrpc": "2.0", "id": 7, "method": name, "params": p}).encode() for name, p in methods]
    lines.append(b"[" + b",".join(lines) + b"]")
    codes = set()
    with Api(fresh) as api:
        for part in range(40):
            batch = [damaged(chance.choice(lines), chance) for _ in range(100)]
            whole = [f'{{"jsonrpc":"2.0","id":"{part}-{n}","method":"consumer.list"}}'.encode() for n in range(100)]
            api.write(b"".join(one + b"\n" + two + b"\n" for one, two in zip(batch, whole)))
            for number in range(100):
                between = []
                while not isinstance(answer := api.read(), dict) or answer.get("id") != f"{part}-{number}":
                    between.append(answer)
                assert len(between) <= 1, (batch[number], between)
                codes |= {one["error"]["data"]["code"] for one in between if isinstance(one, dict) and "error" in one}
        assert api.call("daemon.status")["pid"] == fresh.process.pid
    assert codes >= {"bad-json", "bad-request", "invalid-params", "unknown-method"}, codes
