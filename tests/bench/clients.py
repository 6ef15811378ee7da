"""What a client without duckmf waits for: a list, a prediction, an evaluation, of the sample data.

A file with MovieLens latest-small, a model of it, the installed functions and what is published is
read by every client that is here: the DuckDB of this Python and its Arrow, SQLAlchemy and ADBC, the
shell, node and Chromium. Printed are rows of the table in docs/clients.md: medians of seven runs on
a warm connection, in milliseconds, and in brackets the first one.
Run: python -m tests.bench.clients make shop.duckdb, then python -m tests.bench.clients shop.duckdb
in the environment of each version.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import duckdb
import pytest

import duckmf
from tests.clients import shell_program
from tests.conftest import MOVIELENS
from tests.test_clients_js import in_browser, in_node

QUERIES = [
    "select item_id, score from mf_recommend(films, 196, k := 10) order by rank",
    "select prediction from mf_predict(films, wish, who, film)",
    "select rmse from mf_evaluate(films, ratings, user_id, movie_id, rating)",
]
ROUNDS = 7


def make(path: Path) -> None:
    """A new file, in the storage format that all clients read."""
    with duckmf.connect(path) as con:
        for table in ("ratings", "movies"):
            con.execute(f"create table {table} as from '{MOVIELENS / table}.parquet'")
        con.execute("create table wish as select 196 as who, 2571 as film")
        con.execute("create table films as from mf_fit(ratings, user_id, movie_id, rating)")
        duckmf.install(con)
        duckmf.publish(con, "films", duckmf.Titles("movies", "movie_id", "title"))


def timed(run: Callable[[str], object]) -> list[list[float]]:
    """Milliseconds of each query, in each round."""
    rounds = []
    for query in QUERIES:
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            run(query)
            times.append(1000 * (time.perf_counter() - began))
        rounds.append(times)
    return rounds


def clients(path: Path) -> Iterator[tuple[str, list[list[float]]]]:
    """Each client of this environment, with its times."""
    version = duckdb.__version__
    with duckdb.connect(path, read_only=True) as con:
        yield f"Python {version}", timed(lambda query: con.execute(query).fetchall())
        yield f"Python {version}, Arrow", timed(lambda query: con.sql(query).to_arrow_table())
    if importlib.util.find_spec("sqlalchemy") and importlib.util.find_spec("duckdb_sqlalchemy"):
        import sqlalchemy

        engine = sqlalchemy.create_engine(f"duckdb:///{path}")
        with engine.connect() as connection:
            run = lambda query: connection.execute(sqlalchemy.text(quoted(query))).fetchall()  # noqa: E731
            yield f"SQLAlchemy {sqlalchemy.__version__}, DuckDB {version}", timed(run)
        engine.dispose()
    if importlib.util.find_spec("adbc_driver_manager"):
        import adbc_driver_duckdb.dbapi

        with adbc_driver_duckdb.dbapi.connect(str(path)) as connection:

            def fetched(query: str) -> object:
                with connection.cursor() as cursor:
                    cursor.execute(query)
                    return cursor.fetchall()

            yield f"ADBC of DuckDB {version}", timed(fetched)
    yield shell(path)
    yield from javascript(path)


def quoted(query: str) -> str:
    """A query in which SQLAlchemy sees no parameters."""
    return query.replace(":=", "\\:=")


def shell(path: Path) -> tuple[str, list[list[float]]]:
    """The DuckDB shell, by its own timer."""
    program = [shell_program(), "-init", os.devnull, "-readonly", path]  # 1.4 has no -no-init
    about = subprocess.run([program[0], "--version"], capture_output=True, text=True, check=True)
    script = ".timer on\n" + "".join(f"{query};\n" * ROUNDS for query in QUERIES)
    done = subprocess.run(program, input=script, capture_output=True, text=True, check=True)
    times = [1000 * float(seconds) for seconds in re.findall(r"real ([\d.]+)", done.stdout)]
    assert len(times) == ROUNDS * len(QUERIES)
    return f"shell {about.stdout.split()[0]}", [
        times[n : n + ROUNDS] for n in range(0, len(times), ROUNDS)
    ]


def javascript(path: Path) -> Iterator[tuple[str, list[list[float]]]]:
    """node and Chromium, where they are."""
    with tempfile.TemporaryDirectory() as folder:
        readers = {
            "node": lambda: in_node(path, [*QUERIES, "select version()"]),
            "Chromium": lambda: in_browser(path, [*QUERIES, "select version()"], Path(folder)),
        }
        for name, read in readers.items():
            try:
                *made, version = read()
            except pytest.skip.Exception as skipped:
                print(f"no {name}: {skipped}", file=sys.stderr)
                continue
            yield f"{name}, DuckDB {version['rows'][0][0]}", [answer["times"] for answer in made]


def main() -> None:
    match sys.argv[1:]:
        case ["make", path]:
            make(Path(path))
        case [path]:
            for name, rounds in clients(Path(path)):
                cells = [f"{median(times):.1f} ({times[0]:.0f})" for times in rounds]
                print(f"| {name} | {' | '.join(cells)} |", flush=True)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
