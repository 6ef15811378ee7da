"""What duckmf.sql adds to a statement: python -m tests.bench.bigquery_reader

The time of duckmf.sql beside that of con.sql, both in turn; and for statements of ours, which con.sql
cannot run, the time until the SQL for DuckDB is there.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import duckdb

import duckmf
from duckmf import bigquery

OTHERS = {
    "short": "SELECT 42",
    "with the words": "SELECT model, 'create model x' AS ml FROM models WHERE model LIKE 'ml.%'",
    "2 kB": "SELECT " + ", ".join(f"{i} AS column_{i}" for i in range(110)) + " FROM models",
    "200 kB": "SELECT " + ", ".join(f"'value {i}'" for i in range(14_000)),
    "in backticks": "SELECT \"model\" FROM `models` WHERE `model` <> 'x'",
}
OURS = {
    "CREATE MODEL": "CREATE OR REPLACE MODEL m OPTIONS(model_type = 'matrix_factorization', "
    "num_factors = 8, l2_reg = 2.0) AS SELECT * FROM ratings",
    "DROP MODEL": "DROP MODEL m",
    "ML.RECOMMEND": "SELECT * FROM ML.RECOMMEND(MODEL m, (SELECT 1 AS user)) ORDER BY 1 DESC LIMIT 5",
    "ML.EVALUATE": "SELECT * FROM ML.EVALUATE(MODEL m, TABLE ratings)",
    "in backticks": "SELECT `user` FROM ML.RECOMMEND(MODEL `m`, (SELECT `user` FROM `ratings`))",
}


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def translate(con: duckdb.DuckDBPyConnection, text: str) -> None:
    (statement,) = bigquery.statements(text)
    bigquery.translate(con, statement)


def main() -> None:
    con = duckmf.connect()
    con.execute("create table models as select 'als' as model").fetchall()
    con.execute(
        "create table ratings as select * from (values (1, 1, 5.0), (1, 2, 3.0), (2, 1, 4.0)) r(user, item, rating)"
    ).fetchall()
    knows_backticks = len(duckdb.tokenize("`a b`")) == 1
    print("added to a statement that is not ours: median of 200 differences, ms")
    for name, text in OTHERS.items():
        if "`" in text and not knows_backticks:
            continue
        plain, ours = partial(con.sql, text), partial(duckmf.sql, con, text)
        added = statistics.median(-seconds(plain) + seconds(ours) for _ in range(200))
        reading = statistics.median(seconds(partial(bigquery.statements, text)) for _ in range(200))
        print(f"{name:16}{added * 1e3:8.3f}   of it reading {reading * 1e3:.3f}")
    duckmf.sql(con, OURS["CREATE MODEL"])
    print("until one of ours is DuckDB's SQL: median of 100, ms")
    for name, text in OURS.items():
        took = statistics.median(seconds(partial(translate, con, text)) for _ in range(100))
        print(f"{name:16}{took * 1e3:8.3f}")
    code = (
        "import time, duckmf; con = duckmf.connect(); began = time.perf_counter();"
        "duckmf.sql(con, 'drop model if exists m'); print(time.perf_counter() - began)"
    )
    cold = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(3)
    ]
    print(f"the first of a process, which imports sqlglot: {statistics.median(cold) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
