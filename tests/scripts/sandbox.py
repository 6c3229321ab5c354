#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running instance may still do: privileges and filters of every thread, read from /proc, and
the fence around files (Landlock, where the kernel has it)."""
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.insert(0, "tests/lib")
from instance import Instance, Refused  # noqa: E402

HELLO = os.path.abspath("build/guests/tiny/hello.elf")
LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)   # landlock_create_ruleset: its version
LAB = """name: sandbox
networks:
  lan: {{nat: true}}
guests:
  a: {{image: hello, memory: 16M, vcpus: 2, nets: [lan], disks: [{{path: {disk}, size: 1M}}]}}
  b: {{image: spin, memory: 16M}}
"""
outside = tempfile.mkdtemp(prefix="ruche-outside.", dir="/var/tmp")
home = tempfile.mkdtemp(prefix=".ruche-outside.", dir=os.path.expanduser("~"))


def case(name, good, said=""):
    print(f"{'ok' if good else 'not ok'} {name}")
    if not good:
        print(f"# {said}")


def refusal(i, *words):
    """What the instance says, or "" if it obeys."""
    try:
        i.ask(*words)
    except Refused as e:
        return str(e)
    return ""


def threads(pid):
    """(name, fields of its status) of every thread"""
    for tid in sorted(os.listdir(f"/proc/{pid}/task")):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as f:
            fields = dict(line.split(":", 1) for line in f)
        yield fields["Name"].strip(), {k: v.strip() for k, v in fields.items()}


def privileges(i):
    found = list(threads(i.process.pid))
    names = [name for name, _ in found]
    case("an_instance_has_threads_of_every_kind", {"ruche", "a/cpu0", "a/cpu1", "a/io", "b/cpu0"} <= set(names), names)
    for field in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
        having = [n for n, f in found if int(f[field], 16)]
        case(f"no_thread_has_{field}", not having, having)
    case("no_thread_may_gain_privileges", all(f["NoNewPrivs"] == "1" for _, f in found), names)
    free = [n for n, f in found if f["Seccomp"] != "2"]
    case("every_thread_is_filtered", not free, free)
    if "Seccomp_filters" not in found[0][1]:
        print("skip a_guests_threads_are_filtered_closely - this kernel does not count filters")
        return
    loose = [n for n, f in found if "/" in n and int(f["Seccomp_filters"]) < 2]
    case("a_guests_threads_are_filtered_closely", not loose, loose)


def who_goes_first(i):
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    if usual <= -20 or subprocess.run(["nice", "-n", "-1", "true"], capture_output=True, check=False).stderr:
        print("skip the_governor_alone_goes_first - it may not lower its nice value here")
        return
    nice = {name: os.getpriority(os.PRIO_PROCESS, int(f["Pid"])) for name, f in threads(i.process.pid)}
    case("the_governor_alone_goes_first", [n for n in nice if nice[n] < usual] == ["governor"], nice)


def fence(i):
    if LANDLOCK < 1:
        print("skip files_outside_are_out_of_reach - this kernel has no Landlock")
        return
    said = refusal(i, "log", "a", f"{outside}/log")
    case("a_file_outside_cannot_be_written", "--allow" in said and not os.listdir(outside), said)
    said = refusal(i, "create", "c", f"kernel={home}/hello.elf") or refusal(i, "start", "c")
    case("a_file_in_a_home_cannot_be_read", "--allow" in said, said)
    said = refusal(i, "create", "d", "image=hello", f"disk={outside}/d.img,size=1M")
    case("a_disk_outside_is_refused_before_it_is_made", "--allow" in said and not os.listdir(outside), said)
    said = refusal(i, "log", "a", i.file("log"))
    case("a_directory_that_the_lab_names_can_be_written", not said and os.path.exists(i.file("log")), said)
    said = refusal(i, "create", "e", f"kernel={HELLO}", "memory=16M")
    case("a_kernel_of_the_tree_can_be_read", not said, said)
    case("info_tells_of_it", f"landlock: version {LANDLOCK}" in i.ask("info", "a"), i.ask("info", "a"))


def allowed():
    done = subprocess.run(["./ruche", "run", "--accel", "soft", "-m", "16M", "--allow", outside, "--exec",
                           "log hello LOG".replace("LOG", f"{outside}/x"), "hello"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    case("what_is_allowed_can_be_written", done.returncode == 0 and os.path.exists(f"{outside}/x"), done.stderr)


try:
    shutil.copy(HELLO, home)
    with Instance(LAB.format(disk=os.path.join(tempfile.gettempdir(), "disk.img"))) as instance:
        instance.until(lambda: all(vm["state"] == "running" for vm in instance.stats().values()), 30, "a and b run")
        privileges(instance)
        who_goes_first(instance)
        fence(instance)
    allowed()
finally:
    shutil.rmtree(outside)
    shutil.rmtree(home)
