"""The one decorator of every kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

# Sums may be reordered and products fused, which is what vectorizing takes; NaN, infinity and
# signed zero keep their meaning.
FASTMATH = {"reassoc", "contract"}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` on its first call, to run without the GIL; keep the code on disk.

    Division by zero gives infinity or NaN, as in NumPy. numba's cache does not notice a change in
    a callee of another file, so the kernels of one file call only each other.
    """
    try:
        return _compiled(function, cache=True)
    except RuntimeError:  # numba found no folder to write its cache to
        return _compiled(function)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make `function` a part of the kernels that call it: compiled with them, not on its own."""
    return _compiled(function, inline="always")


def exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make `function` a part that rounds every operation where it stands."""
    return _compiled(function, fastmath=False)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    options = {"fastmath": FASTMATH} | options
    decorate = njit(nogil=True, error_model="numpy", **options)
    compiled: Callable[..., Any] = decorate(function)
    return compiled
