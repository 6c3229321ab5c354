#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A binary that was built with sanitizers runs real guests on the software CPU: stock Debian with one and
with two vCPUs, then a lab of tiny guests under load. The commands that look at a guest and change it are
given meanwhile. Any report of a sanitizer is a failure.

usage: RUCHE=build/asan/ruche tests/long/sanitize.py        (make sanitize runs it for ASan+UBSan and TSan)
"""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from cases import REPORT, check, exit_code  # noqa: E402
from instance import Instance, Refused  # noqa: E402

BINARY = os.environ.setdefault("RUCHE", "build/asan/ruche")
BOOT_S = 900
DEBIAN = """
name: sanitize
networks: {{lan: {{nat: true}}}}
defaults: {{image: debian, memory: 160M, vcpus: {vcpus}, append: quiet}}
guests:
  a: {{nets: [lan], disks: [{{path: disk.img, size: 8M}}]}}
  b: {{nets: [lan], vcpus: 1}}
"""
TINY = """
name: sanitize
host: {cpus: 0}
defaults: {memory: 16M}
guests:
  hello: {image: hello, share: 200}
  spin: {image: spin, vcpus: 2, append: "rate=1"}
  flood: {image: chatty, append: "quiet mode=serial"}
  storm: {image: chatty, append: "quiet mode=pio"}
  ticks: {image: chatty, append: "quiet mode=timer hz=5000"}
  rogue: {image: rogue, append: "attack=all each=20 loop"}
  hog: {image: memhog, memory: 48M, append: "quiet then=dirty"}
"""
# (command, what it says) typed into Debian
COMMANDS = (
    ("uname -a", "^Linux "),
    ("nproc", "^[12]"),
    ("dd if=/dev/urandom of=/tmp/f bs=64k count=16; md5sum /tmp/f; echo do'ne'", "^done"),
    ("dd if=/tmp/f of=/dev/vda bs=64k; sync; dd if=/dev/vda bs=64k count=16 | md5sum; echo do'ne'", "^done"),
    ("ip addr show eth0; ping -c 2 10.0.2.2; echo do'ne'", "^done"),
    ("for i in 1 2 3 4; do (while :; do :; done) & done; sleep 3; kill $(jobs -p); echo do'ne'", "^done"),
)


def tried(i, *words):
    """A command that may be refused, e.g. because a rogue has just crashed."""
    try:
        i.ask(*words)
    except Refused:
        if i.process.poll() is not None:
            raise


def play(i, name):
    """Commands that look at a guest and change it."""
    for words in (("share", name, "300"), ("cap", name, "50"), ("stats",), ("list",), ("info", name), ("exits", name),
                  ("pause", name), ("regs", name), ("disasm", name), ("mem-dump", name, "0x1000", "256"),
                  ("step", name), ("resume", name), ("cap", name, "none"), ("log", name, i.file(name + ".log")),
                  ("watch", name, "0.2"), ("undo",), ("events",)):
        tried(i, *words)


def in_guest(i, name, line, regex, seconds=300):
    i.ask("send", "--fresh", name, line)
    i.socket.settimeout(seconds + 60)
    i.ask("expect", name, regex, str(seconds))


def boot(i, name):
    i.socket.settimeout(BOOT_S + 60)
    i.ask("expect", name, "/# $", str(BOOT_S))


def links(i):
    i.ask("link", "a.eth0", "delay=10ms", "loss=5%", "rate=10M", "capture=" + i.file("a.pcap"))
    in_guest(i, "a", "ping -c 3 -i 0.3 10.0.2.2; echo do'ne'", "^done")
    i.ask("link", "a.eth0", "down")
    i.ask("link", "a.eth0", "up", "delay=none", "loss=0", "capture=off")


def debian(i):
    for name in ("a", "b"):
        boot(i, name)
    for line, regex in COMMANDS:
        in_guest(i, "a", line, regex)
    links(i)
    for name in ("a", "b"):
        play(i, name)
    i.ask("mem", "a", "128M")
    i.ask("disk", "a.vda", "iops=200", "bps=4M")
    in_guest(i, "a", "dd if=/dev/vda of=/dev/null bs=64k; echo do'ne'", "^done")
    i.ask("reset", "b")
    boot(i, "b")
    i.ask("send", "a", "poweroff -f")
    i.until(lambda: i.stats()["a"]["state"] == "stopped", 120, "a is off")
    play(i, "a")        # a stopped guest has figures, too
    i.ask("shutdown", "b")
    i.process.wait(120) # nobody is left


def tiny(i):
    names = list(i.stats())
    i.ask("expect", "hello", "> $", "120")
    end = time.monotonic() + 40
    while time.monotonic() < end:
        for name in names:
            play(i, name)
        tried(i, "reset", "rogue")
        tried(i, "stop", "storm")
        tried(i, "start", "storm")
        tried(i, "create", "more", "image=spin", "memory=16M", "vcpus=2")
        tried(i, "start", "more")
        tried(i, "remove", "more")
        tried(i, "set", "host.cpus", "0")
    i.ask("send", "--fresh", "hello", "echo still here")
    i.ask("expect", "hello", "^still here", "60")


def run(what, lab, work):
    """One instance, from its start to its end; True if no sanitizer said anything."""
    said, status = "", None
    try:
        with Instance(lab, "soft") as i:
            try:
                work(i)
                check(True, f"{what}_works")
            except (Refused, OSError, subprocess.TimeoutExpired) as e:
                check(False, f"{what}_works", str(e))
            if i.process.poll() is None:
                i.process.send_signal(signal.SIGTERM)
            status = i.process.wait(120)
            with open(i.file("stderr"), encoding="utf-8", errors="replace") as f:
                said = f.read()
    except Refused as e:
        said = str(e)
    found = REPORT.search(said)
    if found:
        print(said[max(0, found.start() - 200):found.start() + 6000])
    elif status is None:
        print(said)
    check(status is not None and not found, f"{what}_has_no_report", f"{len(REPORT.findall(said))} lines of reports")
    check(status in (0, 3, 128 + signal.SIGTERM), f"{what}_ends", f"status {status}")


def main():
    kind = os.path.basename(os.path.dirname(BINARY))
    os.environ.setdefault("RUCHE_IMAGES", "build/guests")
    # Leaks are looked for with ptrace, which the sandbox refuses; the unit tests look for them.
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")
    os.environ.setdefault("TSAN_OPTIONS", "halt_on_error=0 second_deadlock_stack=1")
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    work = set(sys.argv[1:]) or {"1", "2", "tiny"}
    for vcpus in (1, 2):
        if str(vcpus) in work:
            run(f"{kind}_debian_{vcpus}_vcpu", DEBIAN.format(vcpus=vcpus), debian)
    if "tiny" in work:
        run(f"{kind}_tiny_guests_under_load", TINY, tiny)
    return exit_code()


sys.exit(main())
