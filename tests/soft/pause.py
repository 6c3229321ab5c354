#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 170
"""A paused Debian's clock stands still on the software CPU: with two vCPUs, for PAUSE_S seconds (60 with
RUCHE_LONG=1 in the environment), its uptime moves by less than 50 ms, and its kernel reports nothing.

As in tests/kvm/clocks.c, a clock read over the console is known to lie in an interval; the case fails if
the clock has moved by more than the bound wherever in these intervals the truth lies, with RUCHE_LONG=1 also
if they are so wide that it may have.
"""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from cases import check, exit_code  # noqa: E402
from instance import Instance  # noqa: E402

LAB = """
name: pause
guests:
  deb: {kernel: BUILD/guests/vmlinuz, initrd: INITRD, append: console=ttyS0 quiet, memory: 128M, vcpus: 2}
"""
LONG = "RUCHE_LONG" in os.environ
PAUSE_S = 60 if LONG else 10
BOUND_S, READINGS = 0.050, 24
BUILD = os.path.abspath("build")
INITRD = "build/guests/initrd.gz", "build/guestclock/cpio.gz"  # the kernel unpacks one after the other


def typed(i, line, regex):
    i.ask("send", "--fresh", "deb", line)
    return i.ask("expect", "-p", "deb", regex, "25").strip()


def distance(i):
    """The least and the most that the guest's clock is ahead of the host's."""
    least, most = -1e18, 1e18
    typed(i, "guestclock", "^clock: ready")
    for _ in range(READINGS):
        begin = time.monotonic()
        up = int(typed(i, "?", "^<[0-9]+>").strip("<>")) / 1e9
        least = max(least, up - time.monotonic())
        most = min(most, up - begin)
    typed(i, "q", "/# $")
    return least, most


def timed(i, command):
    begin = time.monotonic()
    i.ask(command, "deb")
    return begin, time.monotonic()


def main():
    initrd = tempfile.NamedTemporaryFile(prefix="guestclock.")
    for path in INITRD:
        with open(path, "rb") as part:
            initrd.write(part.read())
    initrd.flush()
    with initrd, Instance(LAB.replace("INITRD", initrd.name).replace("BUILD", BUILD)) as i:
        i.socket.settimeout(120)
        i.ask("expect", "deb", "/# $", "100")
        before = distance(i)
        pause = timed(i, "pause")
        time.sleep(PAUSE_S)
        resume = timed(i, "resume")
        after = distance(i)
        least = after[0] - before[1] + resume[0] - pause[1]
        most = after[1] - before[0] + resume[1] - pause[0]
        kept = least >= -BOUND_S and most <= BOUND_S if LONG else least <= BOUND_S and most >= -BOUND_S
        check(kept, "soft_debian_clock_stands_still_in_a_pause",
              f"paused {resume[0] - pause[1]:.3f} s, meanwhile its clock has moved between {least * 1e3:.1f} and "
              f"{most * 1e3:.1f} ms")
        said = typed(i, "dmesg | grep -ciE 'soft lockup|rcu.*stall|hung_task|blocked for more|"
                        "clocksource.*(skew|unstable)|time.*backwards'", "^[0-9]+")
        check(said == "0", "soft_debian_complains_of_nothing_after_a_pause", f"{said} complaints")
    return exit_code()


sys.exit(main())
