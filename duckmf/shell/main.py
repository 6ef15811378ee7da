"""What the command line asks of the shell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from duckmf.connection import plugin
from duckmf.errors import CommandError
from duckmf.shell.session import Session


def run(database: str, read_only: bool, mode: str, inputs: Sequence[tuple[str, str]]) -> None:
    """Run statements and files; without any, standard input or a terminal's user.

    Args:
        database: a file, made if missing, or ':memory:'.
        read_only: refuse to write to it.
        mode: how results are shown.
        inputs: ('SQL', statements) and ('FILE', path), in this order.

    Raises:
        CommandError: a terminal's user has not installed what the interactive shell needs.
        duckdb.Error, DuckMFError, OSError: of the first statement that fails.
    """
    interact = _interactive() if not inputs and sys.stdin.isatty() else None
    with closing(plugin.connect(database, read_only=read_only)) as con:
        session = Session(con, mode, progress=interact is not None)
        for kind, text in inputs:
            if kind == "FILE":
                with Path(text).open(encoding="utf-8") as lines:
                    session.script(lines)
            else:
                session.script(text.splitlines(keepends=True))
        if interact is not None:
            interact(session, database)
        elif not inputs:
            session.script(sys.stdin)


def _interactive() -> Callable[[Session, str], None]:
    try:
        from duckmf.shell import prompt
    except ModuleNotFoundError as missing:
        raise CommandError(
            f"duckmf: the interactive shell needs {missing.name}. Run pip install 'duckmf[shell]'; "
            "-c, -f and standard input work without."
        ) from missing
    return prompt.interact
