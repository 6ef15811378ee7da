"""How long the shell takes to start: `python -m tests.bench.shell_start`.

A new process each time: to the end of `duckmf -c 'select 1'`, and to the prompt in a terminal.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import time
from statistics import median

COMMAND = [sys.executable, "-m", "duckmf.cli"]
ROUNDS = 9


def script() -> float:
    """Seconds of a whole process that runs one statement."""
    began = time.perf_counter()
    subprocess.run([*COMMAND, "-c", "select 1"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def prompt() -> float:
    """Seconds until a terminal shows the prompt."""
    ours, theirs = pty.openpty()
    with tempfile.TemporaryDirectory() as folder:
        history = {"DUCKMF_HISTORY": f"{folder}/history", "TERM": "xterm"}
        began = time.perf_counter()
        process = subprocess.Popen(
            COMMAND, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **history}
        )
        shown = b""
        while b"duckmf>" not in shown:
            shown += os.read(ours, 65536)
        seconds = time.perf_counter() - began
        process.kill()
        process.wait()
    os.close(ours)
    os.close(theirs)
    return seconds


if __name__ == "__main__":
    for measure in (script, prompt):
        seconds = [measure() for _ in range(ROUNDS)]
        print(f"{measure.__name__}: median {median(seconds):.2f} s, best {min(seconds):.2f} s")
