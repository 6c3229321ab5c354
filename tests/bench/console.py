#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the full-screen console costs and how soon it answers, on a terminal (a pty) that counts.

usage: tests/bench/console.py [--seconds S] [--samples N] [CASE]...

  idle    bytes a second written to a terminal of 120x40, 10 guests that do nothing; then, for
          comparison, with 10 that are busy a part of the time
  redraw  CPU time of the thread that draws, 50 guests, 10 samples and frames a second, 120x40
          and 200x60; the frames are counted
  echo    from the write of a key to the read of its echo, in the pane of `hello` on the software CPU
  flood   from a key to what it draws beside a guest that writes to its console without end: help
          over the table, and the echo of `hello` with the flooding guest's pane next to it
  speed   units of work of a busy guest beside one that floods its console, shown in a pane, against
          the same beside one that computes as much; by turns, all on one CPU of the host. Then the same
          by the CPU time that both guests got, which tells a host that is busy with other things

Each line ends with the bar and whether it holds. Exit status: 0 all do, 1 one does not. A host that
is busy with other things makes figures worse, never better.
"""
import argparse
import os
import random
import statistics
import struct
import sys
import time

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TREE, "tests/lib"))
from terminal import Terminal  # noqa: E402

CTRL_U = b"\x15"
COUNTERS = 0x101000      # guests/lib/progress.h
SETTLE_S = 4             # start, the first picture, messages that go away
FRAME_GAP_S = 0.02       # frames are 33 ms apart at least, what belongs to one is not
HELLO = "{image: hello, memory: 16M}"
FLOOD = "{image: chatty, memory: 16M, append: quiet mode=serial}"


def lab(guests, cpus=None):
    rows = "".join(f"  {name}: {what}\n" for name, what in guests.items())
    return "name: bench\n" + (f"host: {{cpus: {cpus}}}\n" if cpus else "") + "guests:\n" + rows


def many(n, what):
    return {f"g{i}": what for i in range(n)}


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


class Bench:
    def __init__(self, options):
        self.options = options
        self.missed = 0

    def tell(self, name, figure, unit, bar=None, good=None, more=""):
        """One line: a figure, its bar, the verdict; without a bar it is only told."""
        good = bar is None or (figure <= bar if good is None else good)
        self.missed += not good
        verdict = "" if bar is None else f"  bar {bar:g} {unit}: {'ok' if good else 'MISSED'}"
        print(f"{name:34} {figure:8.2f} {unit}{verdict}{'   ' + more if more else ''}", flush=True)

    def opened(self, guests, cpus=None, **size):
        t = Terminal(lab(guests, cpus), **size)
        t.until(lambda: all(vm["state"] == "running" for vm in t.stats().values()), 30, "all run")
        return t

    def bytes_per_second(self, name, guests, bar):
        with self.opened(guests) as t:
            time.sleep(SETTLE_S + 8) # what happened last is in the message row for 10 s
            before, start = t.total, time.monotonic()
            time.sleep(self.options.seconds)
            rate = (t.total - before) / (time.monotonic() - start)
        self.tell(name, rate / 1000, "kB/s", bar)

    def idle(self):
        self.bytes_per_second("idle, 10 hello", many(10, HELLO), 10)
        self.bytes_per_second("10 spin, each busy for 5 %", many(10, '{image: spin, memory: 16M, append: "quiet duty=5"}'), None)

    def redraw_at(self, cols, rows):
        guests = many(50, '{image: spin, memory: 16M, append: "quiet duty=1 period=100"}')
        with self.opened(guests, cols=cols, rows=rows) as t:
            t.ask("set", "interval", "0.1")
            time.sleep(SETTLE_S)
            t.forget()
            cpu, total, start = t.ui_seconds(), t.total, time.monotonic()
            time.sleep(self.options.seconds)
            took, cpu = time.monotonic() - start, t.ui_seconds() - cpu
            with t.news:
                times, total = list(t.times), t.total - total
        frames = 1 + sum(b - a > FRAME_GAP_S for a, b in zip(times, times[1:])) if times else 0
        self.tell(f"50 guests, 10 redraws/s, {cols}x{rows}", cpu / took * 100, "% of a CPU", 3, cpu / took <= 0.03 and frames / took > 9,
                  f"{frames / took:.1f} frames/s, {total / took / 1000:.1f} kB/s")

    def redraw(self):
        self.redraw_at(120, 40)
        self.redraw_at(200, 60)

    def keys(self, t, step):
        """Latencies in ms; step(i): keys, the text that they bring; keys that take it back, the text of that.
        What is taken back and brought again between two frames changes no cell and is never written: so the
        text of going back is awaited, or what comes next is another text."""
        took, lost = [], 0
        for i in range(self.options.samples):
            keys, text, back, gone = step(i)
            time.sleep(random.uniform(0.06, 0.14)) # no rhythm that could fall in with the console's
            seconds = t.latency(keys, text)
            lost += seconds is None
            took.append((seconds if seconds is not None else 5) * 1000)
            if back:
                time.sleep(0.06)
                t.forget()
                t.send(back)
                lost += not t.awaits(gone)
        return took, lost

    def tell_keys(self, name, took, lost, bar):
        more = f"p99 {percentile(took, 0.99):.2f}, worst {max(took):.2f} ms" + (f", {lost} lost" if lost else "")
        median = statistics.median(took)
        self.tell(name, median, "ms", bar, percentile(took, 0.99) <= bar and not lost, "median; " + more)

    def type_into_hello(self, t, command, name, bar):
        t.latency(b":", b":")
        t.send(command + b"\r")
        if not t.awaits(b"ATTACHED"):
            raise SystemExit("the console of hello does not open")
        time.sleep(1)
        letters = [b"V", b"W", b"X", b"Y", b"Z", b"Q"] # they end no escape sequence and stand in no text around

        def step(i):
            letter = letters[(i + i // 6) % 6] # no column gets the same twice
            return letter, letter, CTRL_U if i % 6 == 5 else b"", b""

        self.tell_keys(name, *self.keys(t, step), bar)

    def echo(self):
        with self.opened({"hello": HELLO}) as t:
            self.type_into_hello(t, b"console hello", "key to echo in hello's pane", 20)

    def flood(self):
        with self.opened({"hello": HELLO, "flood": FLOOD}) as t:
            time.sleep(SETTLE_S)
            self.tell_keys("key to help, beside a flood", *self.keys(t, lambda i: (b"?", b"keys: guests", b"q", b"nter")), 100) # of "Enter Detail"
            self.type_into_hello(t, b"console all", "key to echo, a flood in the next pane", 100)

    def work(self, t):
        name = t.file("counter")
        if os.path.exists(name):
            os.unlink(name)
        t.ask("mem-dump", "--file", name, "busy", hex(COUNTERS), "64")
        with open(name, "rb") as f:
            return struct.unpack("<Q", f.read(8))[0]

    def turn(self, t, beside):
        """Work of `busy` beside that guest: per second, and per CPU second that both got."""
        t.ask("resume", "busy", beside)
        time.sleep(0.3)
        seen = []
        for last in (False, True):
            t.ask("pause", "busy", beside)
            paused = time.monotonic()
            time.sleep(0.2) # the CPU time shown is of the last sample
            stats = t.stats()
            seen.append((paused, self.work(t), sum(stats[n]["cpu"]["seconds"] for n in ("busy", beside))))
            if not last:
                t.ask("resume", "busy", beside)
                start = time.monotonic()
                time.sleep(self.options.seconds / 5)
        work, cpu = (b - a for a, b in zip(seen[0][1:], seen[1][1:]))
        return work / (seen[1][0] - start), work / cpu

    def speed(self):
        spin = '{image: spin, memory: 16M, append: "quiet rate=0"}'
        with self.opened({"busy": spin, "calm": spin, "flood": FLOOD}, cpus='"0"') as t:
            t.send(b":console flood\r")
            if not t.awaits(b"ATTACHED"):
                raise SystemExit("the console of flood does not open")
            t.ask("pause", "all")
            t.ask("set", "interval", "0.1")
            by_time, by_cpu = [], []
            for i in range(10):
                order = ("flood", "calm") if i % 2 else ("calm", "flood")
                rate = {beside: self.turn(t, beside) for beside in order}
                for k, ratios in enumerate((by_time, by_cpu)):
                    ratios.append((1 - rate["flood"][k] / rate["calm"][k]) * 100)
        for name, ratios, bar in (("a busy guest beside a flood", by_time, 5), ("the same, per CPU second of both", by_cpu, None)):
            off = statistics.median(ratios)
            self.tell(name, off, "% slower", bar, abs(off) <= 5, f"median of 10 pairs from {min(ratios):.1f} to {max(ratios):.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    bench = Bench(options)
    cases = {"idle": bench.idle, "redraw": bench.redraw, "echo": bench.echo, "flood": bench.flood, "speed": bench.speed}

    os.chdir(TREE)
    for name in options.cases:
        if name not in cases:
            parser.error(f"there is no case '{name}'; there are: {', '.join(cases)}")
    for name in options.cases or cases:
        cases[name]()
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
