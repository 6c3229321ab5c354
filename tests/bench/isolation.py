#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an antagonist does to a victim, both at equal shares on one host CPU.

usage: tests/bench/isolation.py [--accel soft|kvm] [--seconds S] [ANTAGONIST]...

Two victims, one after the other:
  busy   spin, which wants the whole CPU: `share` is its part of the CPU time that both got,
         `got/ent.` that time against what Ruche says it was entitled to (bar: within 5 %),
         `work` its loops per CPU second against those it does alone (1.00: no hidden cost)
  tick   spin that is busy for 1 ms in 10: how late its timer woke it, the 99th percentile and
         the worst, in ms
Exit status: 1 if a busy victim got less than 95 % of what it was entitled to. On a host that is busy with other things only the ratios say something.
"""
import argparse
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from instance import Instance  # noqa: E402

ANTAGONISTS = {
    "alone": None,
    "cpu spin": "{image: spin, memory: 16M, append: quiet}",
    "sleepy spin": "{image: spin, memory: 16M, append: quiet sleepy=5}",
    "exit storm": "{image: chatty, memory: 16M, append: quiet mode=pio}",
    "mmio storm": "{image: chatty, memory: 16M, append: quiet mode=mmior}",
    "interrupt storm": "{image: chatty, memory: 16M, append: quiet mode=timer hz=50000}",
    "nap storm": "{image: chatty, memory: 16M, append: quiet mode=hlt}",
    "memory hog": "{image: memhog, memory: 256M, append: quiet then=dirty}",
    "console flood": "{image: chatty, memory: 16M, append: quiet mode=serial}",
    "rogue": "{image: rogue, memory: 16M, append: attack=all each=50 loop}",
}
LOOPS = re.compile(r"spin: cpu0 (\d+) loops (\d+\.\d) s")
LATE = re.compile(r"spin: late (\d+) (\d+) (\d+) us")
WARM_UP_S = 1.5


def lab(victim, antagonist):
    text = ("name: isolation\nhost: {cpus: 0}\nguests:\n"
            f"  victim: {{image: spin, memory: 16M, append: {victim}}}\n")
    return text + (f"  bad: {antagonist}\n" if antagonist else "")


def observe(victim, antagonist, options):
    """The victim's console, the seconds of CPU of both, got and entitlement (sums) of the victim."""
    with Instance(lab(victim, antagonist), options.accel) as i:
        time.sleep(WARM_UP_S)
        log = i.file("log")
        i.ask("log", "victim", log)
        before, got, entitled = i.stats(), 0.0, 0.0
        for _ in range(options.seconds):
            time.sleep(1)
            cpu = i.stats()["victim"]["cpu"]
            got += cpu["got"] or 0
            entitled += cpu["entitlement"] or 0
        after = i.stats()
        used = {n: after[n]["cpu"]["seconds"] - before[n]["cpu"]["seconds"] for n in after}
        i.ask("log", "victim", "off")
        with open(log, encoding="utf-8", errors="replace") as f:
            return f.read(), used, got, entitled


def loops_per_second(text):
    found = LOOPS.findall(text)
    if len(found) < 2:
        return None
    return (int(found[-1][0]) - int(found[0][0])) / (float(found[-1][1]) - float(found[0][1]))


def lateness(text):
    found = [tuple(map(int, f)) for f in LATE.findall(text)]
    if not found:
        return None
    return sorted(f[1] for f in found)[len(found) // 2] / 1000, max(f[2] for f in found) / 1000


def number(x, width, digits):
    return f"{x:{width}.{digits}f}" if x is not None else "-".rjust(width)


def row(name, antagonist, options, alone):
    text, used, got, entitled = observe("rate=1", antagonist, options)
    rate, seconds = loops_per_second(text), used["victim"]
    share = seconds / sum(used.values()) if sum(used.values()) else None
    work = rate * options.seconds / seconds if rate and seconds else None
    alone.setdefault("work", work)
    ratio = got / entitled if entitled else None
    late = lateness(observe("rate=1 duty=10 late", antagonist, options)[0]) or (None, None)
    print(f"{name:16}{number(rate and rate / 1e6, 9, 2)} {number(share, 7, 3)} {number(ratio, 9, 3)}"
          f" {number(work and alone['work'] and work / alone['work'], 7, 2)}"
          f" {number(late[0], 10, 2)} {number(late[1], 9, 2)}", flush=True)
    return ratio is not None and ratio >= 0.95


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--accel", default="auto")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("antagonist", nargs="*")
    options = parser.parse_args()
    for name in options.antagonist:
        if name not in ANTAGONISTS:
            sys.exit(f"isolation: `{name}` is not one of: {', '.join(ANTAGONISTS)}")
    print(f"{'':16}  victim `busy`                       victim `tick`: woken late")
    print(f"{'antagonist':16}{'Mloops/s':>9} {'share':>7} {'got/ent.':>9} {'work':>7} {'p99 ms':>10} {'worst ms':>9}")
    alone, kept = {}, True
    for name, antagonist in ANTAGONISTS.items():
        if not options.antagonist or name in options.antagonist or name == "alone":
            kept = row(name, antagonist, options, alone) and kept
    print(f"got/ent. at least 0.95 with every antagonist: {'kept' if kept else 'NOT kept'}")
    return 0 if kept else 1


sys.exit(main())
