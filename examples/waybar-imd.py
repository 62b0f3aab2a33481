#!/usr/bin/env python3
# Unread messages and the connection in waybar: told by events, and looked at every minute; no texts are shown.
# Use in waybar's config: "custom/imd": {"exec": "/path/to/waybar-imd.py", "return-type": "json"}
import json
import os
import select
import socket
import time

REFRESH = 60  # what was read on another device is seen this much later at most


class Refused(Exception):
    """imd's answer is an error."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error.get("data", {}).get("code") or "error"


class Imd:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(os.environ.get("IMD_SOCKET") or os.environ["XDG_RUNTIME_DIR"] + "/imd/imd.sock")
        self.rest = b""

    def call(self, method, **params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            for line in self.lines():
                message = json.loads(line)
                if message.get("id") == 1:
                    if "error" in message:
                        raise Refused(message["error"])
                    return message["result"]

    def call_if_allowed(self, method, **params):
        """None where a limited socket, [access.NAME], does not allow it."""
        try:
            return self.call(method, **params)
        except Refused as error:
            if error.code != "denied":
                raise
            return None

    def lines(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError
        *whole, self.rest = (self.rest + data).split(b"\n")
        return whole


def escaped(text):
    """Tooltips are Pango markup, and a name may be anything."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def module(chats, status):
    if status is None:
        accounts, state = [], "unknown"
    else:
        accounts = status["accounts"]
        states = {account["state"] for account in accounts}
        state = next((s for s in ("failed", "connecting", "offline") if s in states), "online" if states else "offline")
    waiting = [chat for chat in chats["chats"] if chat["unread"]]
    lines = [f"{chat['unread']} {escaped(chat.get('name') or chat['chat'])}" for chat in waiting]
    lines += [f"{escaped(a['jid'])}: {a['state']}" for a in accounts if a["state"] != "online"]
    return {
        "text": str(chats["unread"]) if chats["unread"] else "", "alt": state,
        "tooltip": "\n".join(lines) or (f"{chats['unread']} unread" if chats["unread"] else "nothing unread"),
        "class": [state] + (["unread"] if chats["unread"] else [])}


def follow(show):
    events, calls = Imd(), Imd()
    with events.socket, calls.socket:
        is_told = events.call_if_allowed("event.subscribe", types=["message", "account"]) is not None
        while True:
            show(module(calls.call("chat.list"), calls.call_if_allowed("daemon.status")))
            if not is_told:
                time.sleep(REFRESH / 10)  # allow = ["unread", "status"] has no events
            elif select.select([events.socket], [], [], REFRESH)[0]:
                events.lines()  # whatever it is: look again
                time.sleep(0.1)  # and once for all that comes at the same time


def main():
    shown = None

    def show(value):
        nonlocal shown
        if value != shown:
            print(json.dumps(value), flush=True)
            shown = value

    while True:
        try:
            follow(show)
        except (OSError, KeyError):
            show({"text": "", "alt": "stopped", "tooltip": "imd is not running", "class": ["stopped"]})
            time.sleep(2)
        except Refused as error:
            show({"text": "", "alt": error.code, "tooltip": escaped(str(error)), "class": [error.code]})
            time.sleep(REFRESH / 10)


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
