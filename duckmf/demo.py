"""`duckmf demo`: the quick start on real data, each statement with its result and its time."""

from __future__ import annotations

import time
from pathlib import Path

import duckdb

from duckmf.connection import plugin
from duckmf.connection.installing import install


def run(database: str | None) -> None:
    """Run `examples/quickstart.sql` in a new database: in memory, or in a file to keep.

    Raises:
        FileExistsError: the file is already there.
    """
    if database is not None and Path(database).exists():
        raise FileExistsError(f"duckmf demo: {database} exists; name a new file.")
    con = plugin.connect(database or ":memory:")
    con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
    began = time.perf_counter()
    for statement in (examples() / "quickstart.sql").read_text(encoding="utf-8").split("\n\n"):
        show(con, statement.strip())
    print(f"\nDone in {time.perf_counter() - began:.1f} s.")
    if database is not None:
        install(con)
        print(f"The model is in {database}: open it with the DuckDB shell and try")
        print("FROM mf_recommend(films, 1);")
    con.close()


def show(con: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Print a statement and what it gives: a table, or how long it took."""
    print(f"\n{statement}", flush=True)
    (parsed,) = con.extract_statements(statement)
    if parsed.type == duckdb.StatementType.SELECT:
        print(con.sql(statement))
    else:
        began = time.perf_counter()
        con.execute(statement)
        print(f"-- {time.perf_counter() - began:.2f} s")


def examples() -> Path:
    """The folder of the examples: in the installed package, or at the top of the checkout."""
    package = Path(__file__).parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "examples"
