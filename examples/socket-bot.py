#!/usr/bin/env python3
# A bot on the bare socket, with Python's standard library alone: subscribes, answers, acknowledges, reconnects.
# Use: socket-bot.py NAME; the methods and events are in imd-api(5). Change answer() to what you need.
import json
import os
import socket
import sys
import time


class Imd:
    """One connection: requests out; answers and events in, one JSON object per line."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["XDG_RUNTIME_DIR"] + "/imd/imd.sock")
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
            raise RuntimeError(f"{method}: {message['error']['message']}")
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


def follow(name):
    with Imd() as imd:
        # A name of our own: imd knows how far we are, and begins there.
        imd.call("event.subscribe", consumer=name, types=["message"], begin="newest")
        own = {account["jid"] for account in imd.call("account.list")["accounts"]}
        while True:
            message = imd.next()
            event = message["params"]
            if message["method"] == "event" and event["type"] == "message" and event["from"] not in own:
                if text := answer(event):
                    # With an id, handling a message again after a crash sends nothing again.
                    reply = f"{name}:{event['number']}"
                    try:
                        imd.call(
                            "message.send", account=event["account"], to=event["chat"], body=text, id=reply)
                    except RuntimeError as error:
                        print(error, file=sys.stderr)
            imd.call("event.ack", consumer=name, number=event["number"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: socket-bot.py NAME")
    while True:
        try:
            follow(sys.argv[1])
        except (OSError, ConnectionError) as error:
            print(f"{error}; trying again", file=sys.stderr)
            time.sleep(1)
        except KeyboardInterrupt:
            sys.exit(130)
