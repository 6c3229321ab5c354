# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of `spin` guests, to see how the processor is divided among them.

What they got is taken three times: from Ruche's figures, from the guests' own counters of work (which
know nothing of Ruche) and from the kernel's clocks of their threads (which know nothing of either).
"""
import json
import os
import time

from instance import Instance

PROGRESS, COUNTERS = 0x100000, 0x101000     # guests/lib/progress.h: one of 64 bytes for each CPU
MIB = 1 << 20
ALIKE = 0.01                                # work_differs on a host that is even
EACH_CASE_S = 60                            # until guests run and nothing of their start is left


def guest(share=100, vcpus=1, append="", work="steady", **keys):
    """`wants` is what it could use, in CPUs. `work`: what a loop is, see guests/spin; "": like a program's."""
    return {"image": "spin", "share": share, "vcpus": vcpus, "wants": float(vcpus),
            "append": f"rate=0 quiet {work} {append}".strip(), **keys}


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


def work_differs(cpus=1, accel=None, sched="slots"):
    """By how much the work of a CPU second differs just now between equal guests, two pinned to each CPU, in parts of
    the most. Another machine's work on the same core takes it from them unequally."""
    with SpinLab([guest(pin=str(c)) for c in range(cpus) for _ in range(2)], cpus, accel, sched) as lab:
        lab.ready()
        m = lab.measure(2)
    speed = [work / cpu for work, cpu in zip(m.work, m.kernel)]
    return 1 - min(speed) / max(speed)


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
    """guests: a list of what guest() makes; they are called g0, g1 ... `more`: lines for the lab's file."""

    def __init__(self, guests, cpus=1, accel=None, sched="auto", more="", told=True):
        """told: the lab's file tells which CPUs; else it has all that the process may use, which are `cpus`."""
        self.guests, self.cpus = guests, cpus
        self.names = [f"g{i}" for i in range(len(guests))]
        self.pages, self.memory = {}, None
        of = f'cpus: "0-{cpus - 1}", ' if told else ""
        text = f'name: division\nhost: {{{of}sched: {sched}}}\n{more}guests:\n'
        for i, (name, g) in enumerate(zip(self.names, guests)):
            keys = ", ".join(f"{k}: {json.dumps(v)}" for k, v in {"memory": f"{16 + i}M", **g}.items() if k != "wants")
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
                name = self.comm(task).partition("/")[0]
                with open(f"{root}/{task}/schedstat", encoding="ascii") as f:
                    used[name] = used.get(name, 0) + int(f.read().split()[0]) / 1e9
            except OSError:
                pass        # it has ended
        return used

    def comm(self, task):
        with open(f"/proc/{self.process.pid}/task/{task}/comm", encoding="ascii") as f:
            return f.read().strip()

    def kernel(self):
        used = self.thread_seconds()
        return [used.get(n, 0.0) for n in self.names]

    def find_pages(self):
        """Where the progress pages of the guests are in the process; each guest has a size of its own."""
        where = {}
        with open(f"/proc/{self.process.pid}/maps", encoding="ascii") as f:
            for begin, end in (tuple(int(x, 16) for x in line.split()[0].split("-")) for line in f):
                i = (end - begin) // MIB - 16
                if (end - begin) % MIB == 0 and 0 <= i < len(self.guests) and self.peek(begin + PROGRESS, 8) == b"RUCHSPIN":
                    where[i] = begin
        self.pages = where

    def peek(self, address, length):
        try:
            return os.pread(self.memory, length, address)
        except OSError:
            return b""

    def work(self):
        """Units of work that each guest has done, read from its memory while it runs; other images do none."""
        if self.memory is None:
            self.memory = os.open(f"/proc/{self.process.pid}/mem", os.O_RDONLY)
        if any(g["image"] == "spin" and i not in self.pages for i, g in enumerate(self.guests)):
            self.find_pages()   # a guest has its page only some time after its start
        done = []
        for i, g in enumerate(self.guests):
            page = self.peek(self.pages[i] + COUNTERS, 64 * g["vcpus"]) if i in self.pages else b""
            done.append(sum(int.from_bytes(page[at:at + 8], "little") for at in range(0, len(page), 64)))
        return done

    def close(self):
        if self.memory is not None:
            os.close(self.memory)
        super().close()

    def ours(self):
        stats = self.stats()
        return [stats[n]["cpu"]["seconds"] for n in self.names]

    def read(self, of=slice(None)):
        """All meters at once: just after Ruche has taken its sample of the last second, `of` all or of some (one that is
        started again is looked at then, too)."""
        before = ours = self.ours()
        end = time.monotonic() + 5
        while ours[of] == before[of] and time.monotonic() < end:
            time.sleep(0.004)
            ours = self.ours()
        return ours, self.work(), self.kernel(), time.monotonic(), idle_seconds(self.cpus)

    def until_used(self, cpu_s, most_s):
        """Sleeps until guests have had `cpu_s` of the processor, `most_s` seconds at most. A busy host gives it
        later, and nothing is told by slices that nobody got."""
        start, before = time.monotonic(), sum(self.kernel())
        while time.monotonic() - start < most_s and (left := cpu_s - sum(self.kernel()) + before) > 0:
            time.sleep(max(0.01, left / 2 / self.cpus))    # each look takes CPU time from them, on a slow machine much

    def measure(self, seconds, most_s=None):
        """What they get in `seconds`, in more (up to `most_s`) if the host gives them less than that."""
        first = self.read()
        time.sleep(seconds - 0.5)
        if most_s:
            wanted = min(self.cpus, sum(g["wants"] for g in self.guests)) * (seconds - 0.5)
            self.until_used(wanted - sum(minus(self.kernel(), first[2])), most_s - seconds)
        last = self.read()
        took = last[3] - first[3]
        return Measured(*(minus(last[k], first[k]) for k in range(3)), took, (last[4] - first[4]) / took / self.cpus)

    def part_after(self, which, delay_s, cpu_s):
        """The part that guest number `which` has of the next CPU seconds, after a delay, by the kernel."""
        time.sleep(delay_s)
        before = self.kernel()
        self.until_used(cpu_s, 20 * cpu_s)
        return parts(minus(self.kernel(), before))[which]
