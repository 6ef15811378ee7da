"""Results as text: DuckDB's boxes, CSV, JSON.

DuckDB itself turns values to text, so a number stays what it is, and a result of any size passes
through a few rows at a time.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import duckdb

MAX_ROWS = 40  # of a box, as in DuckDB's shell; the middle of a longer result is left out
UNLIMITED = 1_000_000  # columns of characters, where nobody's window limits a line
BATCH = 2_048  # rows


def box(con: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation) -> None:
    """A box with the types of its columns; what EXPLAIN says is a picture already."""
    if relation.columns == ["explain_key", "explain_value"]:
        print("\n".join(value for _, value in relation.fetchall()))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED
    relation.show(max_width=width, max_rows=MAX_ROWS)


def comma_separated(con: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation) -> None:
    """CSV with a header, and NULL for what is missing, as DuckDB's shell writes it."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(relation.columns)
    for row in _rows(con, relation, "columns(*)::varchar"):
        writer.writerow(["NULL" if value is None else value for value in row])


def json_array(con: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation) -> None:
    """One array of objects."""
    before = "["
    for (row,) in _rows(con, relation, "to_json(mf__result)::varchar"):
        sys.stdout.write(before + row)
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[" else "]\n")


def json_lines(con: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation) -> None:
    """An object on each line."""
    for (row,) in _rows(con, relation, "to_json(mf__result)::varchar"):
        sys.stdout.write(row + "\n")


MODES: dict[str, Callable[[duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation], None]] = {
    "duckbox": box,
    "csv": comma_separated,
    "json": json_array,
    "jsonlines": json_lines,
}


def _rows(
    con: duckdb.DuckDBPyConnection, mf__result: duckdb.DuckDBPyRelation, expressions: str
) -> Iterator[tuple[Any, ...]]:
    """SQL expressions over the rows of a relation, which DuckDB finds in this function."""
    con.execute("set python_enable_replacements = true")
    try:
        con.execute(f"select {expressions} from mf__result")
        while rows := con.fetchmany(BATCH):
            yield from rows
    finally:
        con.execute("set python_enable_replacements = false")
