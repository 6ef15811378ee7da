"""Two clients that run the same SQL: a Python connection and the real DuckDB shell."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import duckdb
import pytest

import duckmf
from duckmf.connection import sqlfiles

SQL = sqlfiles.folder()
# the files with functions that need no Python; the others that need none hold helpers alone
SERVING = [
    file.stem
    for file in sqlfiles.files()
    if file.stem not in sqlfiles.NEED_PYTHON
    and " macro mf_" in file.read_text().replace("mf__", "")
]


_numbers = itertools.count(1)


class StatementError(Exception):
    """DuckDB's message for a statement that failed, without the kind of error before it."""


class Client(Protocol):
    """Runs a statement for its effect."""

    def run(self, statement: str) -> None: ...


class Connection:
    """A Python connection."""

    def __init__(self, path: Path, temporary: bool) -> None:
        self.con = duckdb.connect(path)
        self.con.execute(macros(temporary))

    def run(self, statement: str) -> None:
        try:
            self.con.execute(statement).fetchall()  # a statement is only over when it is fetched
        except duckdb.Error as error:
            raise StatementError(_without_kind(str(error))) from error


class Shell:
    """The DuckDB shell: a process for each statement, on one database file.

    It reads the macros from a script, or they are in the database already: the DuckDB of Python,
    which may be a newer one, has put them there.
    """

    def __init__(self, path: Path, installed: bool = False) -> None:
        self.program = shell_program()
        self.path = path
        if installed:
            with duckmf.connect(path) as con:
                duckmf.install(con)
        else:
            script = path.with_suffix(".sql")
            script.write_text(macros(temporary=False))
            self.run(f".read {script}")

    def run(self, statement: str) -> None:
        done = subprocess.run(
            [self.program, "-no-init", "-batch", "-bail", self.path],
            input=statement.rstrip(";\n") + ("" if statement.startswith(".") else ";") + "\n",
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode or done.stderr:
            raise StatementError(_without_kind(done.stderr.strip()))


def macros(temporary: bool) -> str:
    """What stores the functions that need no Python, or gives them to one connection."""
    kind = "temp macro" if temporary else "macro"
    return sqlfiles.pure().replace("create or replace macro ", f"create or replace {kind} ")


def shell_program() -> str:
    """The shell beside this Python or on the PATH; its absence skips, or fails in CI."""
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = os.environ.get("DUCKMF_SHELL") or shutil.which("duckdb", path=folders)
    if program is None and os.environ.get("DUCKMF_REQUIRE_SHELL"):
        pytest.fail("no DuckDB shell found: pip install duckdb-cli, or set DUCKMF_SHELL")
    if program is None:
        pytest.skip("no DuckDB shell found: pip install duckdb-cli, or set DUCKMF_SHELL")
    return program


def table(client: Client, query: str, folder: Path) -> list[str]:
    """The result as lines of text, columns split by a bar; DuckDB writes them, in any client.

    Each result has a file of its own. DuckDB 2.0 may put it in place after the statement is over.
    """
    target = folder / f"result{next(_numbers)}.csv"
    client.run(
        f"copy ({query.rstrip().rstrip(';')}) to '{target}' "
        "(format csv, header, delimiter '|', nullstr 'NULL', quote '')"
    )
    for _ in range(500):
        if target.exists():
            break
        time.sleep(0.01)
    return target.read_text().splitlines()


def _without_kind(message: str) -> str:
    kind, _, rest = message.partition("Error: ")
    return rest if rest and "\n" not in kind else message
