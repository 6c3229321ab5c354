#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 300
"""No guest keeps `pause` waiting: each loop of storms.S, paused at many moments.

Measured is the CPU time that the process uses between question and answer, so that what other
processes of a busy host take away does not count; on an idle one it is no less than the wall time."""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from instance import Instance, Refused  # noqa: E402

LIMIT = 0.050
ROUNDS = 9
WITHOUT_WORK = ("cli_hlt",)    # all others must be seen to run
STORMS = re.findall(r"^#define is_(\w+) \d+$", open(os.path.join(HERE, "storms.S"), encoding="ascii").read(), re.M)


def assemble(storm, where):
    image = os.path.join(where, storm + ".bin")
    subprocess.run(
        ["gcc", "-m32", "-nostdlib", "-static", f"-DSTORM={storm}",
         "-Wl,-Ttext=0x7c00,--oformat=binary,-m,elf_i386,--build-id=none", "-o", image,
         os.path.join(HERE, "storms.S")], check=True)
    return image


def cpu_seconds(instance):
    """CPU time of the whole process, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~instance.process.pid << 3) | 2)


def measure(instance, storm):
    """What a pause takes, at several moments of the loop: wall time, and CPU time of the process."""
    wall, cpu = [], []
    for i in range(ROUNDS):
        time.sleep(0.02 + 0.013 * i)
        start, used = time.monotonic(), cpu_seconds(instance)
        instance.ask("pause", storm)
        wall.append(time.monotonic() - start)
        cpu.append(cpu_seconds(instance) - used)
        instance.ask("resume", storm)
    return wall, cpu


def runs(instance, storm, since):
    """Waits until the guest has used more CPU time than `since` seconds."""
    if storm not in WITHOUT_WORK:
        instance.until(lambda: instance.stats()[storm]["cpu"]["seconds"] > since, 20, f"{storm} to work")


def run(storm, image):
    with Instance(f"name: storms\ndefaults: {{memory: 16M}}\nguests:\n  {storm}: {{kernel: {image}}}\n") as instance:
        instance.until(lambda: instance.stats()[storm]["state"] == "running", 20, "a running guest")
        runs(instance, storm, 0.05)
        wall, cpu = measure(instance, storm)
        end = instance.stats()[storm]
        runs(instance, storm, end["cpu"]["seconds"])
    middle = statistics.median(cpu)
    good = middle < LIMIT and end["state"] == "running"
    print(f"{'ok' if good else 'not ok'} {storm}_does_not_delay_pause")
    print(f"     CPU time: median {middle * 1e3:.1f} ms, worst {max(cpu) * 1e3:.1f} ms; wall: median "
          f"{statistics.median(wall) * 1e3:.1f} ms, worst {max(wall) * 1e3:.1f} ms; {end['state']}", flush=True)
    return good


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as where:
        for storm in sys.argv[1:] or STORMS:
            try:
                failures += not run(storm, assemble(storm, where))
            except Refused as e:
                failures += 1
                print(f"not ok {storm}_does_not_delay_pause\n     {e}", flush=True)
    return failures > 0


sys.exit(main())
