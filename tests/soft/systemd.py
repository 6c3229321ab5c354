#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 900
"""A whole Debian with systemd on the software CPU: login, no failed unit, power off.

Only with RUCHE_LONG=1 and an image: scripts/guests --disk makes it."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from instance import Instance, Refused  # noqa: E402

DIR = os.path.abspath("build/guests")
LAB = f"""
name: systemd
guests:
  d:
    kernel: {DIR}/vmlinuz
    initrd: {DIR}/initrd.gz
    append: "console=ttyS0 root=/dev/vda"
    memory: 512M
    vcpus: 2
    disks: [{{base: {DIR}/debian.img, overlay: true}}]
"""

def check(name, figure):
    print(f"ok {name}\n     {figure}", flush=True)


def typed(i, text, answer, seconds):
    """Types `text` and waits for `answer`, which its echo does not match."""
    i.ask("send", "d", text + "\\n")
    i.ask("expect", "d", answer, str(seconds))


def test(i):
    begin = time.monotonic()

    def spent():
        return f"{time.monotonic() - begin:.1f} s, {i.cpu_seconds():.1f} s of CPU time"

    i.socket.settimeout(700)    # expect takes as long as the guest does
    i.ask("expect", "d", "login: ", "600")
    check("debian_with_systemd_reaches_login", spent())
    typed(i, "root", r"root@\S*:~# ", 120)
    check("root_logs_in", spent())
    typed(i, "echo state $(systemctl is-system-running --wait) $(systemctl --failed --no-legend | wc -l) units",
          "state running 0 units", 300)
    check("no_unit_has_failed", spent())
    typed(i, "echo reports: $(dmesg | grep -c -e soft.lockup -e detected.stall -e BUG: -e blocked.for)", "reports: 0", 60)
    check("no_lockup_is_reported", spent())
    i.ask("send", "d", "poweroff\\n")
    if i.process.wait(180) != 0:    # nothing runs any more
        raise Refused("the process did not end well")
    print("ok it_powers_off")


def main():
    if not os.environ.get("RUCHE_LONG"):
        print("skip systemd_on_soft - takes minutes; RUCHE_LONG=1 asks for it")
        return 77
    if not os.path.exists(f"{DIR}/debian.img"):
        print("skip systemd_on_soft - there is no build/guests/debian.img; scripts/guests --disk makes it")
        return 77
    try:
        with Instance(LAB) as i:
            test(i)
    except Refused as e:
        print(f"not ok debian_with_systemd\n     {e}")
        return 1
    return 0


sys.exit(main())
