#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an antagonist does to a victim, both at equal shares on one host CPU, against what is promised.

usage: scripts/bench isolation [--accel soft|kvm] [--seconds S] [ANTAGONIST]...

Two victims, one after the other, for S (3) seconds of the processor each:
  busy   spin, which wants the whole CPU. `part` is what it had of the CPU time that both got,
         `got/ent.` its CPU time against what Ruche says it was entitled to, `work` its loops
         per CPU second against those that it does while the antagonist is paused, in turns (1.00: no
         hidden cost), `through` the product of both, its throughput against its entitlement
         (promised: 0.95)
  tick   spin that is busy for 1 ms in 10: how late its timer woke it, the median of the seconds' 99th
         percentiles and the worst, in ms
An emulated machine is first set up as `ruche doctor` advises (KVM's min_timer_period_us).
On a host that is busy with other things the times say nothing; the ratios do.

Exit status: 0 all promises held, 1 one did not.
"""
import argparse
import os
import re
import sys
import time

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TREE, "tests/lib"))
from instance import Refused  # noqa: E402
from spinlab import SpinLab, guest, minus, parts  # noqa: E402

PROMISED = 0.95
TURNS = 8         # beside the antagonist and without it: each pause may leave the victim faster or slower (docs/SOFTCPU.md)
# On an emulated machine, those that QEMU outlives: some of the others abort it.
ATTACKS = "ports,strings,timers,uart,debugport,irqstorm,pci,bars,msix,vq-cycle,vq-range,vq-size,vq-random,vq-race" \
    if os.environ.get("RUCHE_IN_KVM") else "all"
PERIOD = "/sys/module/kvm/parameters/min_timer_period_us"
NETWORKS = "networks: {lan: {}, out: {nat: true}}\n"


def tiny(image, append, memory="17M", **keys):  # not the victim's memory, so that work() tells them apart
    return {**guest(), "image": image, "append": append, "memory": memory, **keys}


ANTAGONISTS = {
    "alone": None,
    "cpu spin": tiny("spin", "quiet"),
    "sleepy spin": tiny("spin", "quiet sleepy=5"),
    "exit storm": tiny("chatty", "quiet mode=pio"),
    "mmio storm": tiny("chatty", "quiet mode=mmior"),
    "interrupt storm": tiny("chatty", "quiet mode=timer hz=50000"),
    "nap storm": tiny("chatty", "quiet mode=hlt"),
    "memory hog": tiny("memhog", "quiet then=dirty", "256M"),
    "console flood": tiny("chatty", "quiet mode=serial"),
    "rogue": tiny("rogue", f"attack={ATTACKS} each=50 loop seed=0 panic=crash", on={"crash": "start {name}"}),
    "disk flood": tiny("flood", "quiet mode=disk", disks=[{"path": "bad.img", "size": "64M"}]),
    "network flood": tiny("flood", "quiet mode=net", nets=["lan"]),
    "nat flood": tiny("flood", "quiet mode=net to=10.0.2.2", nets=["out"]),
}
LATE = re.compile(r"spin: late (\d+) (\d+) (\d+) us")


def lab(victim, antagonist, options):
    """Both run, and the antagonist is at it."""
    bad = antagonist or {}
    i = SpinLab([victim] + ([bad] if bad else []), 1, options.accel, more=NETWORKS if "nets" in bad else "")
    try:
        i.until(lambda: all(vm["state"] == "running" for vm in i.stats().values()), 60, "both run")
        if bad.get("image") == "flood":
            i.ask("expect", "g1", "flood: ready", "20")
        i.until_used(0.5, 20)
        i.until(lambda: i.work()[0], 20, "the victim works")
        i.read(of=0)    # a sample ends: what is averaged from now on is of now
    except BaseException:
        i.close()
        raise
    return i


def period_of_timers():
    if os.environ.get("RUCHE_IN_KVM"):
        with open(PERIOD, "w", encoding="ascii") as f:
            f.write("1000")
    with open(PERIOD, encoding="ascii") as f:
        print(f"KVM lets a guest's timer interrupt this host each {f.read().strip()} us")


class Rate:
    """A victim's loops per CPU second, over all the times that it is looked at."""

    def __init__(self):
        self.loops, self.cpu = 0, 0.0

    def add(self, i, cpu_s):
        """Until the guests have had so many seconds of the processor."""
        loops, cpu = i.work()[0], i.kernel()[0]
        i.until_used(cpu_s, 20 * cpu_s)
        self.loops += i.work()[0] - loops
        self.cpu += i.kernel()[0] - cpu

    def value(self):
        return self.loops / self.cpu


def divided(i, cpu_s):
    """The victim's part of what both got, and what it got against its entitlement."""
    last = first = i.read(of=0)
    end = time.monotonic() + 20 * cpu_s
    got = entitled = 0.0
    while sum(minus(last[0], first[0])) < cpu_s and time.monotonic() < end:
        last = i.read(of=0)
        cpu = i.stats()["g0"]["cpu"]
        got, entitled = got + cpu["got"], entitled + cpu["entitlement"]
    return parts(minus(last[0], first[0]))[0], got / entitled


def pause(i):
    """The antagonist; one that kills itself just then is started again first."""
    for left in range(5, -1, -1):
        try:
            i.ask("pause", "g1")
            return
        except Refused:
            if not left:
                raise
            time.sleep(0.1)


def busy(antagonist, options):
    """Of the victim: part, got against its entitlement, loops per CPU second against those alone."""
    beside, alone = Rate(), Rate()
    with lab(guest(append="rate=1", work=""), antagonist, options) as i:
        part, ratio = divided(i, options.seconds)
        for _ in range(TURNS):
            beside.add(i, options.seconds / TURNS)
            if antagonist:
                pause(i)
                i.until_used(0.05, 20)
            alone.add(i, options.seconds / TURNS)
            if antagonist:
                i.ask("resume", "g1")
                i.until_used(0.1, 20)
    return part, ratio, beside.value() / alone.value()


def tick(antagonist, options):
    """How late the victim wakes, in ms: 99th percentile, worst."""
    with lab({**guest(), "append": "rate=1 duty=10 late"}, antagonist, options) as i:
        name, found = i.file("late"), []
        i.ask("log", "g0", name)

        def enough():
            with open(name, encoding="utf-8", errors="replace") as f:
                found[:] = [tuple(map(int, line)) for line in LATE.findall(f.read())]
            return len(found) > options.seconds
        i.until(enough, 20 * options.seconds, "lines of the victim")
    return sorted(f[1] for f in found)[len(found) // 2] / 1000, max(f[2] for f in found) / 1000


HALF = 0.475    # of what both got, within 5 %: shares are equal, and it wants all


def row(name, options, alone):
    """True if what is promised held."""
    part, ratio, work = busy(ANTAGONISTS[name], options)
    late, worst = tick(ANTAGONISTS[name], options)
    alone.setdefault("late", late)
    good = ratio * work >= PROMISED and part >= HALF    # what we call its entitlement is not to be believed alone
    print(f"{name:16}{part:7.3f} {ratio:9.3f} {work:7.3f} {ratio * work:8.3f} {'ok' if good else 'MISSED':7}"
          f"{late:8.2f} {worst:9.2f} {late - alone['late']:+11.2f}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].replace("usage: ", ""))
    parser.add_argument("--accel", default="soft")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("antagonist", nargs="*")
    options = parser.parse_args()
    for name in options.antagonist:
        if name not in ANTAGONISTS:
            sys.exit(f"isolation: `{name}` is not one of: {', '.join(ANTAGONISTS)}")
    os.chdir(TREE)
    if options.accel == "kvm":
        period_of_timers()
    print(f"{'':16}  victim `busy`                          victim `tick`: woken late, in ms")
    print(f"{'antagonist':16}{'part':>7} {'got/ent.':>9} {'work':>7} {'through':>8} {'':7}{'p99':>8} {'worst':>9} {'p99 - alone':>11}")
    alone, held = {}, True
    for name in ANTAGONISTS:
        if not options.antagonist or name in options.antagonist or name == "alone":
            held &= row(name, options, alone)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
