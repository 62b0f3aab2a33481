#!/usr/bin/env python3
# Sends the lines of a log, grouped: at most one message per interval, however many lines come.
# Use: journalctl -f -n 0 -p err | log-watch.py ops@example.org 300, or: tail -n 0 -F file | log-watch.py ...
import os
import select
import subprocess
import sys
import time

MOST = 30  # lines in one message; more are counted


def send(to, lines):
    text = "\n".join(line[:500] for line in lines[:MOST])
    if len(lines) > MOST:
        text += f"\nand {len(lines) - MOST} more lines"
    return subprocess.run(["imctl", "send", to], input=text, text=True, stdout=subprocess.DEVNULL).returncode == 0


def main(to, interval):
    lines, rest, last, ended = [], b"", -interval, False
    while not ended or lines:
        due = last + interval if lines else None
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
        if lines and (ended or time.monotonic() >= last + interval):
            last = time.monotonic()
            if send(to, lines):
                lines = []
            elif ended:
                return "some lines could not be sent"
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: log-watch.py JID SECONDS <log")
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
