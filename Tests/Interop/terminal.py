"""A terminal of a program's own, for the tests of what is asked and typed there."""

import os
import pty
import resource
import select
import signal
import termios
import time


class Terminal:
    """Runs a command on a pseudoterminal, in a process group of its own as a shell would, and types."""

    def __init__(self, command, environment):
        self.command, self.environment = list(map(str, command)), environment
        self.shown, self.status = b"", None

    def __enter__(self):
        read, write = os.pipe()
        self.controller, self.slave = pty.openpty()
        self.session = os.fork()
        if self.session == 0:
            self._lead(write)
        os.close(write)
        self.pid = int(os.read(read, 20))
        os.close(read)
        return self

    def _lead(self, write):
        """In the child: a shell with one job."""
        try:
            os.login_tty(self.slave)
            os.close(self.controller)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            job = os.fork()
            if job == 0:
                os.setpgid(0, 0)
                os.tcsetpgrp(0, os.getpid())
                # What started the tests, such as nohup(1), may have had some ignored.
                for number in (signal.SIGTTOU, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_DFL)
                os.execve(self.command[0], self.command, self.environment)
            os.write(write, str(job).encode())
            status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
            os._exit(status if status >= 0 else 128 - status)
        except BaseException:
            os._exit(1)

    def __exit__(self, *_):
        for pid in (self.pid, self.session):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.status is None:
            os.waitpid(self.session, 0)
        os.close(self.slave)
        os.close(self.controller)

    def expect(self, text, seconds=30):
        """Waits until that is shown, after what was waited for last; returns what came before it."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, f"'{text}' is not shown: {self.shown}"
            if select.select([self.controller], [], [], 0.1)[0]:
                self.shown += os.read(self.controller, 4096)
        before, _, self.shown = self.shown.partition(text.encode())
        return before.decode()

    def type(self, text):
        os.write(self.controller, text.encode())

    def is_silent(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ECHO

    def is_stopped(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"

    def wait(self, seconds=30):
        """Its exit status, 128 and more for a signal as a shell has it; the rest of what it showed is in `shown`."""
        deadline = time.monotonic() + seconds
        while self.status is None:
            assert time.monotonic() < deadline, f"it does not end: {self.shown}"
            if select.select([self.controller], [], [], 0.02)[0]:
                self.shown += os.read(self.controller, 4096)
            done, status = os.waitpid(self.session, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status
