#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a lab of guests and tells how the processor was divided; a module for tests and benches.

What guests got is taken twice: from ruche's own figures and from the guests' counters of work
done (`spin: cpuN COUNT loops`), which know nothing of ruche.
"""
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent
LOOPS = re.compile(r"spin: cpu(\d+) (\d+) loops ([\d.]+) s")


class Lab:
    """guests: {name: {key: value}}; `append` of a guest is added to its options."""

    def __init__(self, guests, cpus="0", accel=None, ruche=None):
        self.dir = tempfile.TemporaryDirectory(prefix="sched")
        self.accel = accel or os.environ.get("ACCEL", "soft")
        self.ruche = ruche or str(TREE / "ruche")
        lines = ["name: sched", f'host: {{cpus: "{cpus}"}}', "guests:"]
        for name, keys in guests.items():
            keys = {"image": "spin", "memory": "16M", **keys}
            keys["append"] = ("rate=0 quiet " + keys.get("append", "")).strip()
            words = ", ".join(f'{k}: "{v}"' if isinstance(v, str) else f"{k}: {v}" for k, v in keys.items())
            lines.append(f"  {name}: {{{words}}}")
        self.path = Path(self.dir.name) / "lab.yaml"
        self.path.write_text("\n".join(lines) + "\n")

    def run(self, *commands, timeout=120):
        """Runs commands in order; returns the objects that those with --json printed."""
        argv = [self.ruche, "--headless", "--accel", self.accel]
        for c in commands + ("quit",):
            argv += ["--exec", c]
        p = subprocess.run(argv + [str(self.path)], capture_output=True, text=True, timeout=timeout,
                           cwd=TREE, check=False)
        if p.returncode != 0:
            raise RuntimeError(f"ruche failed ({p.returncode}): {p.stderr.strip()}")
        return [json.loads(line) for line in p.stdout.splitlines() if line.startswith("{")]

    def split(self, seconds, *before, settle=1.5):
        """CPU seconds that each guest got in `seconds`."""
        a, b = self.run(*before, f"wait {settle}", "stats --json", f"wait {seconds}", "stats --json",
                        timeout=seconds * 3 + 60)[-2:]
        return delta(a, b)


def delta(a, b):
    old = {v["name"]: v["cpu"]["seconds"] for v in a["vms"]}
    return {v["name"]: v["cpu"]["seconds"] - old[v["name"]] for v in b["vms"]}


def parts(got):
    total = sum(got.values())
    return {k: v / total for k, v in got.items()}
