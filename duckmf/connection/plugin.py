"""Entry points: duckmf on a connection, and its macros in a database file."""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from duckdb.func import FunctionNullHandling, PythonUDFType

from duckmf.connection import sqlfiles
from duckmf.connection.functions import PURE, SIGNATURES, Udfs
from duckmf.connection.relations import place_of
from duckmf.errors import CommandError
from duckmf.statements import interrupts

if TYPE_CHECKING:
    from duckmf.connection.calls import Calls

STORAGE_VERSION = (
    "v1.4.0"  # what every supported DuckDB, and the current shells and tools, can read
)

INSTANCE = "mf__instance_"

# DuckDB may call a function after its connection is gone: what is registered stays for good.
_registered: list[Udfs] = []
_loaded: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
# Parsed once: a client such as dbt opens many connections.
_macros: list[duckdb.Statement] = []


class Loaded:
    """Stands for a connection: the methods are the connection's own, its cursors are loaded too.

    DuckDB keeps temp macros to the connection that made them, so that a cursor does not see those
    of its connection.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, udfs: Udfs) -> None:
        self._con, self._udfs = con, udfs

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a cursor with the `mf_` functions."""
        cursor = self._con.cursor()
        add_macros(cursor, self._udfs)
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)


def load(con: duckdb.DuckDBPyConnection | Loaded) -> Loaded:
    """Give a connection the `mf_` functions.

    The Python functions go to the database instance, once; the macros go to this connection, as
    temp macros. Nothing is written to the database, which may be read-only. Loading again is
    harmless. Another connection or cursor of the instance needs a `load` of its own.

    Returns what stands for the connection where a client opens a cursor for each statement, as
    jupysql (`%sql`) and `pandas.read_sql` do: its cursors are loaded.
    """
    if isinstance(con, Loaded):
        con = con._con
    if isinstance(con, str | Path):
        raise CommandError(
            f"duckmf.load: {str(con)!r} is a file. duckmf.connect({str(con)!r}) opens it, with "
            "duckmf; load takes a connection."
        )
    udfs = add_functions(con)
    add_macros(con, udfs)
    return Loaded(con, udfs)


def add_functions(con: duckdb.DuckDBPyConnection) -> Udfs:
    """Give a connection's database instance the Python functions, unless it has them."""
    udfs = _udfs_of(con)
    _loaded.add(con)
    interrupts.listen()
    return udfs


def add_macros(con: duckdb.DuckDBPyConnection, udfs: Udfs) -> None:
    """Give a connection the macros, as temp macros; its instance has these Python functions."""
    global _macros
    ((number,),) = con.execute("select current_connection_id()").fetchall()
    udfs.connections.add(number, con)
    if not _macros:
        _macros = con.extract_statements(sqlfiles.temporary())
    for statement in _macros:
        con.execute(statement)


def calls_of(con: duckdb.DuckDBPyConnection) -> Calls | None:
    """What is under way in a connection's database instance; None before the first call."""
    return _udfs_of(con).calls


def _udfs_of(con: duckdb.DuckDBPyConnection) -> Udfs:
    """The Python functions of a connection's database instance; registered now if they are not yet.

    The name of one more function says which they are.
    """
    # no parameter: DuckDB 1.5 imports pandas for one
    names = con.execute(
        "select function_name from duckdb_functions() "
        "where starts_with(function_name, 'mf__instance_')"
    ).fetchall()
    if names:
        return _registered[int(names[0][0].removeprefix(INSTANCE))]
    number = len(_registered)
    _registered.append(udfs := Udfs())
    con.create_function(f"{INSTANCE}{number}", lambda: number, [], "INTEGER")
    for name, (parameters, returns) in SIGNATURES.items():
        con.create_function(
            name,
            udfs.functions[name],
            parameters,  # type: ignore[arg-type]  # a list of names, which is invariant
            returns,
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
            side_effects=name not in PURE,
        )
    return udfs


def connect(path: str | Path = ":memory:", **kwargs: Any) -> duckdb.DuckDBPyConnection:
    """Open a database as `duckdb.connect` does, with duckmf loaded.

    A file that does not exist yet is made in the storage format of DuckDB 1.4, so that every
    current shell and BI tool opens it; `config={'storage_compatibility_version': ...}` overrides.
    """
    if str(path) != ":memory:" and not Path(path).exists():
        config = {"storage_compatibility_version": STORAGE_VERSION, **kwargs.get("config", {})}
        kwargs["config"] = config
    con = duckdb.connect(str(path), **kwargs)
    load(con)
    return con


def beside(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A new connection to the same database instance, in the same database and schema."""
    place = place_of(con)
    cursor = con.cursor()
    cursor.execute(f"use {place}")
    return cursor


@atexit.register
def _remove_functions() -> None:
    """DuckDB 2.0 complains at exit of Python functions on connections that are still open."""
    for con in list(_loaded):
        instances = [f"{INSTANCE}{number}" for number in range(len(_registered))]
        for name in [*SIGNATURES, *instances]:
            with contextlib.suppress(duckdb.Error):
                con.remove_function(name)


def _start_anew() -> None:
    """The functions of a forked process begin with nothing under way."""
    for udfs in _registered:
        udfs.start_anew()


if hasattr(os, "register_at_fork"):  # Windows has none
    os.register_at_fork(after_in_child=_start_anew)
