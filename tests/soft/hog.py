#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 90
"""A guest that takes all its memory and dirties it without end, beside one that works and one that
knows what is in its memory, all at equal shares on one CPU: neither is disturbed, and the figures say
where the memory is. Guests that cannot fit are refused with the arithmetic."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from cases import check, exit_code  # noqa: E402
from instance import Instance, Refused  # noqa: E402

MIB = 1 << 20
HOG_MIB = 512
LAB = f"""
name: hog
host: {{cpus: 0}}
guests:
  victim: {{image: spin, memory: 16M, append: "quiet"}}
  keeper: {{image: memhog, memory: 48M, append: "then=verify"}}
  hog: {{image: memhog, memory: {HOG_MIB}M, append: "quiet then=dirty", autostart: false}}
"""
MEASURED_S = 4


def resident(stats, name):
    return stats[name]["memory"]["resident"] / MIB


def text(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def beside_a_hog(i):
    i.ask("expect", "keeper", "memhog: full", "30")
    i.until(lambda: i.stats()["keeper"]["memory"]["resident"] > 40 * MIB, 10, "the keeper has its memory")
    before = i.stats()
    i.ask("start", "hog")
    i.until(lambda: resident(i.stats(), "hog") > HOG_MIB - 8, 60, "the hog has all its memory")
    log = i.file("keeper.log")
    i.ask("log", "keeper", log)
    first = i.stats()
    time.sleep(MEASURED_S)
    last = i.stats()
    used = {n: last[n]["cpu"]["seconds"] - first[n]["cpu"]["seconds"] for n in last}
    part = used["victim"] / sum(used.values())
    check(abs(part - 1 / 3) <= 0.05 / 3, "a hog takes no CPU time from others",
          f"the victim got {part * 100:.1f} % of {sum(used.values()):.2f} s, entitled to 33.3 (within 5 %)")
    hog = resident(last, "hog")
    check(HOG_MIB - 8 <= hog <= HOG_MIB, "what it took is resident and no more", f"{hog:.1f} MiB of {HOG_MIB}")
    for name in ("victim", "keeper"):
        moved = resident(last, name) - resident(before, name)
        check(abs(moved) <= 1, f"the memory of {name} is where it was", f"{moved:+.2f} MiB")
    host = i.ask("stats", as_json=True)["host"]["memory"]
    total = sum(resident(last, n) for n in last)
    check(abs(host["resident"] / MIB - total) <= 2, "the figure of the host is the sum",
          f"{host['resident'] / MIB:.1f} MiB, the guests' {total:.1f}")
    i.until(lambda: "pages wrong" in text(log), 30, "the keeper has looked at all its memory")
    told = [line for line in text(log).splitlines() if "wrong" in line.lower()]
    check(set(told) == {"memhog: 0 pages wrong"}, "every word that was written is still there", f"{len(told)} times {told[0]}")
    i.ask("stop", "hog")
    i.until(lambda: not i.stats()["hog"]["memory"]["resident"], 10, "the hog's memory is given back")
    check(True, "a stopped hog has no memory", "resident 0")


def refusal(i):
    available = i.ask("stats", as_json=True)["host"]["memory"]["available"]
    i.ask("create", "big", "image=hello", f"memory={min(64 << 10, available // MIB + 4096)}M")
    try:
        i.ask("start", "big")
        said = "it was started"
    except Refused as e:
        said = str(e)
    check(re.search(r"[0-9.]+[MG].*[0-9.]+[MG].*overcommit", said) is not None, "what cannot fit is refused with the arithmetic", said)


with Instance(LAB) as instance:
    beside_a_hog(instance)
    refusal(instance)
sys.exit(exit_code())
