"""mf_fold_in and mf_fold_in_items of each algorithm: one row of 5 ratings, and many rows.

A model of 20,000 users and 27,000 items with 64 factors; time terms for all algorithms that have
them. One user (and one item) with 5 ratings, the median of ten statements; then 10,000 users with
their ratings of the training, into a table. Run: python -m tests.bench.fold_in_algorithms [algorithms]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import duckdb
import pyarrow as pa

import duckmf
from tests.bench.known_truth import Known

N_USERS, N_ITEMS, N_RATINGS, THREADS = 20_000, 27_000, 2_000_000, 2
ALGORITHMS = {
    "als": ", epochs := 2",
    "implicit_als": ", epochs := 2",
    "svd": ", epochs := 2",
    "svdpp": ", epochs := 2",
    "bpr": "",  # whose rows take the steps of all epochs of the training
    "als, time terms": ", epochs := 2, temporal := 'all'",
    "timesvdpp": ", epochs := 2",
}


def seconds(run: Callable[[], object], times: int = 1) -> float:
    """The median of some calls."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def measure(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Print a line of one algorithm."""
    algorithm = name.split(",")[0]
    rating = "least(greatest(rating, 0.5), 5)" if algorithm in ("implicit_als", "bpr") else "rating"
    call = f"user_id, item_id, {rating}" + (", ts" if "time" in name else "")
    con.execute(
        f"create or replace table films as from mf_fit(ratings, {call}, n_factors := 64, "
        f"algorithm := '{algorithm}'{ALGORITHMS[name]})"
    )
    user = f"from mf_fold_in(films, one_user, {call})"
    item = f"from mf_fold_in_items(films, one_item, {call})"
    for statement in (user, item):
        con.execute(statement).fetchall()
    one_user, one_item = (
        1000 * seconds(lambda s=s: con.execute(s).fetchall(), 10) for s in (user, item)
    )
    many = seconds(
        lambda: con.execute(f"create or replace table rows as from mf_fold_in(films, many, {call})")
    )
    print(
        f"{name}: a user {one_user:.0f} ms, an item {one_item:.0f} ms, "
        f"10,000 users {many:.2f} s, {600_000 / many:,.0f} users a minute",
        flush=True,
    )


if __name__ == "__main__":
    known = Known.make(N_USERS, N_ITEMS, N_RATINGS)
    users, items, values = known.train.users, known.train.items, known.train.values
    with duckmf.connect(config={"threads": THREADS}) as con:
        con.register("arrays", pa.table({"user_id": users, "item_id": items, "rating": values}))
        con.execute(
            "create table ratings as select *, 1.6e9 + hash(user_id * 7, item_id // 50) % 30000000 "
            "as ts from arrays"
        )
        con.execute(
            "create view one_user as select 999999 as user_id, item_id, rating, ts from ratings "
            "where user_id = (select min(user_id) from ratings) limit 5"
        )
        con.execute(
            "create view one_item as select user_id, 999999 as item_id, rating, ts from ratings "
            "where item_id = (select min(item_id) from ratings) limit 5"
        )
        con.execute("create view many as from ratings where user_id < 10000")
        for name in sys.argv[1:] or ALGORITHMS:
            measure(con, name)
