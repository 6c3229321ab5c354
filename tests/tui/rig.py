# SPDX-License-Identifier: GPL-3.0-or-later
"""A console in a tmux of its own: keys in, screens out. Nothing sleeps blindly: wait() polls."""
import atexit
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TREE / "tests/lib"))
from cases import check, exit_code  # noqa: E402, F401
RUCHE = TREE / "ruche"
LAB = """name: atlas
guests:
  spin1: {image: spin, memory: 16M, share: 200, group: busy}
  spin2: {image: spin, memory: 16M, group: busy}
  hello: {image: hello, memory: 16M, group: tiny}
"""


class Console:
    def __init__(self, cols, rows, lab=LAB, args="--accel soft", env="", command=None, program=None):
        self.dir = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        path = Path(self.dir.name)
        (path / "lab.yaml").write_text(lab)
        self.socket = str(path / "tmux")
        self.state = path
        home = f"HOME={path} XDG_STATE_HOME={path}/state XDG_CONFIG_HOME={path}/config XDG_RUNTIME_DIR={path}"
        run = program or f"{RUCHE} {args} lab.yaml 2>{path}/stderr"
        os.makedirs(path / "state", exist_ok=True)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(cols), "-y", str(rows), "-s", "p", "sleep 1000")
        atexit.register(self.close)
        for option in ("-g status off", "-g default-terminal tmux-256color", "-g remain-on-exit on", "-s escape-time 0"):
            self.tmux("set", *option.split())
        exec_ = "" if command else "exec "
        line = command.format(run=run) if command else run
        self.line = f"cd {path}; export LC_ALL=C.UTF-8 {home} {env}; {exec_}{line}"
        self.tmux("respawn-pane", "-k", "-t", "p", self.line)

    def tmux(self, *words):
        r = subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True)
        return r.stdout

    def keys(self, *keys):
        for key in keys:
            self.tmux("send-keys", "-t", "p", key)

    def type(self, text):
        self.tmux("send-keys", "-t", "p", "-l", text)

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "p")

    def ansi(self):
        return self.tmux("capture-pane", "-p", "-e", "-N", "-t", "p")

    def tell(self, what):
        return self.tmux("display", "-p", "-t", "p", "#{%s}" % what).strip()

    def wait(self, pattern, seconds=15, absent=False):
        """The screen on which `pattern` is found (or is not), else None."""
        end = time.monotonic() + seconds
        while True:
            s = self.screen()
            if bool(re.search(pattern, s, re.M)) != absent:
                return s
            if time.monotonic() > end:
                return None
            time.sleep(0.05)

    def case(self, name, pattern, seconds=15, absent=False):
        s = self.wait(pattern, seconds, absent)
        check(s is not None, name, more=self.screen() if s is None else "")
        return s or self.screen()

    def resize(self, cols, rows):
        self.tmux("resize-window", "-t", "p", "-x", str(cols), "-y", str(rows))

    def pid(self):
        """Of ruche: the pane's own process, or its child."""
        pid = int(self.tell("pane_pid"))
        if "ruche" in Path(f"/proc/{pid}/comm").read_text():
            return pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if "ruche" in Path(f"/proc/{child}/comm").read_text():
                return int(child)
        return 0

    def ended(self, seconds=15):
        """The exit status, None if it does not end. tmux 3.3 sometimes leaves a dead program unreaped
        and then knows no status: the kernel does (proc(5), stat, field 52)."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.tell("pane_dead") == "1":
                known = self.tell("pane_dead_status")
                if known:
                    return int(known)
                try:
                    with open(f"/proc/{self.tell('pane_pid')}/stat") as f:
                        return int(f.read().rsplit(")", 1)[1].split()[49]) >> 8
                except OSError:
                    pass
            time.sleep(0.05)
        return None

    def close(self):
        self.tmux("kill-server")
        self.dir.cleanup()
