"""The dot commands that a user of DuckDB's shell knows."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from duckmf.errors import CommandError
from duckmf.shell import output

if TYPE_CHECKING:
    from duckmf.shell.session import Session

# The objects of the attached databases: their names as one writes them here, and what made them.
OBJECTS = """
    select
        concat_ws(
            '.',
            case when o.database_name not in (current_database(), 'temp') then o.database_name end,
            case when o.schema_name not in (current_schema(), 'main') then o.schema_name end,
            o.name
        ),
        o.sql
    from (
        select t.database_name, t.schema_name, t.table_name as name, t.sql, 'table' as kind
        from duckdb_tables() t where not t.internal
        union all
        select v.database_name, v.schema_name, v.view_name, v.sql, 'view'
        from duckdb_views() v where not v.internal
        union all
        select i.database_name, i.schema_name, i.index_name, i.sql, 'index' from duckdb_indexes() i
    ) o
    where o.name like $1 and list_contains($2, o.kind)
    order by o.kind <> 'table', o.kind <> 'view', 1
"""


class Command(NamedTuple):
    """What a dot command takes, says of itself and does."""

    usage: str
    help: str
    run: Callable[..., None]

    def takes(self, words: list[str]) -> bool:
        """Whether it can be given so many words; those in [brackets] may be left out."""
        parameters = self.usage.split()[1:]
        needed = [parameter for parameter in parameters if not parameter.startswith("[")]
        return len(needed) <= len(words) <= len(parameters)


def run(session: Session, line: str) -> None:
    """Run a dot command.

    Raises:
        CommandError: there is none of this name, or not with these words.
    """
    name, *words = _words(line)
    command = COMMANDS.get(name)
    if command is None:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {close[0]}?" if close else ".help lists all."
        raise CommandError(f"duckmf: there is no command {name}. {hint}")
    if not command.takes(words):
        raise CommandError(f"duckmf: {line} is not understood. Write {command.usage}")
    command.run(session, *words)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line.rstrip(";"))
    except ValueError as error:
        raise CommandError(f"duckmf: {line} is not understood: {error}.") from error


def _tables(session: Session, pattern: str = "%") -> None:
    for name, _ in session.con.execute(OBJECTS, [pattern, ["table", "view"]]).fetchall():
        print(name)


def _schema(session: Session, pattern: str = "%") -> None:
    kinds = ["table", "view", "index"]
    for _, made in session.con.execute(OBJECTS, [pattern, kinds]).fetchall():
        print(made.strip())


def _read(session: Session, file: str) -> None:
    with Path(file).expanduser().open(encoding="utf-8") as lines:
        session.script(lines)


def _mode(session: Session, mode: str | None = None) -> None:
    if mode is None:
        print(session.mode)
    elif mode not in output.MODES:
        raise CommandError(f"duckmf: there is no mode {mode}. There are {', '.join(output.MODES)}.")
    else:
        session.mode = mode


def _timer(session: Session, state: str) -> None:
    if state not in ("on", "off"):
        raise CommandError(f"duckmf: .timer is {state}. Give on or off.")
    session.timer = state == "on"


def _help(session: Session) -> None:
    width = max(len(command.usage) for command in COMMANDS.values())
    for command in COMMANDS.values():
        print(f"{command.usage:{width}}  {command.help}")


def _exit(session: Session) -> None:
    raise SystemExit(0)


COMMANDS = {
    command.usage.split()[0]: command
    for command in (
        Command(".exit", "leave", _exit),
        Command(".help", "list these commands", _help),
        Command(".mode [MODE]", f"show results as {', '.join(output.MODES)}", _mode),
        Command(".quit", "leave", _exit),
        Command(".read FILE", "run the statements of a file", _read),
        Command(".schema [PATTERN]", "show what made tables, views and indexes", _schema),
        Command(".tables [PATTERN]", "list tables and views", _tables),
        Command(".timer on|off", "show how long statements take", _timer),
    )
}
