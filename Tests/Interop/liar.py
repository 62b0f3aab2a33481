"""A daemon that answers every method as the API declares it, each text in the answer a hostile one."""

import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from harness import BIN


def declared():
    """Results by method, and events by type, as JSON Schema."""
    done = subprocess.run([BIN / "imctl", "internal-api"], capture_output=True, check=True, timeout=30)
    api = json.loads(done.stdout)
    results = {method["name"]: method["result"]["schema"] for method in api["methods"]}
    return results, {event["name"]: event["schema"] for event in api["x-events"]}


class Liar:
    """Serves until the test ends; `text` is what it says. The choice among words is that of `seed`."""

    def __init__(self, text, seed=0):
        self.text, self.chance = text, random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="imd-liar-", dir="/tmp"))
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.folder), "HOME": str(self.folder),
                            "TERM": "xterm", "COLUMNS": "200"}
        self.results, self.events = declared()
        self.asked, self.refuses = set(), False

    def __enter__(self):
        (self.folder / "imd").mkdir(mode=0o700)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.folder / "imd/imd.sock"))
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, client.makefile("rwb") as stream:
            try:
                for line in stream:
                    for answer in self._answers(json.loads(line)):
                        stream.write(json.dumps(answer).encode() + b"\n")
                    stream.flush()
            except OSError:
                pass

    def _answers(self, request):
        method = request["method"]
        self.asked.add(method)
        head = {"jsonrpc": "2.0", "id": request["id"]}
        if self.refuses:
            data = {"code": "denied", "hint": self.text}
            yield {**head, "error": {"code": -32000, "message": self.text, "data": data}}
        elif method == "event.subscribe":
            yield {**head, "result": {"after": 0, "last": 0}}
            for number, name in enumerate(self.events, 1):
                event = {**self.lie(self.events[name]), "number": number, "type": name}
                yield {"jsonrpc": "2.0", "method": "event", "params": event}
            yield {"jsonrpc": "2.0", "method": "event.caughtUp", "params": {"number": len(self.events)}}
        else:
            yield {**head, "result": self.lie(self.results[method])}

    def lie(self, schema, key=None):
        """A value that fits, with all that is optional."""
        if "oneOf" in schema:
            return self.lie(schema["oneOf"][0])
        if "enum" in schema:
            return self.chance.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            return {name: self.lie(of, name) for name, of in schema["properties"].items()}
        if kind == "array":
            return [self.lie(schema["items"]) for _ in range(2)]
        if kind == "integer":
            return max(1, schema.get("minimum", 1))
        if kind == "boolean":
            return key != "more" and self.chance.random() < 0.5
        if schema.get("format") == "date-time":
            return "2026-01-02T03:04:05.678Z"
        return self.text
