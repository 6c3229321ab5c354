# SPDX-License-Identifier: GPL-3.0-or-later
"""The full-screen console on a terminal of a test's own: a pty whose other side reads at once, counts
what it reads, and knows when it came."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time

from instance import Instance

KEPT = 1 << 20 # bytes of output that are looked through


class Terminal(Instance):
    OPTIONS = ()

    def __init__(self, lab, accel="soft", cols=120, rows=40, env=None):
        self.master, self.slave = pty.openpty()
        self.resize(cols, rows)
        self.modes = termios.tcgetattr(self.slave)
        self.env = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})}
        self.news = threading.Condition()
        self.output, self.total, self.times = bytearray(), 0, []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        super().__init__(lab, accel)

    def start(self, command, errors):
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORFGBG", "COLUMNS", "LINES", "TMUX")}
        env |= {"HOME": self.dir, "XDG_STATE_HOME": self.dir, "XDG_CONFIG_HOME": self.dir, "XDG_RUNTIME_DIR": self.dir, **self.env}
        command[0] = os.path.abspath(command[0])
        return subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=errors, env=env, cwd=self.dir, start_new_session=True,
                                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def read(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            with self.news:
                self.total += len(data)
                self.times.append(time.monotonic())
                self.output += data
                if len(self.output) > 2 * KEPT:
                    del self.output[:-KEPT]
                self.news.notify_all()

    def forget(self):
        """What was written up to now is not looked through any more."""
        with self.news:
            self.output.clear()
            self.times.clear()

    def awaits(self, text, seconds=10):
        """Whether `text` is written in time, since the last forget()."""
        with self.news:
            return self.news.wait_for(lambda: text in self.output, seconds)

    def send(self, keys):
        """Keys as bytes. False: the console has not read what was sent before, so nothing is sent."""
        if not select.select([], [self.master], [], 0)[1]:
            return False
        os.write(self.master, keys)
        return True

    def latency(self, keys, text, seconds=5):
        """Seconds from the write of `keys` until `text` was read; None: it did not come."""
        self.forget()
        start = time.monotonic()
        self.send(keys)
        return time.monotonic() - start if self.awaits(text, seconds) else None

    def resize(self, cols, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def ui_seconds(self):
        """CPU time of the main thread, which draws."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/schedstat", encoding="ascii") as f:
            return int(f.read().split()[0]) / 1e9

    def restored(self):
        """Whether the terminal is as it was found."""
        return termios.tcgetattr(self.slave) == self.modes

    def close(self):
        super().close()
        os.close(self.slave)
        self.reader.join(10)
        os.close(self.master)
