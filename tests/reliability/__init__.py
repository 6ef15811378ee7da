"""What a database asks of its plugins: interrupts, many connections and forks leave it as it was.

The usual amounts take half a minute. With DUCKMF_LONG=1 in the environment the same tests take
more: 1,000 cursors instead of 30, hundreds of interrupted statements instead of tens, 40 forks
instead of two:

    DUCKMF_LONG=1 pytest tests/reliability
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

from tests.clients import hearing_ctrl_c

LONG = os.environ.get("DUCKMF_LONG") == "1"

# A table of ratings of its own for a process: 2,000 users, 1,000 items, 50,000 ratings.
RATINGS = (
    "create or replace table s as select u, i, (1 + (u * 7 + i * 3) % 5)::double as r "
    "from range(2000) a(u), range(1000) b(i) where (u * 5 + i * 3) % 40 = 0"
)


def amount(usual: int, long: int) -> int:
    """How much of something there is to be."""
    return long if LONG else usual


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def lines_of(script: str, *arguments: object, seconds: float = 60.0) -> list[str]:
    """What a Python process of its own prints; it has to end well, and in time."""
    with hearing_ctrl_c():
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()
