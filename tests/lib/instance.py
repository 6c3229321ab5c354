# SPDX-License-Identifier: GPL-3.0-or-later
"""A `ruche --headless` of a test's own: started with the text of a lab, asked by its socket. RUCHE names
another binary than ./ruche."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

CLOCK = os.sysconf("SC_CLK_TCK")


class Refused(Exception):
    pass


class Control:
    """A connection to an instance; each thread needs one of its own."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(150)
        self.lines = self.socket.makefile("r", encoding="utf-8")

    def ask(self, *words, as_json=False):
        """The text of a command's answer, or its JSON."""
        self.socket.sendall(json.dumps({"args": words, "json": as_json}).encode() + b"\n")
        text, result, error = "", None, ""
        while True:
            line = self.lines.readline()
            if not line:
                raise Refused(f"the instance ended at `{' '.join(words)}`")
            answer = json.loads(line)
            text += answer.get("output", "")
            result = answer.get("result", result)
            error = answer.get("error", error)
            if answer.get("status", 0):
                raise Refused(" ".join(words) + ": " + (error or line))
            if "status" in answer:
                return result if as_json else text

    def stats(self):
        return {vm["name"]: vm for vm in self.ask("stats", as_json=True)["vms"]}


class Instance(Control):
    OPTIONS = ("--headless",)

    def __init__(self, lab, accel="soft"):
        self.dir = tempfile.mkdtemp(prefix="ruche-instance.")
        self.path = os.path.join(self.dir, "sock")
        name = os.path.join(self.dir, "lab.yaml")
        with open(name, "w", encoding="utf-8") as f:
            f.write(lab)
        with open(self.file("stderr"), "wb") as errors:
            self.process = self.start([os.environ.get("RUCHE", "./ruche"), *self.OPTIONS, "--accel", accel,
                                       "--socket", self.path, name], errors)
        self.socket = self.lines = None
        try:
            self.connect()
        except BaseException:
            self.close()
            raise

    def start(self, command, errors):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def file(self, name):
        return os.path.join(self.dir, name)

    def connect(self, seconds=20):
        end = time.monotonic() + seconds
        while True:
            try:
                Control.__init__(self, self.path)
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    with open(self.file("stderr"), encoding="utf-8", errors="replace") as f:
                        raise Refused("ruche did not start: " + f.read()) from None
                time.sleep(0.02)

    def until(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise Refused(f"the process ended with {self.process.returncode}; awaited: {what}")
            if time.monotonic() > end:
                raise Refused(f"not within {seconds} s: {what}")
            time.sleep(0.01)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self):
        if self.socket:
            self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
