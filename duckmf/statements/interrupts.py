"""Ctrl-C, seen from any thread.

DuckDB may run a training on a thread of its own while the main thread waits inside the statement,
where Python cannot run its handler for SIGINT. The wakeup descriptor of the `signal` module is
written to all the same, at once. What the signal does otherwise is not changed.
"""

from __future__ import annotations

import select
import signal
import socket
import threading

_receiver: socket.socket | None = None
_sender: socket.socket | None = None


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
        _sender.setblocking(False)
    ours = _sender.fileno()
    owner = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
    if owner not in (-1, ours):
        signal.set_wakeup_fd(owner, warn_on_full_buffer=False)


def wait(seconds: float) -> bool:
    """Wait so long for a SIGINT; whether one came."""
    if _receiver is None:
        threading.Event().wait(seconds)
        return False
    ready, _, _ = select.select([_receiver], [], [], seconds)
    return bool(ready) and signal.SIGINT in _receiver.recv(4096)


def forget() -> None:
    """Pass over signals that came before."""
    while _receiver is not None and select.select([_receiver], [], [], 0)[0]:
        _receiver.recv(4096)
