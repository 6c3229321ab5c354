#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 170
"""A paused Debian's clock stands still on the software CPU: with two vCPUs, for PAUSE_S seconds (60 with
RUCHE_LONG=1 in the environment), its uptime moves by less than 50 ms, and its kernel reports nothing.

As in tests/kvm/clocks.c, a clock read over the console is known to lie in an interval; the case fails only
if the clock has moved by more than the bound wherever in these intervals the truth lies.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from cases import check, exit_code  # noqa: E402
from instance import Instance  # noqa: E402

LAB = """
name: pause
guests:
  deb: {image: debian, memory: 128M, vcpus: 2, append: quiet}
"""
PAUSE_S = 60 if os.environ.get("RUCHE_LONG") else 10
BOUND_S, STEP_S, READINGS = 0.050, 0.010, 6


def typed(i, line, regex):
    i.ask("send", "--fresh", "deb", line)
    return i.ask("expect", "-p", "deb", regex, "25").strip()


def distance(i):
    """The least and the most that the guest's clock is ahead of the host's."""
    least, most = -1e18, 1e18
    for _ in range(READINGS):
        begin = time.monotonic()
        up = float(typed(i, 'read u r </proc/uptime; echo "<$u>"', "^<[0-9.]+>").strip("<>"))
        least = max(least, up - time.monotonic())
        most = min(most, up + STEP_S - begin)
    return least, most


def timed(i, command):
    begin = time.monotonic()
    i.ask(command, "deb")
    return begin, time.monotonic()


def main():
    with Instance(LAB) as i:
        i.socket.settimeout(120)
        i.ask("expect", "deb", "/# $", "100")
        before = distance(i)
        pause = timed(i, "pause")
        time.sleep(PAUSE_S)
        resume = timed(i, "resume")
        after = distance(i)
        least = after[0] - before[1] + resume[0] - pause[1]
        most = after[1] - before[0] + resume[1] - pause[0]
        check(least <= BOUND_S and most >= -BOUND_S, "soft_debian_clock_stands_still_in_a_pause",
              f"paused {resume[0] - pause[1]:.3f} s, meanwhile its clock has moved between {least * 1e3:.1f} and "
              f"{most * 1e3:.1f} ms")
        said = typed(i, "dmesg | grep -ciE 'soft lockup|rcu.*stall|hung_task|blocked for more|"
                        "clocksource.*(skew|unstable)|time.*backwards'", "^[0-9]+")
        check(said == "0", "soft_debian_complains_of_nothing_after_a_pause", f"{said} complaints")
    return exit_code()


sys.exit(main())
