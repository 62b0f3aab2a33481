#!/usr/bin/env python3
# A bot on the bare socket, with Python's standard library alone: subscribes, answers, acknowledges, reconnects.
# Use: socket-bot.py NAME; the methods and events are in imd-api(5). Change answer() to what you need.
import json
import os
import socket
import sys
import time


class Refused(RuntimeError):
    """imd's answer is an error."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error['message']}")
        self.code = error.get("data", {}).get("code")
        self.is_temporary = self.code in ("storage", "disk-full", "busy", "timeout")


class Imd:
    """One connection: requests out; answers and events in, one JSON object per line."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        # A limited socket, allow = ["receive", "send"], will do if the bot is called like it.
        self.socket.connect(os.environ.get("IMD_SOCKET") or os.environ["XDG_RUNTIME_DIR"] + "/imd/imd.sock")
        self.lines = self.socket.makefile("rb")
        self.events, self.number = [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def read(self):
        line = self.lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("imd went away")
        return json.loads(line)

    def call(self, method, **params):
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while (message := self.read()).get("id") != self.number:
            self.events.append(message)  # an event that came before the answer
        if "error" in message:
            raise Refused(method, message["error"])
        return message["result"]

    def next(self):
        return self.events.pop(0) if self.events else self.read()


def answer(event):
    """What to say to a message; None for nothing."""
    words = event["body"].split()
    if words[:1] == ["ping"]:
        return "pong"
    if words[:1] == ["time"]:
        return time.strftime("%H:%M:%S")
    return None


def own_accounts(imd):
    """So that the bot does not talk to itself; a limited socket does not tell them."""
    try:
        return {account["jid"] for account in imd.call("account.list")["accounts"]}
    except Refused as error:
        if error.code != "denied":
            raise
        return set()


def is_for_us(event, own):
    """Of what came without encryption anybody may be the author."""
    return event["direction"] == "in" and event["from"] not in own and "encryption" in event and "warning" not in event


def follow(name):
    with Imd() as imd:
        # A name of our own: imd knows how far we are, and begins there.
        imd.call("event.subscribe", consumer=name, types=["message"], begin="newest")
        own = own_accounts(imd)
        while True:
            message = imd.next()
            event = message["params"]
            if message["method"] == "event" and event["type"] == "message" and is_for_us(event, own):
                if text := answer(event):
                    # With an id, handling a message again after a crash sends nothing again.
                    reply = f"{name}:{event['number']}"
                    try:
                        imd.call(
                            "message.send", account=event["account"], to=event["chat"], body=text, id=reply)
                    except Refused as error:
                        if error.is_temporary:
                            raise  # not acknowledged, so the message comes again
                        print(error, file=sys.stderr)
            imd.call("event.ack", consumer=name, number=event["number"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: socket-bot.py NAME")
    while True:
        try:
            follow(sys.argv[1])
        except (OSError, Refused) as error:
            print(f"{error}; trying again", file=sys.stderr)
            time.sleep(1)
        except KeyboardInterrupt:
            sys.exit(130)
