#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 170
"""Guests' consoles in the full-screen console, in tmux (a server of its own): attach and leave in
both ways, panes, keys for all, junk from a guest, looking back, record and replay, vi and top in
a Linux guest, and how long a key takes to its echo."""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent
RUCHE = os.environ.get("RUCHE_BIN", str(TREE / "ruche"))
LINUX = TREE / "build/guests/vmlinuz"
DIR = tempfile.mkdtemp(prefix="ruche-tui.")
SOCKET = f"{DIR}/tmux"
LAB = """name: t
guests:
  web: {image: hello, memory: 16M}
  db: {image: hello, memory: 16M}
  lin: {image: debian, memory: 128M, autostart: false}
"""
failures = 0


def tmux(*args):
    return subprocess.run(["tmux", "-S", SOCKET, "-f", "/dev/null", *args], capture_output=True,
                          text=True, check=False).stdout


def screen():
    return tmux("capture-pane", "-p", "-t", "p")


def wait_for(what, seconds=20):
    """Polls the screen until `what` (a text or a test) is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = screen()
        if what(text) if callable(what) else what in text:
            return True
        time.sleep(0.02)
    print(f"# waited for {what}; the screen:\n{screen()}")
    return False


def keys(*names):
    for name in names:
        tmux("send-keys", "-t", "p", name)


def text(s):
    tmux("send-keys", "-t", "p", "-l", s)


def command(line):
    keys(":")
    wait_for(lambda t: any(row.startswith(":") for row in t.splitlines()[-3:]), 5)
    text(line)
    keys("Enter")


def case(name, good):
    global failures
    print(f"{'ok' if good else 'not ok'} {name}", flush=True)
    failures += not good


def attached(name):
    return wait_for(f"{name} serial0 ATTACHED")


def left():
    return wait_for("F1 Help", 10)


def attach_and_leave():
    keys("a")
    good = attached("web")
    text("echo Mar")
    text("ker1\r")
    case("what_is_typed_is_echoed_and_answered", good and wait_for("\nMarker1"))
    keys("F12")
    case("f12_leaves", left())
    command("console db")
    good = attached("db")
    keys("C-]")
    good &= wait_for("d detach")
    keys("d")
    case("ctrl_bracket_then_d_leaves", good and left())


def panes():
    command("console all")
    good = wait_for("1 web serial0 ATTACHED") and wait_for("2 db serial0")
    case("all_guests_have_a_pane", good)
    keys("C-]", "B")
    text("echo To")
    text("All\r")
    case("keys_for_all_reach_all", wait_for(lambda t: t.count("ToAll") >= 4))
    keys("C-]", "B", "C-]", "n", "C-]", "z")
    case("zoom_shows_one", wait_for(lambda t: "2 db serial0 ATTACHED" in t and "1 web" not in t))
    tmux("resize-window", "-t", "p", "-x", "50", "-y", "12")
    good = wait_for("hello>")
    tmux("resize-window", "-t", "p", "-x", "100", "-y", "30")
    case("a_resize_keeps_the_pane", good and wait_for(lambda t: len(t.split("\n")) >= 30 and "ATTACHED" in t))
    keys("F12")
    left()


def look_back():
    command("console web")
    attached("web")
    text("help\r")
    wait_for("power off by ACPI")
    text("help\r")
    wait_for("power off by ACPI")
    keys("C-]", "/")
    wait_for("search:")
    text("marker1")
    keys("Enter")
    case("search_finds_what_scrolled_off", wait_for(lambda t: "Marker1" in t and "LOOKING BACK" in t))
    keys("q")
    case("q_returns_to_the_end", wait_for(lambda t: "LOOKING BACK" not in t and "power off by ACPI" in t))
    keys("F12")
    left()


def junk():
    """hello echoes what it is sent: escapes typed by `send` come back as output."""
    sent = True
    for what in (r"\e[1;80H\e[b", r"\e]52;c;aGVsbG8=\x07", r"\e[?1049h\e[?25l\e[31;7m", r"\ePq#0;2;0;0;0\e\\", r"\ec\e(0"):
        sent &= subprocess.run([RUCHE, "ctl", "--socket", f"{DIR}/s", "send", "--no-newline", "web", what],
                               capture_output=True, check=False).returncode == 0
    command("console web")
    good = attached("web")
    keys("F12")
    case("junk_from_a_guest_stays_in_its_pane", sent and good and left() and "used/mem" in screen())


def replay():
    command(f"record db {DIR}/a.cast")
    command("console db")
    attached("db")
    text("echo rec")
    text("orded\r")
    wait_for("\nrecorded")
    keys("F12")
    left()
    command("record db off")
    time.sleep(0.3)
    command(f"replay {DIR}/a.cast 4")
    good = wait_for("replay a.cast") and wait_for("\nrecorded") and wait_for("END")
    keys("q")
    case("a_recording_is_replayed", good and left())


def latency():
    command("console db")
    attached("db")
    keys("C-u")
    took = []
    for i in range(20):
        letter = chr(ord("a") + i)
        before = screen().count(letter * 3)
        start = time.monotonic()
        text(letter * 3)
        while screen().count(letter * 3) <= before and time.monotonic() - start < 2:
            pass
        took.append((time.monotonic() - start) * 1000)
    print(f"# key to echo, with two runs of tmux: median {statistics.median(took):.1f} ms")
    # tmux itself takes some 5-10 ms of this; a busy machine more
    case("a_key_is_echoed_soon", statistics.median(took) < 100)
    keys("F12")
    left()


def linux():
    if not LINUX.exists():
        print("skip linux - make guests has not run")
        return
    command("start lin")
    wait_for("lin is running", 20)
    command("console lin")
    if not attached("lin") or not wait_for(lambda t: any(r.rstrip().endswith("#") for r in t.splitlines()), 90):
        case("linux_boots_in_a_pane", False)
        return
    text("vi /tmp/x\r")
    good = wait_for("- /tmp/x", 20)
    text("iin vi")
    keys("Escape")
    time.sleep(0.3)
    text(":wq\r")
    time.sleep(0.3)
    text("cat /tmp/x; echo do")
    text("ne\r")
    case("vi_works_in_a_pane", good and wait_for(lambda t: "\nin vi" in t and "\ndone" in t, 20))
    text("top\r")
    good = wait_for("Mem:", 20) and wait_for("PID", 10)
    text("q")
    case("top_works_in_a_pane", good)
    keys("F12")
    left()


def main():
    if not shutil.which("tmux"):
        print("tmux is not installed")
        return 77
    Path(f"{DIR}/lab.yaml").write_text(LAB)
    tmux("new-session", "-d", "-x", "100", "-y", "30", "-s", "p", "sleep 1000")
    for option in ("status off", "default-terminal tmux-256color", "remain-on-exit on"):
        tmux("set", "-g", *option.split())
    tmux("set", "-s", "escape-time", "0")
    tmux("respawn-pane", "-k", "-t", "p",
         f"cd {TREE} && exec env LC_ALL=C.UTF-8 XDG_RUNTIME_DIR={DIR} {RUCHE} --accel soft --socket {DIR}/s {DIR}/lab.yaml")
    try:
        if not wait_for("web is running", 30):
            case("the_console_opens", False)
            return 1
        for part in (attach_and_leave, look_back, panes, junk, replay, latency, linux):
            part()
        command("quit")
        wait_for("are you sure", 3)
        keys("y")
        case("the_console_ends", wait_for(lambda t: tmux("display", "-p", "-t", "p", "#{pane_dead}").strip() == "1", 15))
    finally:
        tmux("kill-server")
        shutil.rmtree(DIR, ignore_errors=True)
    return 1 if failures else 0


sys.exit(main())
