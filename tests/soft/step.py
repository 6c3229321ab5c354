#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 120
"""`step`: a paused vCPU executes instructions one by one, and the guest goes on as if nothing had been."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from cases import check, exit_code  # noqa: E402
from instance import Instance, Refused  # noqa: E402

LAB = """
name: step
guests:
  busy:  {image: chatty, memory: 16M, append: quiet mode=pio}
  idle:  {image: hello, memory: 16M}
  linux: {image: debian, memory: 128M, append: quiet}
"""
LINE = re.compile(r"^(  |=>) ([0-9a-f]{16})  (.+?)(?:  +(.*))?$")
ELSEWHERE = re.compile(r"^(j|call|ret|loop|int|iret|sys|rep|hlt|notrack|bnd)")     # it may go there, or stay


def trace(i, guest, n):
    return [LINE.match(line).groups() for line in i.ask("step", guest, str(n)).splitlines()]


def follows(steps):
    """Each instruction is where the one before ends, but for jumps."""
    return all(0 < int(b[1], 16) - int(a[1], 16) <= 15 or ELSEWHERE.match(a[2]) for a, b in zip(steps, steps[1:]))


def registers(i, guest):
    return i.ask("regs", guest, as_json=True)


with Instance(LAB) as i:
    i.ask("expect", "linux", "# $", "100")
    i.ask("pause", "busy", "idle")
    before = registers(i, "busy")
    steps = trace(i, "busy", 200)
    after = registers(i, "busy")
    check(len(steps) == 201 and steps[-1][0] == "=>", "as_many_as_asked_for_are_executed_and_the_next_is_shown", str(steps[-3:]))
    check(int(steps[0][1], 16) == before["rip"] and int(steps[-1][1], 16) == after["rip"], "the_trace_begins_and_ends_where_the_vcpu_is",
          f"{steps[0]} {steps[-1]} {before['rip']:x} {after['rip']:x}")
    check(follows(steps), "each_instruction_follows_the_one_before", str(steps))
    told = {}
    for step in steps[:-1]:
        told.update(pair.split("=") for pair in (step[3] or "").split())
    check(told and all(after[name] == int(value, 16) for name, value in told.items()), "changed_registers_are_told", str(told))
    try:
        i.ask("step", "idle")
        check(False, "who_is_halted_is_said_to_be")
    except Refused as e:
        check("halted" in str(e), "who_is_halted_is_said_to_be", str(e))
    i.ask("resume", "busy", "idle")
    i.ask("send", "--fresh", "idle", "echo there-0815")
    i.ask("expect", "idle", "^there-0815", "30")
    i.ask("send", "--fresh", "linux", "while :; do :; done & echo on-$((40 + 2))")
    i.ask("expect", "linux", "^on-42", "30")
    time.sleep(1)       # what is copied on write has been
    i.ask("pause", "linux")
    check(follows(trace(i, "linux", 200)), "a_linux_steps_too")
    i.ask("resume", "linux")
    i.ask("send", "--fresh", "linux", "kill $!; echo fine-$((40 + 2))")
    check("fine-42" in i.ask("expect", "-p", "linux", "^fine-42", "60"), "it_goes_on_after_that")
sys.exit(exit_code())
