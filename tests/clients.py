"""Clients of tests: a Python connection and the real DuckDB shell, which run the same SQL; processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

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
    """Runs statements for their effect."""

    def run(self, statement: str) -> None: ...

    def close(self) -> None: ...


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

    def close(self) -> None:
        self.con.close()


class Shell:
    """The DuckDB shell on a database file, in a process that runs one statement after the other.

    It reads the macros from a script, or they are in the database already: the DuckDB of Python,
    which may be a newer one, has put them there.
    """

    def __init__(self, path: Path, installed: bool = False) -> None:
        if installed:
            with duckmf.connect(path) as con:
                duckmf.install(con)
        self._process = subprocess.Popen(
            [shell_program(), "-no-init", "-batch", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if not installed:
            script = path.with_suffix(".sql")
            script.write_text(macros(temporary=False))
            self.run(f".read {script}")

    def run(self, statement: str) -> None:
        over = f"statement {next(_numbers)} is over"
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        line = statement.rstrip(";\n") + ("" if statement.startswith(".") else ";")
        self._process.stdin.write(f"{line}\nselect error('{over}');\n")
        self._process.stdin.flush()
        said = ""
        while over not in said:
            line = self._process.stderr.readline()
            assert line, f"the shell has died: {said}"
            said += line
        message = said.rpartition("Invalid Input Error")[0].strip()
        if message:
            raise StatementError(_without_kind(message))

    def close(self) -> None:
        """Leave the shell, which has the file to itself."""
        self._process.communicate(".exit\n", timeout=60)


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


@contextlib.contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """What starts in here takes SIGINT, even where this process ignores it, as jobs of scripts do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that Ctrl-C reaches, and that is gone afterwards."""
    with hearing_ctrl_c():
        child = subprocess.Popen(command, text=True, **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


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
