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


def listen() -> None:
    """Start to notice SIGINT; does nothing where somebody else owns the wakeup descriptor.

    Python lets only the main thread set it; from another thread this does nothing either.
    """
    global _receiver
    if _receiver is not None or threading.current_thread() is not threading.main_thread():
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    owner = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    if owner == -1:
        sender.detach()  # stays open as long as the process
        _receiver = receiver
    else:
        signal.set_wakeup_fd(owner, warn_on_full_buffer=False)
        sender.close()
        receiver.close()


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
