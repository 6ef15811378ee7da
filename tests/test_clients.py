"""The processes of tests."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.clients import process

pytestmark = pytest.mark.newest

WAITS = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def ignoring():
    """As the shell starts the jobs of a script that end in &."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_process_hears_ctrl_c_where_this_one_does_not(ignoring):
    command = [sys.executable, "-c", WAITS]
    with process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in child.communicate(timeout=20)[1]
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_no_process_is_left():
    with pytest.raises(ZeroDivisionError), process([sys.executable, "-c", WAITS]) as child:
        1 / 0  # noqa: B018
    assert child.returncode == -signal.SIGKILL
