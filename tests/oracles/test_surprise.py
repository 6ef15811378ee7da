"""als and svd with default options against a tuned Surprise SVD, on the same folds of real data.

Runs where Surprise is installed (the extra `oracles`), and prints the figures with `pytest -s`.
"""

from __future__ import annotations

import numpy as np
import pytest

import duckmf
from tests.conftest import MOVIELENS

surprise = pytest.importorskip("surprise", reason="needs the extra 'oracles'")

FOLDS = 5


def test_defaults_are_no_worse_than_a_tuned_surprise_svd():
    con = duckmf.connect()
    con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    con.execute(
        "create table folds as select *, (row_number() over (order by user_id, movie_id)) as n from ratings"
    )
    assigned = np.random.default_rng(0).permutation(np.arange(100_836) % FOLDS).tolist()
    con.execute(
        "create table assigned as select unnest($1) as fold, generate_subscripts($1, 1) as n",
        [assigned],
    )
    con.execute("create table parts as from folds join assigned using (n)")
    losses = {"als": [], "svd": [], "surprise": []}
    for fold in range(FOLDS):
        con.execute(f"create or replace view train as from parts where fold <> {fold}")
        con.execute(f"create or replace view test as from parts where fold = {fold}")
        for name in ("als", "svd"):
            con.execute(
                "create or replace table model as "
                f"from mf_fit(train, user_id, movie_id, rating, algorithm := '{name}')"
            )
            (rmse,) = con.execute(
                "select rmse from mf_evaluate(model, test, user_id, movie_id, rating)"
            ).fetchone()
            losses[name].append(rmse)
        losses["surprise"].append(theirs(con))
    con.close()
    means = {name: float(np.mean(values)) for name, values in losses.items()}
    print(", ".join(f"{name} {mean:.4f}" for name, mean in means.items()))
    assert means["als"] <= means["surprise"]
    assert means["svd"] <= means["surprise"]


def theirs(con) -> float:
    """Surprise on the same fold."""
    columns = "user_id, movie_id, rating"
    train, test = (con.execute(f"select {columns} from {part}").df() for part in ("train", "test"))
    data = surprise.Dataset.load_from_df(train, surprise.Reader(rating_scale=(0.5, 5)))
    peer = surprise.SVD(n_factors=100, n_epochs=100, lr_all=0.005, reg_all=0.1, random_state=0)
    peer.fit(data.build_full_trainset())
    predicted = [peer.predict(u, i).est for u, i in zip(test.user_id, test.movie_id, strict=True)]
    return float(np.sqrt(np.mean((np.array(predicted) - test.rating) ** 2)))
