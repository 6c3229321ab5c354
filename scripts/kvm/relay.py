#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# relay.py: runs QEMU and talks to l1init in it (the frames are described in l1init.c).
#
# It sends the job, carries input, output and error output between the machine and its own
# descriptors 0, 1 and 2, unpacks what comes back, and ends QEMU when the exit status is there.
# What became of it is written to --verdict as one line:
#   status N        the command ended with N
#   timeout         the command ran longer than --timeout
#   infra REASON    the machine did not start, stopped or hung; " started" is added before
#                   REASON if the command had been started
# In the QEMU command line the word part @FD@ stands for the descriptor of the port.
import argparse
import errno
import fcntl
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import tty

CHUNK = 32768
BOOT_LIMIT = 60         # seconds until the machine must say hello; usual are 2
SILENCE_LIMIT = 40      # it says "alive" every second; a hung machine does not
# Both count only time in which this host did not make QEMU wait for a processor: on a busy host the
# machine is late, not hung.


class Ended(Exception):
    """What the verdict will be."""


class HostWaits:
    """How long a process's child, QEMU below `timeout`, waits for a processor of this host."""

    def __init__(self, parent):
        self.parent = parent
        self.task = None
        self.seen = {}

    def find_child(self):
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue                # it has just ended
            if parent == self.parent:
                return f"/proc/{name}/task"
        raise FileNotFoundError

    def delays(self):
        task = self.task = self.task or self.find_child()
        for tid in os.listdir(task):
            with open(f"{task}/{tid}/schedstat") as schedstat:
                yield tid, int(schedstat.read().split()[1]) / 1e9

    def since_last(self):
        """Seconds, of the thread that waited longest; 0 if this host does not tell."""
        try:
            now = dict(self.delays())
        except (OSError, IndexError, ValueError):
            return 0
        most = max((delay - self.seen.get(tid, delay) for tid, delay in now.items()), default=0)
        self.seen = now
        return most


class Relay:
    def __init__(self, options, port, qemu):
        self.options = options
        self.port = port
        self.qemu = qemu
        self.started = False
        self.received = bytearray()
        self.to_send = bytearray()
        self.heard = time.monotonic()
        self.begun = self.heard
        self.ticked = self.heard
        self.silent_s = 0
        self.host_waits = HostWaits(qemu.pid)
        self.tar = None
        self.stdin_open = True
        self.interrupts = 0             # the command gets two, the third one is for us
        self.selector = selectors.DefaultSelector()
        self.selector.register(port, selectors.EVENT_READ)

    def infra(self, reason):
        return Ended("infra " + ("started " if self.started else "") + reason)

    def send(self, kind, payload=b""):
        self.to_send += struct.pack("<cI", kind, len(payload)) + payload
        self.want_write()

    def want_write(self):
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.to_send else 0)
        self.selector.modify(self.port, events)
        # Input waits while the port is busy, so that nothing piles up here.
        if self.started and self.stdin_open:
            busy = len(self.to_send) > CHUNK
            known = 0 in self.selector.get_map()
            if busy and known:
                self.selector.unregister(0)
            elif not busy and not known:
                self.watch_stdin()

    def watch_stdin(self):
        try:
            self.selector.register(0, selectors.EVENT_READ)
        except (PermissionError, ValueError, OSError):
            self.read_plain_file()      # epoll takes no regular file

    def read_plain_file(self):
        data = os.read(0, CHUNK)
        self.send(b"I", data) if data else self.end_stdin()

    def end_stdin(self):
        self.stdin_open = False
        if 0 in self.selector.get_map():
            self.selector.unregister(0)
        self.send(b"C")

    def on_stdin(self):
        try:
            data = os.read(0, CHUNK)
        except OSError:
            data = b""
        if data:
            self.send(b"I", data)
        else:
            self.end_stdin()

    def start_job(self):
        self.started = True
        self.begun = time.monotonic()
        if self.options.tty and os.isatty(0):
            tty.setraw(0)               # not before: until now Ctrl-C is for us
        job = open(self.options.job, "rb").read() + b"time=%d\0" % time.time()
        if self.options.tty:
            rows, cols = window_size()
            job += b"tty=1\0rows=%d\0cols=%d\0" % (rows, cols)
        self.send(b"J", job)
        if self.options.no_stdin:
            self.end_stdin()
        else:
            self.want_write()

    def on_frame(self, kind, payload):
        if kind == b"H":
            if self.options.verbose:
                print(f"in-kvm: ready, uptime {payload.decode().split()[0]} s, "
                      f"{self.heard - self.begun:.2f} s after start", file=sys.stderr)
            self.start_job()
        elif kind == b"O":
            write_all(1, payload)
        elif kind == b"E":
            write_all(2, payload)
        elif kind == b"T":
            if self.tar is None:
                self.tar = subprocess.Popen(["tar", "-xf", "-", "--no-same-owner"],
                                            stdin=subprocess.PIPE)
            self.tar.stdin.write(payload)
        elif kind == b"S":
            if self.tar is not None:
                self.tar.stdin.close()
                if self.tar.wait() != 0:
                    raise self.infra("the --out files could not be unpacked")
            raise Ended(f"status {payload[0]}")
        elif kind == b"X":
            raise self.infra(payload.decode(errors="replace"))
        elif kind != b"B":
            raise self.infra(f"unknown frame {kind!r}")

    def on_port(self):
        try:
            data = self.port.recv(CHUNK * 4)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            raise self.infra(f"the machine stopped (QEMU's status {self.qemu.wait(10)})")
        self.received += data
        offset = 0
        while len(self.received) - offset >= 5:
            kind, length = struct.unpack_from("<cI", self.received, offset)
            if len(self.received) - offset - 5 < length:
                break
            payload = bytes(self.received[offset + 5:offset + 5 + length])
            offset += 5 + length
            self.on_frame(kind, payload)
        del self.received[:offset]
        self.heard = time.monotonic()
        self.silent_s = 0

    def check_time(self):
        now = time.monotonic()
        if self.started and self.options.timeout and now - self.begun > self.options.timeout:
            raise Ended("timeout")
        if now - self.ticked >= 1:
            self.silent_s += max(0, min(now - self.ticked, now - self.heard) - self.host_waits.since_last())
            self.ticked = now
        limit = (SILENCE_LIMIT if self.started else BOOT_LIMIT) * self.options.patience
        if self.silent_s > limit:
            what = "hung" if self.started else "did not start"
            raise self.infra(f"the machine {what}: nothing heard for {limit} s")

    def on_signals(self, wake):
        for number in wake.recv(64):
            if number == signal.SIGWINCH and self.options.tty and self.started:
                self.send(b"W", struct.pack("<HH", *window_size()))
            elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self.interrupts += number == signal.SIGINT
                if not self.started or number != signal.SIGINT or self.interrupts > 2:
                    raise Ended(f"status {128 + number}")
                self.send(b"K", bytes([number]))

    def loop(self, wake):
        self.selector.register(wake, selectors.EVENT_READ)
        while True:
            for key, events in self.selector.select(1.0):
                if key.fileobj is wake:
                    self.on_signals(wake)
                elif key.fileobj == 0:
                    self.on_stdin()
                else:
                    if events & selectors.EVENT_WRITE:
                        sent = self.port.send(self.to_send[:CHUNK])
                        del self.to_send[:sent]
                        self.want_write()
                    if events & selectors.EVENT_READ:
                        self.on_port()
            self.check_time()


def window_size():
    try:
        rows, cols = struct.unpack("HHHH", fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8))[:2]
    except OSError:
        rows, cols = 0, 0
    return (rows, cols) if rows and cols else (24, 80)


def write_all(fd, data):
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:         # somebody made our terminal non-blocking
            time.sleep(0.002)
        except BrokenPipeError:
            raise Ended(f"status {128 + signal.SIGPIPE}") from None
        except OSError as error:        # EIO: the terminal is gone
            if error.errno != errno.EIO:
                raise
            raise Ended(f"status {128 + signal.SIGHUP}") from None


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", required=True)
    parser.add_argument("--verdict", required=True)
    parser.add_argument("--timeout", type=float, default=0)
    parser.add_argument("--patience", type=float, default=1)
    parser.add_argument("--tty", action="store_true")
    parser.add_argument("--no-stdin", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("qemu", nargs="+")
    return parser.parse_args()


def main():
    options = parse()
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    wake, wake_write = socket.socketpair()
    wake.setblocking(False)
    wake_write.setblocking(False)
    signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH):
        signal.signal(number, lambda *_: None)
    command = [word.replace("@FD@", str(theirs.fileno())) for word in options.qemu]
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            pass_fds=[theirs.fileno()], start_new_session=True)
    theirs.close()
    ours.setblocking(False)
    saved = termios.tcgetattr(0) if options.tty and os.isatty(0) else None
    verdict = "infra started relay.py failed"
    try:
        Relay(options, ours, qemu).loop(wake)
    except Ended as ended:
        verdict = str(ended)
    finally:
        if qemu.poll() is None:
            os.killpg(qemu.pid, signal.SIGKILL)     # QEMU is the child of timeout
            qemu.wait()
        if saved:
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, saved)
            except termios.error:
                pass                    # it is gone, and nothing is left to restore
        with open(options.verdict, "w") as out:
            out.write(verdict + "\n")


main()
