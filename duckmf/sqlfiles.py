"""The SQL files: where they are, and their text for a database or for one connection."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

NEED_PYTHON = frozenset({"fit"})  # the files whose macros call Python functions


def folder() -> Path:
    """The folder of the SQL files: in the installed package, or at the top of the checkout."""
    package = Path(__file__).parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


@cache
def pure() -> str:
    """The macros that need no Python, as they stand in the files."""
    return _text(path for path in _files() if path.stem not in NEED_PYTHON)


@cache
def temporary() -> str:
    """All macros, made to live on one connection."""
    text = "\n" + _text(_files())
    text = text.replace("\ncreate or replace macro ", "\ncreate or replace temp macro ")
    return text.replace("\ncomment on macro table ", "\ncomment on macro table temp.")


def _files() -> list[Path]:
    return sorted(folder().glob("*.sql"))


def _text(paths: Iterable[Path]) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
