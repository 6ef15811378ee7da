"""Ctrl-C, seen from any thread.

DuckDB may run a training on a thread of its own while the main thread waits inside the statement,
where Python cannot run its handler for SIGINT. The wakeup descriptor of the `signal` module is
written to all the same, at once. What the signal does otherwise is not changed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time

_receiver: socket.socket | None = None
_sender: socket.socket | None = None
_presses = 0
_lock = threading.Lock()


def listen() -> None:
    """Notice SIGINT from now on; does nothing where somebody else owns the wakeup descriptor.

    An owner that has gone took ours with it: listening again brings it back. Python lets only the
    main thread set it; from another thread this does nothing either.
    """
    global _receiver, _sender
    if threading.current_thread() is not threading.main_thread():
        return
    if _receiver is None or _sender is None:
        _receiver, _sender = socket.socketpair()
        _receiver.setblocking(False)
        _sender.setblocking(False)
    ours = _sender.fileno()
    owner = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
    if owner not in (-1, ours):
        signal.set_wakeup_fd(owner, warn_on_full_buffer=False)


def presses() -> int:
    """How many times SIGINT was noticed; no thread that asks takes one away from another."""
    global _presses
    with _lock, contextlib.suppress(BlockingIOError):
        if _receiver is not None:
            _presses += _receiver.recv(4096).count(signal.SIGINT)
    return _presses


def wait(seconds: float, before: int) -> bool:
    """Wait so long for a SIGINT beside those noticed before, at most; whether one came."""
    end = time.monotonic() + seconds
    while presses() == before and (left := end - time.monotonic()) > 0:
        if _receiver is None:
            time.sleep(left)
        else:
            select.select([_receiver], [], [], left)
    return presses() > before


def _start_anew() -> None:
    """A forked process must not tell its parent of its own signals."""
    global _lock, _receiver, _sender
    _lock = threading.Lock()
    if _sender is None:
        return
    ours, _receiver, _sender = _sender.detach(), None, None
    owner = signal.set_wakeup_fd(-1)
    if owner not in (-1, ours):
        signal.set_wakeup_fd(owner, warn_on_full_buffer=False)
    os.close(ours)
    listen()


if hasattr(os, "register_at_fork"):  # Windows has none
    os.register_at_fork(after_in_child=_start_anew)
