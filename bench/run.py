"""Measures imd beside what it is compared with, in one run on one machine, and prints a table (make bench).

usage: run.py [--quick] [send] [api] [hook] [throughput] [ratchet] [idle]      without names: all

Everything runs on loopback. The peers: a C program on libomemo-c, a C program that does imctl's socket exchange, and
slixmpp-omemo and go-sendxmpp through the same kind of server.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("IMD_BIN_DIR", ".build/release")
sys.path.insert(0, str(ROOT / "Tests/Interop"))
sys.dont_write_bytecode = True

from harness import BIN, Api, Imd, Peer, Prosody, until  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
quick = "--quick" in sys.argv
rows = []


def row(what, value, aim=""):
    rows.append((what, value, aim))
    print(f"  {what:<58} {value:>22}   {aim}", flush=True)


def section(title):
    print(f"\n{title}", flush=True)


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def status_kib(pid, key):
    return int(re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def wakeups(pid):
    """Voluntary context switches of each thread so far."""
    found = {}
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        found[status.parent.name] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.M)[1])
    return found


def compiled(folder, source, *libraries):
    program = Path(folder) / source.removesuffix(".c")
    subprocess.run(["gcc", "-O2", "-o", program, ROOT / "bench" / source, *libraries], check=True)
    return program


def run_json(*command):
    return json.loads(subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True).stdout)


def pair(server):
    """Two daemons, online, with a session that is confirmed on both sides."""
    one, two = Imd(server, server.user(), "info"), Imd(server, server.user(), "info")
    for imd in (one, two):
        imd.start()
        imd.online()
    one.ok("send", two.user.jid, "hello", "--wait", "server")
    two.messages(1)
    two.ok("send", one.user.jid, "hello", "--wait", "server")
    one.messages(1)
    time.sleep(0.5)
    return one, two


def end(*processes):
    for process in processes:
        process.__exit__()


def least(parts):
    return min(part["min_ms"] for part in parts)


def measure_send(tools):
    section("One command from the shell (send: accepted and on disk, --wait queued)")
    count = 20 if quick else 100
    with Prosody(["a", "b", "c", "d"]) as server:
        one, two = pair(server)
        text = "a message of ordinary length"
        try:
            os.environ.update(XDG_RUNTIME_DIR=str(one.run))
            message = json.dumps({"to": two.user.jid, "body": text})
            programs = {
                "imctl send": [BIN / "imctl", "send", two.user.jid, text],
                "imctl send with options": [
                    BIN / "imctl", "send", two.user.jid, text, "--wait", "queued", "--timeout", "30"],
                "C program, the same exchange (send)": [tools["exchange"], one.socket_path, "message.send", message],
                "imctl status": [BIN / "imctl", "status"],
                "C program, the same exchange (status)": [tools["exchange"], one.socket_path, "daemon.status", "{}"],
                "imctl --version (start alone)": [BIN / "imctl", "--version"],
            }
            found = {name: [] for name in programs}
            for _ in range(4):  # interleaved, so that a busy moment hits all of them
                for name, command in programs.items():
                    found[name].append(run_json(tools["oneshot"], count // 4, *command))
            for name, parts in found.items():
                median = sorted(part["median_ms"] for part in parts)[len(parts) // 2]
                aim = "aim: <= 10 ms" if name.startswith(("imctl send", "imctl status")) else ""
                row(f"{name}, min / median", f"{least(parts):.2f} / {median:.2f} ms", aim)
                row(f"{name}, peak memory", f"{max(part['peak_kib'] for part in parts) / 1024:.1f} MiB")
            for what in ("send", "send with options", "status"):
                same = least(found[f"C program, the same exchange ({what.split()[0]})"])
                more = least(found[f"imctl {what}"]) - same
                row(f"imctl {what} beyond the C program", f"{more:.2f} ms", "aim: <= 3 ms")
            one_shots(server, tools, two.user.jid, text, least(found["imctl send"]))
        finally:
            end(one, two)


def one_shots(server, tools, to, text, ours):
    """What a script has without a daemon: a log-in for every message."""
    user, count = server.user(), 3 if quick else 10
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as message:
        message.write(text + "\n")
        message.flush()
        command = [
            "go-sendxmpp", "-u", user.jid, "-p", user.password, "-j", server.address, "-m", message.name, to]
        environment = {**os.environ, "SSL_CERT_FILE": str(server.ca)}
        began = time.monotonic()
        for _ in range(count):
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        theirs = (time.monotonic() - began) / count * 1e3
    row("go-sendxmpp, without OMEMO, mean", f"{theirs:.0f} ms", f"{theirs / ours:.0f} times imctl send")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        user = server.user()
        with Peer(server, user, Path(folder) / "state") as peer:
            peer.send(to, text)
        began = time.monotonic()
        for _ in range(count):
            with Peer(server, user, Path(folder) / "state") as peer:
                peer.send(to, text)
        theirs = (time.monotonic() - began) / count * 1e3
    row("slixmpp-omemo, one process a message, mean", f"{theirs:.0f} ms", f"{theirs / ours:.0f} times imctl send")


def measure_api(tools):
    section("Calls of one client of the API (a round trip each, or 64 on the way)")
    count = 2000 if quick else 20_000
    with Prosody(["a"]) as server, Imd(server, server.user(), "info") as imd:
        imd.online()
        for method in ("consumer.list", "daemon.status"):
            for window, aim in ((1, ""), (64, "aim: >= 10,000/s")):
                best = max(
                    run_json(tools["exchange"], imd.socket_path, method, "{}", count, window)["per_second"]
                    for _ in range(3))
                row(f"{method}, {window} at a time", f"{best:.0f} calls/s", aim)


def measure_hook(_):
    section("A hook (bash) that writes down when it runs")
    count = 20 if quick else 100
    with Prosody(["a", "b"]) as server:
        one, two = pair(server)
        try:
            times = two.root / "times"
            folder = two.config / "imd/hooks.d"
            folder.mkdir(mode=0o700, parents=True)
            (folder / "clock").write_text(f"#!/bin/bash\necho $EPOCHREALTIME >>'{times}'\n")
            (folder / "clock").chmod(0o755)
            two.call("hook.list")
            delays = []
            with Api(two) as api:
                api.call("event.subscribe", types=["message"])
                for number in range(count):
                    one.ok("send", two.user.jid, f"{number}")
                    api.event("message")
                    seen = time.time()
                    until(lambda: times.exists() and len(times.read_text().splitlines()) > number, 30, "a run")
                    delays.append((float(times.read_text().splitlines()[number]) - seen) * 1e3)
        finally:
            end(one, two)
    delays.sort()
    row(
        "after a subscriber has the event, median / worst", f"{delays[count // 2]:.1f} / {delays[-1]:.1f} ms",
        "aim: <= 20 ms after the commit")


def imd_throughput(server, count):
    """Pipelined sends on one API connection; the receiver's subscription sees the last one."""
    one, two = pair(server)
    try:
        body = "#".ljust(64, "x")
        line = {"jsonrpc": "2.0", "id": 0, "method": "message.send", "params": {"to": two.user.jid, "body": body}}
        with Api(one, timeout=300) as sender, Api(two, timeout=300) as receiver:
            receiver.call("event.subscribe", types=["message"])
            before = [cpu_seconds(p.process.pid) for p in (one, two)] + [cpu_seconds(server.pid)]
            began = time.monotonic()
            requests = b"".join(json.dumps({**line, "id": number}).encode() + b"\n" for number in range(count))
            writer = threading.Thread(target=sender.write, args=(requests,))
            writer.start()
            accepted = []

            def read_answers():
                for number in range(count):
                    answer = sender.read()
                    assert answer["id"] == number and "result" in answer, answer
                accepted.append(time.monotonic() - began)

            reader = threading.Thread(target=read_answers)
            reader.start()
            for _ in range(count):
                receiver.event("message")
            elapsed = time.monotonic() - began
            writer.join(60)
            reader.join(60)
            after = [cpu_seconds(p.process.pid) for p in (one, two)] + [cpu_seconds(server.pid)]
        used = [b - a for a, b in zip(before, after)]
        return {
            "per_second": count / elapsed, "accepted_per_second": count / accepted[0],
            "send_ms": used[0] / count * 1e3, "receive_ms": used[1] / count * 1e3, "server": used[2] / elapsed,
            "resident": max(status_kib(p.process.pid, "VmHWM") for p in (one, two)) / 1024}
    finally:
        end(one, two)


def peer_throughput(server, count):
    with Peer(server, server.user(), "-") as one, Peer(server, server.user(), "-") as two:
        one.send(two.user.jid, "hello")
        two.next("message")
        two.send(one.user.jid, "hello")
        one.next("message")
        time.sleep(0.5)
        before = [cpu_seconds(p.process.pid) for p in (one, two)] + [cpu_seconds(server.pid)]
        began = time.monotonic()
        one.burst(two.user.jid, count, 64)
        two.messages(count, 300)
        elapsed = time.monotonic() - began
        one.next("burst", 60)
        after = [cpu_seconds(p.process.pid) for p in (one, two)] + [cpu_seconds(server.pid)]
        used = [b - a for a, b in zip(before, after)]
        return {
            "per_second": count / elapsed, "send_ms": used[0] / count * 1e3, "receive_ms": used[1] / count * 1e3,
            "server": used[2] / elapsed}


def measure_throughput(_):
    ours, theirs = (1000, 200) if quick else (5000, 600)
    for options, title in ((["--mam"], "with the server's archive"), ([], "without an archive")):
        section(f"End to end through one Prosody, 64-byte bodies, {title}")
        with Prosody(["a", "b", "c", "d"], options) as server:
            env = dict(line.split("=", 1) for line in (server.folder / "env").read_text().split())
            server.pid = int(env["XMPP_PID"])
            imd = imd_throughput(server, ours)
            peer = peer_throughput(server, theirs)
        row("imd to imd", f"{imd['per_second']:.0f} messages/s", "aim: limited by the server")
        row("  accepted by the sending imd", f"{imd['accepted_per_second']:.0f} messages/s")
        row("  Prosody's share of one core meanwhile", f"{imd['server'] * 100:.0f} %")
        row("  CPU per message, sending / receiving", f"{imd['send_ms']:.3f} / {imd['receive_ms']:.3f} ms")
        row("  peak memory of an imd", f"{imd['resident']:.1f} MiB")
        row("slixmpp-omemo to slixmpp-omemo", f"{peer['per_second']:.0f} messages/s")
        row("  Prosody's share of one core meanwhile", f"{peer['server'] * 100:.0f} %")
        row("  CPU per message, sending / receiving", f"{peer['send_ms']:.3f} / {peer['receive_ms']:.3f} ms")
        row("messages/s, imd : slixmpp-omemo", f"{imd['per_second'] / peer['per_second']:.1f} : 1")
        row(
            "CPU per message, slixmpp-omemo : imd, both sides",
            f"{(peer['send_ms'] + peer['receive_ms']) / (imd['send_ms'] + imd['receive_ms']):.1f} : 1",
            "aim: >= 20 : 1")


RATCHET = {
    "encrypt_us": "encrypt, one way", "decrypt_us": "decrypt, one way",
    "ping_pong_us": "message in ping-pong, both sides", "set_up_us": "session set-up, both sides"}


def measure_ratchet(tools):
    for version in ("legacy", "omemo2"):
        section(f"The ratchet alone, {version}, session loaded and stored for each message (microseconds)")
        programs = {
            "imd": [BIN / "imd-bench", version], "libomemo-c": [tools["omemo_c"], version],
            "python": [sys.executable, ROOT / "bench/omemo_python.py", version]}
        best = {name: {} for name in programs}
        for _ in range(1 if quick else 3):  # interleaved
            for name, program in programs.items():
                for key, value in run_json(*program).items():
                    best[name][key] = min(best[name].get(key, value), value)
        for key, title in RATCHET.items():
            ours, c, python = (best[name][key] for name in programs)
            row(
                f"{title}: imd / libomemo-c / python", f"{ours:.1f} / {c:.1f} / {python:.0f}",
                f"aim: no slower than C   ({1e6 / ours:.0f} / {1e6 / c:.0f} / {1e6 / python:.0f} per second)")
        share_of_primitives(best["imd"])
        fanout(best["imd"], best["libomemo-c"])


def share_of_primitives(ours):
    symmetric, agreement = ours["symmetric_us"], ours["agreement_us"]
    row("primitives alone, of encrypt, one way", f"{symmetric / ours['encrypt_us'] * 100:.0f} %")
    row("primitives alone, of decrypt, one way", f"{symmetric / ours['decrypt_us'] * 100:.0f} %")
    row("primitives alone, of ping-pong", f"{(2 * symmetric + agreement) / ours['ping_pong_us'] * 100:.0f} %")


def fanout(ours, c):
    for devices in (100, 1500):
        took = ours[f"fanout_{devices}_us"]
        row(
            f"one text to {devices} devices: imd / as many encrypts of C",
            f"{took / 1e3:.1f} / {c['encrypt_us'] * devices / 1e3:.1f} ms",
            "aim: no slower (sessions loaded, stanza written, sessions stored)")
    row("  the stanza for 1500", f"{ours['fanout_1500_bytes'] / 1024:.0f} KiB", "(many servers take 256 KiB)")


def measure_idle(_):
    section("An imd with one account online and nothing to do")
    seconds = 3 if quick else 10
    with Prosody(["a"]) as server, Imd(server, server.user(), "info") as imd:
        imd.online()
        time.sleep(5)
        pid = imd.process.pid
        before = cpu_seconds(pid), wakeups(pid)
        time.sleep(seconds)
        used = cpu_seconds(pid) - before[0]
        # Threads that ended meanwhile did nothing else; new ones count from their start.
        woken = sum(count - before[1].get(thread, 0) for thread, count in wakeups(pid).items())
        row("resident", f"{status_kib(pid, 'VmRSS') / 1024:.1f} MiB", "aim: <= 32 MiB")
        row("of which private (anonymous)", f"{status_kib(pid, 'RssAnon') / 1024:.1f} MiB", "aim: <= 8 MiB")
        row(f"CPU in {seconds} s", f"{used * 1e3:.0f} ms", "aim: none")
        row(f"wake-ups in {seconds} s", f"{woken}")
        imd.stop()
        began = time.monotonic()
        imd.process = imd.spawn()
        until(imd._listens, 30, "imd listens")
        row("start until the socket answers", f"{(time.monotonic() - began) * 1e3:.0f} ms", "(to 50 ms)")


def main():
    parts = {
        "send": measure_send, "api": measure_api, "hook": measure_hook, "throughput": measure_throughput,
        "ratchet": measure_ratchet, "idle": measure_idle}
    wanted = [name for name in sys.argv[1:] if not name.startswith("--")] or list(parts)
    if unknown := [name for name in wanted if name not in parts]:
        sys.exit(f"error: no such part: {', '.join(unknown)}; there are: {', '.join(parts)}")
    with tempfile.TemporaryDirectory(prefix="imd-bench-") as folder:
        tools = {name: compiled(folder, f"{name}.c") for name in ("exchange", "oneshot")}
        tools["omemo_c"] = compiled(folder, "omemo_c.c", "-I/usr/include/omemo", "-lomemo-c", "-lcrypto")
        cores, load = os.cpu_count(), os.getloadavg()[0]
        print(f"{cores} cores, load {load:.1f} at the start; binaries in {BIN}")
        for name in wanted:
            parts[name](tools)


if __name__ == "__main__":
    main()
