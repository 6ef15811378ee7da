"""What an update, a warm start and a new training give on a stream, and what they cost.

Quality: MovieLens latest-small in the order of time. A model of the first 80 % (stale) learns from
the next 10 % by mf_update, by mf_fit with warm_start and 2 epochs, or is trained again; all are
judged by the last 10 %. RMSE, or NDCG@10 of the algorithms that rank (ratings of 4 and more).
Cost: 1 M synthetic ratings of MovieLens-1M shape, 64 factors, of which 1 % are new, which touch most
rows, or ("few") 100.
Run: python -m tests.bench.update_vs_retraining [cost rounds]
"""

from __future__ import annotations

import statistics
import sys
import time

import duckdb
import pyarrow as pa

import duckmf
from tests.bench.known_truth import Known
from tests.conftest import MOVIELENS

RANKING = ("implicit_als", "bpr")
TIMED = ("timesvdpp",)
ALGORITHMS = ("als", "svd", "svdpp", *TIMED, *RANKING)
MODELS = {
    "stale": "mf_fit(earlier, {call}, algorithm := '{algorithm}'{how})",
    "updated": "mf_update(stale, new, {call})",
    "warm": "mf_fit(everything, {call}, warm_start := stale, epochs := 2)",
    "again": "mf_fit(everything, {call}, algorithm := '{algorithm}'{how})",
}


def call_of(algorithm: str, item: str, ts: str) -> str:
    """The columns that an algorithm learns from."""
    rating = "" if algorithm in RANKING else ", rating"
    return f"user_id, {item}{rating}" + (f", {ts}" if algorithm in TIMED else "")


def quality(con: duckdb.DuckDBPyConnection) -> None:
    """Print a line for each algorithm."""
    con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    for algorithm in ALGORITHMS:
        call = call_of(algorithm, "movie_id", "rated_at")
        least = 4 if algorithm in RANKING else 0
        con.execute(
            "create or replace table stream as select *, ntile(10) over "
            f"(order by rated_at, user_id, movie_id) as part from ratings where rating >= {least}"
        )
        for name, which in (("earlier", "< 9"), ("new", "= 9"), ("everything", "< 10")):
            con.execute(f"create or replace view {name} as from stream where part {which}")
        con.execute("create or replace view test as from stream where part = 10")
        found = []
        for name, statement in MODELS.items():
            text = statement.format(call=call, algorithm=algorithm, how="")
            con.execute(f"create or replace table {name} as from {text}")
            judge = f"rmse from mf_evaluate({name}, test, {call})"
            if algorithm in RANKING:
                judge = f"ndcg from mf_evaluate_ranking({name}, test, {call})"
            found.append(f"{name} {con.execute(f'select {judge}').fetchall()[0][0]:.4f}")
        print(f"{algorithm}: {', '.join(found)}", flush=True)


def cost(con: duckdb.DuckDBPyConnection, rounds: int) -> None:
    """Print the seconds of each way, and the ratio to a new training, for each algorithm."""
    known = Known.make(6_040, 3_706, 1_000_000)
    users, items, values = known.train.users, known.train.items, known.train.values
    arrays = pa.table({"user_id": users, "item_id": items, "rating": values})
    con.register("arrays", arrays)
    con.execute("create table rows as from arrays")
    con.execute("create table everything as select *, 1e9 + hash(rowid) % 30000000 as ts from rows")
    con.execute("create table new as from everything where rowid % 100 = 0")
    con.execute("create table earlier as from everything where rowid % 100 > 0")
    con.execute("create table hundred as from new limit 100")
    ways = MODELS | {"few": "mf_update(stale, hundred, {call})"}
    for algorithm in ALGORITHMS:
        call, seconds = call_of(algorithm, "item_id", "ts"), dict[str, list[float]]()
        for _ in range(rounds + 1):  # the first one compiles
            for name, statement in ways.items():
                text = statement.format(call=call, algorithm=algorithm, how=", n_factors := 64")
                began = time.perf_counter()
                con.execute(f"create or replace table {name} as from {text}")
                seconds.setdefault(name, []).append(time.perf_counter() - began)
        median = {name: statistics.median(found[1:]) for name, found in seconds.items()}
        parts = [
            f"{name} {median[name]:.2f} s "
            f"({statistics.median(b / a for a, b in zip(seconds[name][1:], seconds['again'][1:], strict=True)):.1f}x)"
            for name in ("few", "updated", "warm", "again")
        ]
        print(f"{algorithm}: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    with duckmf.connect() as con:
        quality(con)
    with duckmf.connect(config={"threads": 2}) as con:
        cost(con, int(sys.argv[1]) if len(sys.argv) > 1 else 3)
