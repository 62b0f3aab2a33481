#!/usr/bin/env python3
# Sends the lines of a log, grouped: at most one message per interval, however many lines come.
# Use: journalctl -f -n 0 -p err | log-watch.py ops@example.org 300, or: tail -n 0 -F file | log-watch.py ...
import os
import select
import subprocess
import sys
import time
import uuid

MOST = 30  # lines in one message; more are counted


class Batch:
    """Lines under one id: however often they are sent, they go out once."""

    def __init__(self, lines):
        self.text = "\n".join(line[:500] for line in lines[:MOST])
        if len(lines) > MOST:
            self.text += f"\nand {len(lines) - MOST} more lines"
        self.id = f"log-{uuid.uuid4()}"

    def send(self, to):
        """Whether imd has it: it then says the id, also (with status 77) of what waits for a decision about devices."""
        sent = subprocess.run(
            ["imctl", "send", to, "--id", self.id], input=self.text, text=True, stdout=subprocess.PIPE)
        return sent.returncode == 0 or bool(sent.stdout.strip())


def main(to, interval):
    lines, batch, rest, last, ended = [], None, b"", -interval, False
    while not ended or lines or batch:
        due = last + interval if lines or batch else None
        wait = None if due is None else max(0, due - time.monotonic())
        if not ended and select.select([0], [], [], wait)[0]:
            data = os.read(0, 65536)
            ended = not data
            *whole, rest = (rest + data).split(b"\n")
            if ended and rest:
                whole.append(rest)
            # What is no text, or could move a terminal's cursor, is not sent as it is.
            decoded = (line.decode(errors="replace") for line in whole)
            lines += ["".join(c if c.isprintable() or c == "\t" else "?" for c in line) for line in decoded if line]
        if (lines or batch) and (ended or time.monotonic() >= last + interval):
            last = time.monotonic()
            if not batch:
                batch, lines = Batch(lines), []
            if batch.send(to):
                batch = None
            elif ended:
                return "some lines could not be sent"
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: log-watch.py JID SECONDS <log")
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
