"""The one decorator of every kernel, and where its machine code is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

# Sums may be reordered and products fused, which is what vectorizing takes; NaN, infinity and
# signed zero keep their meaning.
FASTMATH = {"reassoc", "contract"}


def digest(folder: Path) -> str:
    """A name for the sources of all kernels, which may be compiled into each other."""
    sources = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        sources.update(f"{path.name} {len(source)}\n".encode())
        sources.update(source)
    return sources.hexdigest()[:16]


SOURCES = digest(Path(__file__).parent)


class _Files(CompileResultCacheImpl):
    """Names files of machine code after all sources: numba looks at the caller's alone."""

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        base: str = super().get_filename_base(f"{fullname}-{SOURCES}", abiflags)
        return base


class _Cache(FunctionCache):
    """Machine code of one kernel on disk, in the folder that numba chooses."""

    _impl_class = _Files

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write code that was compiled; that of other sources goes, which nothing will read."""
        for path in Path(self.cache_path).glob("*.nb[ci]"):
            if SOURCES not in path.name:
                with suppress(OSError):  # another user's, or in use on Windows: it stays
                    path.unlink()
        super().save_overload(sig, data)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` on its first call, to run without the GIL; keep the code on disk.

    Division by zero gives infinity or NaN, as in NumPy.
    """
    compiled = _compiled(function)
    if compiled is not function:  # as it is where the JIT is off
        with suppress(RuntimeError):  # numba finds no folder to write to: nothing is kept
            compiled._cache = _Cache(function)  # type: ignore[attr-defined]
    return compiled


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make `function` a part of the kernels that call it: compiled with them, not on its own.

    A part holds a reference to each array that it takes, members of tuples included. LLVM drops
    them from a small part; a large one counts them at every call, and is not for inner loops.
    """
    return _compiled(function, inline="always")


def exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make `function` a part that rounds every operation where it stands."""
    return _compiled(function, fastmath=False)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    options = {"fastmath": FASTMATH} | options
    decorate = njit(nogil=True, error_model="numpy", **options)
    compiled: Callable[..., Any] = decorate(function)
    return compiled
