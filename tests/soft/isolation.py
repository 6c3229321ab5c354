#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 60
"""A victim beside guests that misbehave, on one host CPU; then fifty idle guests."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from cases import check, exit_code  # noqa: E402
from instance import Instance  # noqa: E402

LAB = """
name: isolation
host: {cpus: 0}
defaults: {memory: 16M}
networks: {lan: {nat: true}}
guests:
  victim: {image: spin, append: "rate=1 duty=10 late"}
  neighbour: {image: hello}
  rogue: {image: rogue, append: "attack=all each=20 loop"}
  flood: {image: chatty, append: "quiet mode=serial"}
  storm: {image: chatty, append: "quiet mode=pio"}
  ticks: {image: chatty, append: "quiet mode=timer hz=50000"}
  hog: {image: memhog, memory: 64M, append: "quiet then=dirty"}
  datagrams: {image: flood, append: "quiet mode=net to=10.0.2.2", nets: [lan]}
  writer: {image: flood, append: "quiet mode=disk", disks: [{path: bad.img, size: 16M}]}
"""
ANTAGONISTS = ("rogue", "flood", "storm", "ticks", "hog", "datagrams", "writer")
IDLE = 50


def timed(instance, *words):
    start = time.monotonic()
    instance.ask(*words)
    return time.monotonic() - start


def state(instance, name):
    return instance.stats()[name]["state"]


def worst_gap(log, seconds):
    """The longest time without a new line, while `seconds` go by."""
    end, last, worst, size = time.monotonic() + seconds, time.monotonic(), 0, 0
    while time.monotonic() < end:
        now = os.path.getsize(log) if os.path.exists(log) else 0
        if now != size:
            size, last = now, time.monotonic()
        worst = max(worst, time.monotonic() - last)
        time.sleep(0.02)
    return worst


def keeps_going(i):
    for flood in ("datagrams", "writer"):
        i.ask("expect", flood, "flood: ready", "10")
    log = i.file("victim.log")
    i.ask("log", "victim", log)
    gap = worst_gap(log, 7)
    check(gap < 2.5, "victim prints every second", f"longest gap {gap:.2f} s (a line each 1 s)")
    with open(log, encoding="utf-8", errors="replace") as f:
        loops = [int(n) for n in re.findall(r"cpu0 (\d+) loops", f.read())]
    check(len(loops) >= 5 and loops == sorted(set(loops)), "victim's work goes on", f"{len(loops)} lines")


def neighbour_answers(i):
    i.ask("send", "neighbour", "echo still-here-0815")
    start = time.monotonic()
    i.ask("expect", "neighbour", "^still-here-0815", "3")
    check(True, "neighbour answers", f"{time.monotonic() - start:.3f} s")


def obey(i):
    for name in ANTAGONISTS:
        pause = timed(i, "pause", name)
        paused = state(i, name) == "paused"
        i.ask("resume", name)
        stop = timed(i, "stop", name)
        i.until(lambda n=name: state(i, n) == "stopped", 1, f"{name} is stopped")
        check(paused and pause < 1 and stop < 1, f"{name} obeys",
              f"paused in {pause * 1000:.0f} ms, stopped in {stop * 1000:.0f} ms")


def beside_antagonists():
    with Instance(LAB) as i:
        i.until(lambda: all(vm["state"] == "running" for vm in i.stats().values()), 10, "all run")
        keeps_going(i)
        neighbour_answers(i)
        obey(i)
        states = {n: vm["state"] for n, vm in i.stats().items()}
        check(states["victim"] == states["neighbour"] == "running" and i.process.poll() is None,
              "others untouched", str(states))


def idle_guests():
    lab = f"name: idle\nhost: {{cpus: 0}}\nguests:\n  h: {{image: hello, memory: 16M, count: {IDLE}}}\n"
    with Instance(lab) as i:
        i.until(lambda: sum(vm["state"] == "running" for vm in i.stats().values()) == IDLE, 20, "all run")
        i.ask("expect", f"h{IDLE}", "hello> ", "10")
        time.sleep(1)
        before, start = i.cpu_seconds(), time.monotonic()
        time.sleep(4)
        each = (i.cpu_seconds() - before) / (time.monotonic() - start) * 100 / IDLE
        check(each <= 0.3, "an idle guest costs at most 0.3 % of a CPU", f"{each:.3f} % each, {IDLE} guests")
        seconds = sorted(timed(i, "list") for _ in range(9))[4]
        check(seconds < 0.1, "list answers within 100 ms", f"{seconds * 1000:.1f} ms")
        print(f"     {i.resident_bytes() / IDLE / 1024:.0f} KiB resident a guest, guest RAM included")


beside_antagonists()
idle_guests()
sys.exit(exit_code())
