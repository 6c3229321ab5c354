# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of `spin` guests, to see how the processor is divided among them.

What they got is taken three times: from Ruche's figures, from the guests' own counters of work (which
know nothing of Ruche) and from the kernel's clocks of their threads (which know nothing of either).
"""
import os
import time

from instance import Instance

COUNTERS = 0x101000         # guests/lib/progress.h: one of 64 bytes for each CPU
SAMPLE_S = 1.1              # `stats` is a sample of the last second
EACH_CASE_S = 60            # until guests run and nothing of their start is left


def guest(share=100, vcpus=1, append="", **keys):
    """`wants` is what it could use, in CPUs."""
    return {"image": "spin", "memory": "16M", "share": share, "vcpus": vcpus, "wants": float(vcpus),
            "append": f"rate=0 quiet {append}".strip(), **keys}


def part_time(share, percent):
    return guest(share, append=f"duty={percent}", wants=percent / 100)


IDLE = guest(image="hello", append="", wants=0.0)


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


def parts(got):
    total = sum(got) or 1
    return [g / total for g in got]


def minus(b, a):
    return [y - x for x, y in zip(a, b)]


def idle_seconds(cpus):
    """How long each of the host's first `cpus` CPUs has had nothing to do since it started, summed."""
    with open("/proc/stat", encoding="ascii") as f:
        lines = {line.split()[0]: line.split()[1:] for line in f if line.startswith("cpu")}
    return sum(int(lines[f"cpu{c}"][3]) + int(lines[f"cpu{c}"][4]) for c in range(cpus)) / os.sysconf("SC_CLK_TCK")


class Measured:
    """Of an interval: lists by guest, `idle` the part of the lab's CPUs that had nothing to do."""

    def __init__(self, cpu, work, kernel, seconds, idle):
        self.cpu, self.work, self.kernel, self.seconds, self.idle = cpu, work, kernel, seconds, idle


class SpinLab(Instance):
    """guests: a list of what guest() makes; they are called g0, g1 ..."""

    def __init__(self, guests, cpus=1, accel=None, sched="auto"):
        self.guests, self.cpus = guests, cpus
        self.names = [f"g{i}" for i in range(len(guests))]
        # Who runs alone while the others are paused one by one has all: it must be who has most anyway.
        self.by_share = sorted(self.names, key=lambda n: guests[int(n[1:])]["share"])
        text = f'name: division\nhost: {{cpus: "0-{cpus - 1}", sched: {sched}}}\nguests:\n'
        for name, g in zip(self.names, guests):
            keys = ", ".join(f'{k}: "{v}"' for k, v in g.items() if k != "wants")
            text += f"  {name}: {{{keys}}}\n"
        super().__init__(text, accel or os.environ.get("ACCEL", "soft"))

    def ready(self, cpu_s=0.2, settle_s=1.0):
        """All run, and those that want to have been running for a while."""
        busy = [n for n, g in zip(self.names, self.guests) if g["wants"] >= 1 and g["share"] >= 100]
        self.until(lambda: all(vm["state"] == "running" for vm in self.stats().values()), EACH_CASE_S, "all run")
        self.until(lambda: sum(self.thread_seconds().get(n, 0) for n in busy) >= cpu_s * len(busy) ** 0.5,
                   EACH_CASE_S, "guests work")
        time.sleep(settle_s)

    def thread_seconds(self):
        """CPU time of the threads of each guest, by the kernel; others by their own name."""
        used = {}
        root = f"/proc/{self.process.pid}/task"
        for task in os.listdir(root):
            try:
                with open(f"{root}/{task}/comm", encoding="ascii") as f:
                    name = f.read().strip().partition("/")[0]
                with open(f"{root}/{task}/schedstat", encoding="ascii") as f:
                    used[name] = used.get(name, 0) + int(f.read().split()[0]) / 1e9
            except OSError:
                pass        # it has ended
        return used

    def kernel(self):
        used = self.thread_seconds()
        return [used.get(n, 0.0) for n in self.names]

    def work(self):
        """Units of work that each guest has done; those of other images none. They must be paused."""
        done = []
        for name, g in zip(self.names, self.guests):
            page = bytes.fromhex(self.ask("mem-dump", name, hex(COUNTERS), str(64 * g["vcpus"]), as_json=True)["bytes"])
            counts = [int.from_bytes(page[64 * c:64 * c + 8], "little") for c in range(g["vcpus"])]
            done.append(sum(counts) if g["image"] == "spin" else 0)
        return done

    def read(self):
        """Pauses the lab, for nothing may run while three meters are read."""
        for name in self.by_share:
            self.ask("pause", name)
        stopped = time.monotonic(), idle_seconds(self.cpus)
        time.sleep(SAMPLE_S)
        stats = self.stats()
        return [stats[n]["cpu"]["seconds"] for n in self.names], self.work(), self.kernel(), stopped

    def until_used(self, cpu_s, most_s):
        """Sleeps until guests have had `cpu_s` of the processor, `most_s` seconds at most. A busy host gives it
        later, and nothing is told by slices that nobody got."""
        start, before = time.monotonic(), sum(self.kernel())
        while time.monotonic() - start < most_s and sum(self.kernel()) - before < cpu_s:
            time.sleep(0.01)

    def measure(self, seconds, most_s=None):
        """What they get in `seconds`, in more (up to `most_s`) if the host gives them less than that."""
        first = self.read()
        for name in reversed(self.by_share):
            self.ask("resume", name)
        start, idle = time.monotonic(), idle_seconds(self.cpus)
        time.sleep(seconds)
        if most_s:
            wanted = min(self.cpus, sum(g["wants"] for g in self.guests)) * seconds
            self.until_used(wanted - sum(minus(self.kernel(), first[2])), most_s - seconds)
        last = self.read()
        took = last[3][0] - start
        return Measured(*(minus(last[k], first[k]) for k in range(3)), took, (last[3][1] - idle) / took / self.cpus)

    def part_after(self, which, delay_s, cpu_s):
        """The part that guest number `which` has of the next CPU seconds, after a delay, by the kernel."""
        time.sleep(delay_s)
        before = self.kernel()
        self.until_used(cpu_s, 20 * cpu_s)
        return parts(minus(self.kernel(), before))[which]
