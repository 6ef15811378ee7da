"""svdpp against Surprise's SVDpp: the same parameters from the same steps, and the same folds.

Runs where Surprise is installed (the extra `oracles`), and prints the figures with `pytest -s`.
"""

from __future__ import annotations

import numpy as np
import pytest

import duckmf
from duckmf.kernels.svdpp import Paces, Parameters, Visits, descend
from tests.algorithms.test_svd import random_triples
from tests.conftest import MOVIELENS

surprise = pytest.importorskip("surprise", reason="needs the extra 'oracles'")
pd = pytest.importorskip("pandas", reason="needs the extra 'oracles'")

FOLDS = 3  # each a random fifth of the ratings
STEPS = {"n_factors": 20, "epochs": 20, "learning_rate": 0.007}  # what Surprise does by default


def peer_trainset(frame):
    data = surprise.Dataset.load_from_df(frame, surprise.Reader(rating_scale=(0.5, 5)))
    return data.build_full_trainset()


@pytest.mark.parametrize("epochs", [1, 3])
def test_plain_steps_in_the_same_order_give_the_parameters_of_surprise(epochs):
    users, items, values, *_ = random_triples(n=900)
    trainset = peer_trainset(pd.DataFrame({"user": users, "item": items, "rating": values}))
    lr, reg, n_factors = 0.02, 0.05, 7
    peer = surprise.SVDpp(n_factors, n_epochs=epochs, lr_all=lr, reg_all=reg, random_state=3).fit(
        trainset
    )
    rows = [trainset.ur[u] for u in range(trainset.n_users)]
    rated = np.array([i for row in rows for i, _ in row], np.int32)
    left = np.array([r for row in rows for _, r in row]) - trainset.global_mean
    indptr = np.append(0, np.cumsum([len(row) for row in rows]))
    turns = np.concatenate([np.arange(len(row), dtype=np.int32) for row in rows])
    drawn = np.random.RandomState(3)
    counts = (trainset.n_users, trainset.n_items, trainset.n_items)
    parts = [np.zeros(n) for n in counts[:2]]
    parts += [drawn.normal(0, 0.1, (n, n_factors)) for n in counts]
    pace = np.array([lr, lr * reg, lr * reg, lr * reg])
    paces = Paces(np.tile(pace, (counts[0], 1)), np.tile(pace[:3], (counts[1], 1)))
    visits = Visits(np.arange(counts[0]), indptr, rated, turns, left)
    for _ in range(epochs):
        descend(visits, Parameters(*parts), None, paces, 0.0)
    for part, theirs in zip(parts, (peer.bu, peer.bi, peer.pu, peer.qi, peer.yj), strict=True):
        assert np.abs(part - theirs).max() < 1e-13


def test_on_movielens_it_is_no_worse_than_surprise_and_better_than_svd_and_als():
    con = duckmf.connect()
    con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    names = ("als", "svd", "svdpp", "the same steps", "the same penalty", "surprise")
    losses = {name: [] for name in names}
    for seed in range(FOLDS):
        con.execute(
            "create or replace table parts as "
            f"from mf_split(ratings, user_id, movie_id, fraction := 0.2, seed := {seed})"
        )
        for part in ("train", "test"):
            con.execute(f"create or replace view {part} as from parts where split = '{part}'")
        for name in names[:3]:
            losses[name].append(rmse(con, algorithm=name))
        losses["the same steps"].append(rmse(con, algorithm="svdpp", **STEPS))
        penalty = {"regularization": 0.02, "regularization_scaling": 1}
        losses["the same penalty"].append(rmse(con, algorithm="svdpp", **STEPS, **penalty))
        losses["surprise"].append(theirs(con))
    con.close()
    means = {name: float(np.mean(values)) for name, values in losses.items()}
    print(", ".join(f"{name} {mean:.4f}" for name, mean in means.items()))
    assert means["svdpp"] <= min(means["svd"], means["als"])
    assert max(means["the same steps"], means["the same penalty"]) <= means["surprise"]


def rmse(con, **options) -> float:
    """Of a model with these options on the fold's test ratings."""
    named = ", ".join(f"{name} := {value!r}" for name, value in options.items())
    con.execute(
        f"create or replace table model as from mf_fit(train, user_id, movie_id, rating, {named})"
    )
    (loss,) = con.execute(
        "select rmse from mf_evaluate(model, test, user_id, movie_id, rating)"
    ).fetchone()
    return loss


def theirs(con) -> float:
    """Surprise with the same factors, epochs and step, on the same fold."""
    columns = "user_id, movie_id, rating"
    train, test = (con.execute(f"select {columns} from {part}").df() for part in ("train", "test"))
    peer = surprise.SVDpp(
        STEPS["n_factors"], n_epochs=STEPS["epochs"], lr_all=STEPS["learning_rate"],
        reg_all=0.02, random_state=0, cache_ratings=True,
    )  # fmt: skip
    peer.fit(peer_trainset(train))
    predicted = [peer.predict(u, i).est for u, i in zip(test.user_id, test.movie_id, strict=True)]
    return float(np.sqrt(np.mean((np.array(predicted) - test.rating) ** 2)))
