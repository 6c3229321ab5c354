#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How exactly the processor is divided, against what is promised.

usage: tests/bench/sched.py [--accel soft|kvm] [--sched slots|cgroup] [--seconds S] [CASE]...

Each case is a lab of `spin` guests. What a guest got is taken twice, between two pauses of the
whole lab: CPU seconds from Ruche, and units of work from the guest's own progress page, which
knows nothing of Ruche. What it should get is worked out here: weighted max-min over what each
guest can use. `off` is the worst guest, by Ruche's figures and by the guests' own; `kept busy` is
the CPU time of all guests of what the CPUs of the lab could give (bar 99 %; on a host that is busy
with other things only the parts say something).

Exit status: 0 all promises held, 1 one did not.
"""
import argparse
import os
import struct
import sys
import time

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TREE, "tests/lib"))
from instance import Instance  # noqa: E402

PROGRESS = 0x100000     # guests/lib/progress.h
COUNTERS = PROGRESS + 4096
SETTLE_S = 2
SAMPLE_S = 1.1          # `stats` is a sample of the last second


def busy(share, vcpus=1):
    return {"share": share, "vcpus": vcpus, "wants": float(vcpus)}


def part_time(share, percent):
    return {"share": share, "vcpus": 1, "wants": percent / 100, "append": f"duty={percent}"}


IDLE = {"share": 100, "vcpus": 1, "wants": 0.0, "image": "hello"}

# name: host CPUs, guests, seconds, how far off a guest may be: of its part, or in points
CASES = {
    "2 on 1, 1:1": (1, [busy(100), busy(100)], 5, 0.02, None),
    "2 on 1, 3:1": (1, [busy(300), busy(100)], 5, 0.02, None),
    "2 on 1, 20:1": (1, [busy(2000), busy(100)], 5, 0.02, None),
    "2 on 1, 100:1": (1, [busy(10000), busy(100)], 10, None, 0.5),
    "2 on 1, 1000:1": (1, [busy(10000), busy(10)], 10, None, 0.5),
    "3 on 1, 10:5:1": (1, [busy(1000), busy(500), busy(100)], 5, 0.02, None),
    "8 on 1, equal": (1, [busy(100)] * 8, 5, 0.02, None),
    "3:1 beside idle": (1, [busy(300), busy(100), IDLE], 5, 0.02, None),
    "3:1 beside 10 %": (1, [busy(300), busy(100), part_time(100, 10)], 5, 0.03, None),
    "2 on 2, 3:1": (2, [busy(300), busy(100)], 5, 0.02, None),
    "3 on 2, 10:5:1": (2, [busy(1000), busy(500), busy(100)], 5, 0.02, None),
    "8 on 2, equal": (2, [busy(100)] * 8, 5, 0.02, None),
    "SMP 2 on 2, 3:1": (2, [busy(300, 2), busy(100, 2)], 5, 0.02, None),
    "SMP 2 on 1, 3:1": (1, [busy(300, 2), busy(100, 2)], 5, 0.02, None),
}


def max_min(guests, cpus):
    """CPUs that each guest should get: shares weigh, nobody gets more than it wants."""
    left, got, hungry = float(cpus), [0.0] * len(guests), list(range(len(guests)))
    while hungry and left > 1e-9:
        weight = sum(guests[i]["share"] for i in hungry)
        full = [i for i in hungry if guests[i]["wants"] <= left * guests[i]["share"] / weight]
        if not full:
            for i in hungry:
                got[i] = left * guests[i]["share"] / weight
            break
        for i in full:
            got[i] = guests[i]["wants"]
            left -= got[i]
        hungry = [i for i in hungry if i not in full]
    return got


class Bench:
    def __init__(self, options):
        self.options = options
        self.missed = 0

    def lab(self, cpus, guests):
        text = f'name: sched\nhost: {{cpus: "0-{cpus - 1}", sched: {self.options.sched}}}\nguests:\n'
        for i, g in enumerate(guests):
            text += (f"  g{i}: {{image: {g.get('image', 'spin')}, memory: 16M, share: {g['share']}, vcpus: {g['vcpus']}, "
                     f"cap: {g.get('cap', 0)}, append: \"rate=0 quiet {g.get('append', '')}\"}}\n")
        return Instance(text, self.options.accel)

    def tell(self, name, good, text):
        self.missed += not good
        print(f"{name:18} {text}  {'ok' if good else 'MISSED'}", flush=True)

    def work(self, instance, guests):
        """Units of work that each guest has done; it must be paused."""
        done = []
        for i, g in enumerate(guests):
            name = instance.file(f"mem{i}")
            if os.path.exists(name):
                os.unlink(name)
            instance.ask("mem-dump", "--file", name, f"g{i}", hex(COUNTERS), str(64 * g["vcpus"]))
            with open(name, "rb") as f:
                page = f.read()
            done.append(sum(struct.unpack_from("<Q", page, 64 * cpu)[0] for cpu in range(g["vcpus"])))
        return done

    def ready(self, instance, guests):
        instance.until(lambda: all(vm["state"] == "running" for vm in instance.stats().values()), 30, "all run")
        time.sleep(SETTLE_S)

    def measure(self, instance, guests, seconds):
        """CPU seconds and units of work of each guest, and how long it took."""
        names = [f"g{i}" for i in range(len(guests))]
        seen = []
        for last in (False, True):
            instance.ask("pause", *names)
            now = time.monotonic()
            time.sleep(SAMPLE_S)
            stats = instance.stats()
            seen.append((now, [stats[n]["cpu"]["seconds"] for n in names], self.work(instance, guests)))
            if not last:
                instance.ask("resume", *names)
                start = time.monotonic()
                time.sleep(seconds)
        cpu, work = ([b - a for a, b in zip(seen[0][k], seen[1][k])] for k in (1, 2))
        return cpu, work, seen[1][0] - start

    def split(self, name):
        cpus, guests, seconds, relative, points = CASES[name]
        seconds = self.options.seconds or seconds
        should = max_min(guests, cpus)
        with self.lab(cpus, guests) as instance:
            self.ready(instance, guests)
            cpu, work, took = self.measure(instance, guests, seconds)
        judged = [i for i, g in enumerate(guests) if g["wants"] >= 1]
        off = []
        for got in (cpu, work):
            total, expected = sum(got[i] for i in judged), sum(should[i] for i in judged)
            parts = [(got[i] / total, should[i] / expected) for i in judged]
            off.append(max(abs(g - s) * (100 if points else 1 / s) for g, s in parts))
        kept = sum(cpu) / took / min(cpus, sum(g["wants"] for g in guests))
        bound = points or relative
        figures = " ".join(f"{c / sum(cpu) * 100:.2f}" for c in cpu)
        unit, scale = (" points", 1) if points else (" %", 100)
        self.tell(name, max(off) <= bound, f"{figures} %  off {off[0] * scale:.2f}, by the guests {off[1] * scale:.2f}{unit} "
                  f"(bar {bound * scale:g})  kept busy {kept * 100:.1f} %")

    def cap(self, percent, vcpus):
        guests = [{"share": 100, "vcpus": vcpus, "cap": percent}]
        with self.lab(2, guests) as instance:
            self.ready(instance, guests)
            cpu, _, took = self.measure(instance, guests, self.options.seconds or 5)
        got = cpu[0] / took * 100
        self.tell(f"cap {percent} %", got <= percent * 1.02, f"got {got:.2f} % (bar {percent * 1.02:.2f})")

    def adversary(self):
        guests = [busy(100), {"share": 100, "vcpus": 1, "append": "sleepy=5"}]
        with self.lab(1, guests) as instance:
            self.ready(instance, guests)
            cpu, _, _ = self.measure(instance, guests, self.options.seconds or 5)
        part = cpu[1] / sum(cpu) * 100
        self.tell("sleeps at ticks", part <= 51, f"got {part:.2f} % of the CPU (bar 51)")

    def change(self):
        """From 1:3 to 3:1, and what came of it from a tenth of a second later on."""
        guests = [busy(100), busy(300)]
        with self.lab(1, guests) as instance:
            self.ready(instance, guests)
            instance.ask("share", "g0", "300")
            instance.ask("share", "g1", "100")
            time.sleep(0.1)
            _, work, _ = self.measure(instance, guests, 0.4)
        part = work[0] / sum(work)
        self.tell("change 1:3 to 3:1", part >= 0.25 + 0.9 * 0.5, f"{part * 100:.1f} % from 0.1 s to 0.5 s later (bar 70)")

    def idle(self):
        guests = [IDLE] * 50
        with self.lab(1, guests) as instance:
            self.ready(instance, guests)
            before = instance.cpu_seconds()
            time.sleep(self.options.seconds or 5)
            used = (instance.cpu_seconds() - before) / (self.options.seconds or 5) / len(guests) * 100
        self.tell("50 idle guests", used <= 0.3, f"{used:.3f} % of a CPU each, all of the process (bar 0.3)")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].replace("usage: ", ""))
    parser.add_argument("--accel", choices=("soft", "kvm"), default="soft")
    parser.add_argument("--sched", choices=("slots", "cgroup"), default="slots")
    parser.add_argument("--seconds", type=int)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    bench = Bench(options)
    others = {"cap 30": lambda: bench.cap(30, 1), "cap 5": lambda: bench.cap(5, 1), "cap 150": lambda: bench.cap(150, 2),
              "adversary": bench.adversary, "change": bench.change, "idle": bench.idle}

    os.chdir(TREE)
    for name in options.cases or [*CASES, *others]:
        if name in others:
            others[name]()
        elif name not in CASES:
            parser.error(f"there is no case '{name}'; there are: {', '.join([*CASES, *others])}")
        elif CASES[name][0] <= len(os.sched_getaffinity(0)):
            bench.split(name)
        else:
            print(f"{name:18} skipped: this host has {len(os.sched_getaffinity(0))} CPU")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
