#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How exactly the processor is divided, against what is promised.

usage: scripts/bench sched [--accel soft|kvm] [--icount] [--sched slots|cgroup] [--quick] [CASE]...

Each case is a lab of `spin` guests. What a guest got is taken three times, while they run: CPU
seconds from Ruche, units of work from the guest's own progress page, and CPU seconds of its threads
from the kernel. What it should get is worked out here: weighted max-min over
what each guest can use. The columns:
  got        each guest's part of what all got, in percent
  off        of the worst guest: by Ruche's figures, by the guests' own, by the kernel's (% of its part,
             or points), and what was promised
  agree      the most by which two of the meters differ about a guest's part, in points (bar 0.5)
  asked      where some want only a part: the least that one of them got of what it asked (bar 90 %)
  of CPUs    what the guests got of the lab's CPUs, and how long these had nothing to do although
             somebody wanted to run (bar 1 %)
On a host that is busy with other things the parts say something if a case got enough CPU time: it is
given up to four times as long. Where only the guests' counters miss, equal guests, two pinned to each
CPU, tell whether a CPU second is worth as much to each on this host just then (another machine's work on
the same core takes it from them unequally). The case is tried again, three times at most; if it
misses each time and the host was uneven at one, it is judged by time alone. `--icount` has a clock
that nothing disturbs.

Exit status: 0 all promises held, 1 one did not.
"""
import argparse
import os
import pty
import select
import statistics
import sys
import tempfile
import time

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TREE, "tests/lib"))
from spinlab import ALIKE, IDLE, SpinLab, guest, max_min, part_time, parts, work_differs  # noqa: E402

AGREE = 0.5
TRIES = 4
GROUPS = "/sys/fs/cgroup"

# name: host CPUs, guests, seconds, how far off a guest may be: of its part, or in points
CASES = {
    "2 on 1, 1:1": (1, [guest(100), guest(100)], 5, 0.02, None),
    "2 on 1, 3:1": (1, [guest(300), guest(100)], 5, 0.02, None),
    "2 on 1, 20:1": (1, [guest(2000), guest(100)], 5, 0.02, None),
    "2 on 1, 100:1": (1, [guest(10000), guest(100)], 10, None, 0.5),
    "2 on 1, 1000:1": (1, [guest(10000), guest(10)], 10, None, 0.5),
    "3 on 1, 10:5:1": (1, [guest(1000), guest(500), guest(100)], 5, 0.02, None),
    "8 on 1, equal": (1, [guest(100)] * 8, 5, 0.02, None),
    "3:1 beside idle": (1, [guest(300), guest(100), IDLE], 5, 0.02, None),
    "3:1 beside 10 %": (1, [guest(300), guest(100), part_time(400, 10)], 5, 0.03, None),
    "3:1 beside 50 %": (1, [guest(300), guest(100), part_time(1200, 50)], 5, 0.03, None),
    "2 on 2, 3:1": (2, [guest(300), guest(100)], 5, 0.02, None),
    "3 on 2, 10:5:1": (2, [guest(1000), guest(500), guest(100)], 5, 0.02, None),
    "8 on 2, equal": (2, [guest(100)] * 8, 5, 0.02, None),
    "8 on 2, mixed": (2, [guest(100), guest(200), guest(300), guest(400), part_time(400, 10), part_time(400, 10),
                          IDLE, IDLE], 5, 0.03, None),
    "SMP 2 on 2, 3:1": (2, [guest(300, 2), guest(100, 2)], 5, 0.02, None),
    "SMP 2 on 1, 3:1": (1, [guest(300, 2), guest(100, 2)], 5, 0.02, None),
    "SMP 4 and 1 on 2": (2, [guest(100, 4), guest(100, 1)], 5, 0.02, None),
}


def enter_group():
    """Root on a bare machine: a group as a service manager would delegate it. Others have one, or have not."""
    try:
        with open(f"{GROUPS}/cgroup.subtree_control", "w", encoding="ascii") as f:
            f.write("+cpu")
        os.makedirs(f"{GROUPS}/bench", exist_ok=True)
        with open(f"{GROUPS}/bench/cgroup.procs", "w", encoding="ascii") as f:
            f.write(str(os.getpid()))
    except OSError:
        pass


class Console:
    """The full-screen console of a lab, on a terminal of ours."""

    def __init__(self, lab, accel):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", LINES="40", COLUMNS="120")
            os.execv("./ruche", ["./ruche", "--accel", accel, lab])
        self.pid = pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, 15)
        os.close(self.fd)
        os.waitpid(self.pid, 0)

    def quiet(self, most_s):
        """Reads until nothing comes for 50 ms."""
        end = time.monotonic() + most_s
        while time.monotonic() < end and select.select([self.fd], [], [], 0.05)[0]:
            os.read(self.fd, 65536)

    def key_ms(self, key):
        self.quiet(1)
        start = time.monotonic()
        os.write(self.fd, key)
        select.select([self.fd], [], [], 2)
        return (time.monotonic() - start) * 1000


class Bench:
    def __init__(self, options):
        self.options = options
        self.missed = 0

    def lab(self, cpus, guests):
        return SpinLab(guests, cpus, self.options.accel, self.options.sched)

    def tell(self, name, good, text):
        self.missed += not good
        print(f"{name:17} {text}  {'ok' if good else 'MISSED'}", flush=True)

    def seconds(self, full):
        return full / 2.5 if self.options.quick else full

    def divide(self, name):
        """Whether a case keeps what is promised, whether it does but for the guests' counters, and its line."""
        cpus, guests, seconds, relative, points = CASES[name]
        should = max_min(guests, cpus)
        with self.lab(cpus, guests) as lab:
            lab.ready()
            m = lab.measure(self.seconds(seconds), 4 * self.seconds(seconds))
        judged = [i for i, g in enumerate(guests) if g["wants"] >= 1]
        expected = parts([should[i] for i in judged])
        got = [parts([meter[i] for i in judged]) for meter in (m.cpu, m.work, m.kernel)]
        off = [max(abs(g - s) * 100 / (1 if points else s) for g, s in zip(meter, expected)) for meter in got]
        agree = max(max(three) - min(three) for three in zip(*got)) * 100
        served = [m.kernel[i] / (g["wants"] * m.seconds) for i, g in enumerate(guests) if 0 < g["wants"] < 1] or [1]
        bar, unit = (points, "pt") if points else (relative * 100, "%")
        ours = max(abs(c - k) for c, k in zip(got[0], got[2])) * 100
        in_time = max(off[0], off[2]) <= bar and ours <= AGREE and m.idle <= 0.01 and min(served) >= 0.9
        return (in_time and off[1] <= bar and agree <= AGREE, in_time,
                f"{' '.join(f'{p * 100:.2f}' for p in parts(m.kernel))}"
                f" | off {off[0]:.2f} {off[1]:.2f} {off[2]:.2f} of {bar:g} {unit} | agree {agree:.2f}"
                f"{f' | asked {min(served) * 100:.0f} %' if served != [1] else ''}"
                f" | of CPUs {sum(m.kernel) / m.seconds / cpus * 100:.1f} %, idle {m.idle * 100:.1f} %")

    def split(self, name):
        tries, differ = 0, 0
        good, in_time = False, True
        while not good and in_time and tries < TRIES:
            tries += 1
            good, in_time, text = self.divide(name)
            if in_time and not good:
                differ = max(differ, work_differs(CASES[name][0], self.options.accel, self.options.sched))
        uneven = in_time and not good and differ > ALIKE
        self.tell(name, good or uneven, text + (f" | try {tries}" if tries > 1 else "") + (
            f" | the guests' counters are not judged: equal guests' differ by {differ * 100:.1f} %" if uneven else ""))

    def cap(self, percent, vcpus):
        with self.lab(2 if vcpus > 1 else 1, [guest(vcpus=vcpus, cap=percent)]) as lab:
            lab.ready()
            start, before, ours = time.monotonic(), lab.kernel()[0], []
            while len(ours) < self.seconds(5):
                time.sleep(1)
                ours.append(lab.stats()["g0"]["cpu"]["got"] * 100)
            kernel = (lab.kernel()[0] - before) / (time.monotonic() - start) * 100
        ours = statistics.mean(ours)
        self.tell(f"cap {percent} %", percent * 0.98 <= kernel <= percent * 1.02 and abs(ours - kernel) <= AGREE,
                  f"got {ours:.2f} %, by the kernel {kernel:.2f} % (bar 2 % of it; less only if the host is busy)")

    def adversary(self):
        with self.lab(1, [guest(), guest(append="sleepy=5")]) as lab:
            lab.ready()
            m = lab.measure(self.seconds(5), 4 * self.seconds(5))
        part = [parts(meter)[1] * 100 for meter in (m.cpu, m.work, m.kernel)]
        self.tell("sleeps at ticks", max(part) <= 51, "got " + " ".join(f"{p:.2f}" for p in part) + " % of the CPU (bar 51)")

    def change(self):
        """There and back again: what the guest has that was given more, from a tenth of a second later on."""
        seen = []
        with self.lab(1, [guest(100), guest(300)]) as lab:
            lab.ready()
            for turn in range(6):
                lab.ask("share", "g1" if turn % 2 == 0 else "g0", "100")
                lab.ask("share", "g0" if turn % 2 == 0 else "g1", "300")
                seen.append(lab.part_after(turn % 2, 0.1, 0.3) * 100)
                lab.until_used(0.5, 5)
        self.tell("change 1:3 <> 3:1", min(seen) >= 70 and statistics.median(seen) >= 74,
                  "then has " + " ".join(f"{s:.1f}" for s in seen) + " % of the next 0.3 CPU seconds (bar 70, median 74)")

    def idle(self):
        with self.lab(1, [IDLE] * 50) as lab:
            lab.ready(settle_s=2)
            before, start = lab.cpu_seconds(), time.monotonic()
            time.sleep(self.seconds(10))
            used = (lab.cpu_seconds() - before) / (time.monotonic() - start) / 50 * 100
            lab.ask("expect", "g49", "> $", "30")
            start = time.monotonic()
            lab.ask("send", "--fresh", "g49", "echo there-0815")
            lab.ask("expect", "g49", "^there-0815", "30")
            answer = (time.monotonic() - start) * 1000
        self.tell("50 idle guests", used <= 0.3, f"{used:.3f} % of a CPU each, all of the process (bar 0.3); one of them "
                  f"answers a line in {answer:.1f} ms")

    def console(self):
        """Keys in the full-screen console, while fifty idle guests and one that is busy share a CPU with it."""
        with tempfile.TemporaryDirectory() as work:
            name = os.path.join(work, "lab.yaml")
            with open(name, "w", encoding="ascii") as f:
                f.write("name: many\nhost: {cpus: 0}\ndefaults: {memory: 16M}\nguests:\n"
                        "  h: {image: hello, count: 50}\n  busy: {image: spin, append: quiet}\n")
            os.sched_setaffinity(0, {0})
            with Console(name, self.options.accel) as console:
                time.sleep(4)
                took = sorted(console.key_ms(b"j" if n % 40 < 20 else b"k") for n in range(40))
            os.sched_setaffinity(0, range(os.cpu_count()))
        self.tell("console beside 51", statistics.median(took) <= 50,
                  f"a key is answered in {statistics.median(took):.1f} ms, worst of 40 {took[-1]:.1f} ms (bar 50, median)")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].replace("usage: ", ""))
    parser.add_argument("--accel", choices=("soft", "kvm"), default="soft")
    parser.add_argument("--sched", choices=("slots", "cgroup"), default="slots")
    parser.add_argument("--quick", action="store_true", help="two fifths of the time")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    bench = Bench(options)
    others = {"cap 30": lambda: bench.cap(30, 1), "cap 5": lambda: bench.cap(5, 1), "cap 150": lambda: bench.cap(150, 2),
              "adversary": bench.adversary, "change": bench.change, "idle": bench.idle, "console": bench.console}

    os.chdir(TREE)
    if options.sched == "cgroup":
        enter_group()
    have = len(os.sched_getaffinity(0))
    print(f"engine {options.accel}, divided by {options.sched}, {have} CPUs, load {os.getloadavg()[0]:.1f}")
    for name in options.cases or [*CASES, *others]:
        if name not in others and name not in CASES:
            parser.error(f"there is no case '{name}'; there are: {', '.join([*CASES, *others])}")
        if have < (CASES[name][0] if name in CASES else 2 if name == "cap 150" else 1):
            print(f"{name:17} skipped: this host has {have} CPU")
        elif name in others:
            others[name]()
        else:
            bench.split(name)
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
