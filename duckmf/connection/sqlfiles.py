"""The SQL files: where they are, and their text for a database, a connection or a script.

A macro named `mf_...` is public. One named `mf__...` is a helper, which is written out where it is
called and never reaches a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from duckmf.connection.expand import Expander, Macro, macros, text_of

GROUND = "model"  # the file of the vocabulary that the others are written in
BATCH = "batch"  # the file whose macros take the place of plain ones of the same name
# the files whose macros call Python functions
NEED_PYTHON = frozenset(
    {BATCH, "cross_validate", "fit", "fold_in", "learn", "models", "project", "tune", "update"}
)
CLIENT = "remote"  # the file for clients of `duckmf serve`; its macros call DuckDB's Quack


def folder() -> Path:
    """The folder of the SQL files: in the installed package, or at the top of the checkout."""
    package = Path(__file__).parent.parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def files() -> list[Path]:
    """All files but the client's, in alphabetical order."""
    return sorted(path for path in folder().glob("*.sql") if path.stem != CLIENT)


@cache
def pure() -> str:
    """What stores the public macros that need no Python."""
    return _statements(_public(path.stem for path in files() if path.stem not in NEED_PYTHON))


def script() -> str:
    """`pure` with the manual of each file, as a script that a shell without Python reads."""
    parts = []
    for path in files():
        if path.stem not in NEED_PYTHON and (stored := _statements(_public([path.stem]))):
            manual = path.read_text(encoding="utf-8").split("\n\n", 1)[0]
            parts.append(f"{manual}\n\n{stored}")
    return "\n".join(parts)


@cache
def served() -> str:
    """What stores the public macros for all sessions of a process that has the Python functions."""
    return _statements(_public(path.stem for path in files() if path.stem != BATCH))


def withdrawn() -> str:
    """What drops those of `served` that only such a process can use."""
    gone = _public(NEED_PYTHON - {BATCH})
    return "\n".join(
        f"drop macro {'table ' if macro.is_table else ''}if exists {macro.name};" for macro in gone
    )


@cache
def temporary() -> str:
    """What gives all public macros to one connection; those of batch.sql replace plain ones."""
    known = _plain() | _of_file(BATCH)
    expander = Expander(known)
    return "".join(
        made.sql(temp=True) + made.comment_sql(temp=True)
        for made in (expander.expanded(m) for m in known.values() if _is_public(m.name))
    )


@cache
def type_of(helper: str) -> str:
    """The SQL type of a helper that is `null::<type>`: SQL and Python have one schema."""
    return text_of(_of_file(GROUND)[helper].body).removeprefix("null::")


@cache
def _of_file(stem: str) -> dict[str, Macro]:
    return macros((folder() / f"{stem}.sql").read_text(encoding="utf-8"))


@cache
def _plain() -> dict[str, Macro]:
    """The macros of all files but those that replace others."""
    return {
        name: macro
        for path in files()
        if path.stem != BATCH
        for name, macro in _of_file(path.stem).items()
    }


def _public(stems: Iterable[str]) -> Iterator[Macro]:
    expander = Expander(_plain())
    for stem in sorted(stems):
        for name, macro in _of_file(stem).items():
            if _is_public(name):
                yield expander.expanded(macro)


def helpers() -> frozenset[str]:
    """The names of all helpers."""
    return frozenset(name for name in _plain() | _of_file(BATCH) if not _is_public(name))


def _is_public(name: str) -> bool:
    return not name.startswith("mf__")


def _statements(made: Iterable[Macro]) -> str:
    return "".join(macro.sql() + macro.comment_sql() for macro in made)
