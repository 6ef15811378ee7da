"""The SQL files: where they are, and their text for a database, a connection or a script.

A macro named `mf_...` is public. One named `mf__...` is a helper, which is written out where it is
called and never reaches a database. Two helpers are made here, of what the files say of themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import takewhile
from pathlib import Path

import duckdb

from duckmf.connection.expand import Expander, Macro, macros
from duckmf.connection.tokens import text_of, tokens

GROUND = "model"  # the file of the vocabulary that the others are written in
BATCH = "batch"  # the file whose macros take the place of plain ones of the same name
# the files whose macros call Python functions
NEED_PYTHON = frozenset(
    (
        *(BATCH, "cross_validate", "fit", "fold_in", "learn"),
        *("models", "project", "run", "tune", "update"),
    )
)
CLIENT = "remote"  # the file for clients of `duckmf serve`; its macros call DuckDB's Quack
# parameters of these names DuckDB 1.x takes for something else, quoted or not, in what it exports
KEYWORDS = frozenset({"interval"})
SERVER = "duckmf-serve"  # what a process of `duckmf serve` calls itself to DuckDB


def folder() -> Path:
    """The folder of the SQL files: in the installed package, or at the top of the checkout."""
    package = Path(__file__).parent.parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def files() -> list[Path]:
    """All files but the client's, in alphabetical order."""
    return sorted(path for path in folder().glob("*.sql") if path.stem != CLIENT)


@cache
def stored() -> tuple[Macro, ...]:
    """The public macros that a database stores: of those that need Python, what says so."""
    plain = (path.stem for path in files() if path.stem not in NEED_PYTHON)
    return (*public(plain), *_withdrawn())


@cache
def pure() -> str:
    """What stores them."""
    return text_of_macros(stored())


def script() -> str:
    """`pure` with the manual of each file, as a script that a shell without Python reads."""
    parts = []
    for path in files():
        if path.stem not in NEED_PYTHON and (
            text := text_of_macros(map(_for_any_duckdb, public([path.stem])))
        ):
            header = _read(path.stem).split("\n\n", 1)[0]
            parts.append(f"{header}\n\n{text}")
    return "\n".join([*parts, withdrawn()])


@cache
def served() -> str:
    """What stores the public macros for all sessions of a process that has the Python functions.

    In any other process, such as one that opens the file after this one was killed, those that need
    Python say so.
    """
    expander = Expander(_plain())
    plain = (path.stem for path in files() if path.stem not in NEED_PYTHON)
    learning = (expander.expanded(_guarded(macro)) for macro in public(NEED_PYTHON - {BATCH}))
    return text_of_macros([*public(plain), *learning])


@cache
def withdrawn() -> str:
    """What replaces those of `served` that only such a process can use, by what says so."""
    return text_of_macros(_withdrawn())


def _withdrawn() -> Iterator[Macro]:
    expander = Expander(_plain())
    return (expander.expanded(_missing(macro)) for macro in public(NEED_PYTHON - {BATCH}))


def _guarded(macro: Macro) -> Macro:
    """A macro that in another process than the server's says that it needs Python."""
    begin = f"select mf__made.* from mf__served('{macro.name}', mf__python) mf__here, ("
    return replace(_missing(macro), body=(*tokens(begin), *macro.body, *tokens(") mf__made")))


def _missing(macro: Macro) -> Macro:
    """What takes the arguments of a macro and says that it needs Python."""
    return replace(
        macro,
        parameters={**macro.parameters, "mf__python": tokens("null")},
        body=tokens(f"from mf__needs_python('{macro.name}', mf__python)"),
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
    return macros(_read(stem))


def _read(stem: str) -> str:
    return (folder() / f"{stem}.sql").read_text(encoding="utf-8")


@cache
def _plain() -> dict[str, Macro]:
    """The macros of all files but those that replace others, and those that are made here."""
    stems = [path.stem for path in files() if path.stem != BATCH]
    written = {name: macro for stem in stems for name, macro in _of_file(stem).items()}
    if int(duckdb.__version__.split(".")[0]) < 2:
        written = {name: _for_any_duckdb(macro) for name, macro in written.items()}
    return written | macros(_made(stems))


def _for_any_duckdb(macro: Macro) -> Macro:
    """A macro without parameters of such names that DuckDB 1.x cannot read back what it exports."""
    kept = {name: value for name, value in macro.parameters.items() if name not in KEYWORDS}
    body = tuple(
        token._replace(kind="name", text="null", name="null") if token.name in KEYWORDS else token
        for token in macro.body
    )
    return (
        replace(macro, parameters=kept, body=body) if len(kept) < len(macro.parameters) else macro
    )


def _made(stems: Iterable[str]) -> str:
    """The helpers of help.sql that say what is in files, and whose they are."""
    from duckmf import __version__

    described: dict[tuple[str, bool], list[Macro]] = {}
    for stem in stems:
        for macro in filter(lambda macro: _is_public(macro.name), _of_file(stem).values()):
            described.setdefault((manual(stem, macro.name), stem in NEED_PYTHON), []).append(macro)
    rows = [
        f"([{', '.join(_text(macro.name) for macro in group)}], "
        f"[{', '.join(macro.comment for macro in group)}], {needs_python}, {_text(text)})"
        for (text, needs_python), group in described.items()
    ]
    return f"""
    create or replace macro mf__release() as {_text(__version__)};
    create or replace macro mf__server() as {_text(SERVER)};
    create or replace macro mf__manuals() as table
        from (values {", ".join(rows)}) m(names, comments, needs_python, manual);
    """


def manual(stem: str, name: str) -> str:
    """The manual of a macro: the comment of its file that begins with its name, or the first."""
    parts = _read(stem).split("\n\n")
    own = next((part for part in parts if re.match(rf"-- {name}\b", part)), parts[0])
    comment = takewhile(lambda line: line.startswith("--"), own.splitlines())
    return "\n".join(line[3:] for line in comment)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def public(stems: Iterable[str]) -> Iterator[Macro]:
    """The public macros of some files, each without calls of others."""
    expander = Expander(_plain())
    for stem in sorted(stems):
        for name, macro in _of_file(stem).items():
            if _is_public(name):
                yield expander.expanded(_plain()[name] if stem != BATCH else macro)


def helpers() -> frozenset[str]:
    """The names of all helpers."""
    return frozenset(name for name in _plain() | _of_file(BATCH) if not _is_public(name))


def _is_public(name: str) -> bool:
    return not name.startswith("mf__")


def text_of_macros(made: Iterable[Macro]) -> str:
    """The statements that store some macros, and document them in the catalogue."""
    return "".join(macro.sql() + macro.comment_sql() for macro in made)
