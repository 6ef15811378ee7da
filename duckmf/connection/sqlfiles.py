"""The SQL files: where they are, and their text for a database or for one connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

BATCH = "batch"  # the file whose macros take the place of plain ones, and call them
# the files whose macros call Python functions
NEED_PYTHON = frozenset(
    {BATCH, "cross_validate", "fit", "fold_in", "learn", "models", "project", "tune", "update"}
)
# the files whose macros call those of other files
CALL_OTHERS = frozenset({"compare", "publish", "cross_validate", "fit", "tune"})
CLIENT = "remote"  # the file for clients of `duckmf serve`; its macros call DuckDB's Quack


def folder() -> Path:
    """The folder of the SQL files: in the installed package, or at the top of the checkout."""
    package = Path(__file__).parent.parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


@cache
def pure() -> str:
    """The macros that need no Python, as they stand in the files."""
    return _text(path for path in files() if path.stem not in NEED_PYTHON)


@cache
def served() -> str:
    """The macros for all sessions of one process that has the Python functions."""
    return _text(path for path in files() if path.stem != BATCH)


def withdrawn() -> str:
    """What drops those of `served` that only such a process can use."""
    text = _text(path for path in files() if path.stem in NEED_PYTHON - {BATCH})
    macros = re.findall(r"^comment on macro (table |)(\w+)", text, re.MULTILINE)
    return "\n".join(f"drop macro {kind}if exists {name};" for kind, name in macros)


@cache
def temporary() -> str:
    """All macros, made to live on one connection; those of batch.sql replace plain ones."""
    plain = _text(path for path in files() if path.stem != BATCH)
    batch = _text(path for path in files() if path.stem == BATCH)
    text = "\n".join(("", plain, _under_other_names(plain, batch), batch))
    text = text.replace("\ncreate or replace macro ", "\ncreate or replace temp macro ")
    return re.sub(r"\ncomment on macro (table )?", r"\g<0>temp.", text)


def _under_other_names(plain: str, batch: str) -> str:
    """The plain macros that `batch` replaces, with their comments, as mf__plain_..."""
    names = "|".join(re.findall(r"^create or replace macro mf_(\w+)\(", batch, re.MULTILINE))
    begin = rf"^(create or replace macro|comment on macro table) mf_({names})\b"
    statements = re.finditer(begin + r".*?;$", plain, re.MULTILINE | re.DOTALL)
    return "\n".join(re.sub(begin, r"\1 mf__plain_\2", s.group()) for s in statements)


def files() -> list[Path]:
    """All but the client's; those that call macros of others come last: DuckDB binds at once."""
    found = (path for path in folder().glob("*.sql") if path.stem != CLIENT)
    return sorted(found, key=lambda path: (path.stem in CALL_OTHERS, path.stem))


def _text(paths: Iterable[Path]) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
