#!/usr/bin/env python3
# Unread messages and the connection in waybar: told by events, no polling; the text of messages is not shown.
# Use in waybar's config: "custom/imd": {"exec": "/path/to/waybar-imd.py", "return-type": "json"}
import json
import os
import select
import socket
import time

REFRESH = 60  # what was read on another device is seen this much later at most


class Imd:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(os.environ["XDG_RUNTIME_DIR"] + "/imd/imd.sock")
        self.rest = b""

    def call(self, method, **params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            for line in self.lines():
                message = json.loads(line)
                if message.get("id") == 1:
                    return message["result"]

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


def module(chats, accounts):
    states = {account["state"] for account in accounts}
    state = next((s for s in ("failed", "connecting", "offline") if s in states), "online" if states else "offline")
    waiting = [chat for chat in chats["chats"] if chat["unread"]]
    lines = [f"{chat['unread']} {escaped(chat.get('name') or chat['chat'])}" for chat in waiting]
    lines += [f"{escaped(a['jid'])}: {a['state']}" for a in accounts if a["state"] != "online"]
    return {
        "text": str(chats["unread"]) if chats["unread"] else "", "alt": state,
        "tooltip": "\n".join(lines) or "nothing unread",
        "class": [state] + (["unread"] if chats["unread"] else [])}


def follow(show):
    events, calls = Imd(), Imd()
    with events.socket, calls.socket:
        events.call("event.subscribe", types=["message", "account"])
        while True:
            show(module(calls.call("chat.list"), calls.call("account.list")["accounts"]))
            if select.select([events.socket], [], [], REFRESH)[0]:
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


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
