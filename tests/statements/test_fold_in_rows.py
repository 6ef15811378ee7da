"""Rows that are solved alone, against those that training made of the same ratings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.statements.models import fit, numbers, rows

EXACT = {
    "als": {},
    "als, nonnegative": {"algorithm": "als", "nonnegative": True, "epochs": 40},
    "als by count": {"algorithm": "als", "regularization": 0.1, "regularization_scaling": 1},
    "als, regularized apart": {
        "algorithm": "als",
        "user_regularization": 0.5,
        "item_regularization": 3,
        "bias_regularization": 0.1,
    },
    "bias": {},
    "popularity": {},
    "implicit_als": {"solver": "cholesky"},
}

COLUMNS = ("kind", "user_id", "item_id", "code", "ratings", "seen", "seen_ratings")


@pytest.mark.parametrize("case", EXACT)
def test_a_user_of_the_training_gets_its_trained_row(small, case):
    fit(small, **({"algorithm": case} | EXACT[case]))
    call = "mf_fold_in(films, ratings, user_id, item_id, rating)"
    found, trained = numbers(small, call, "user"), numbers(small, "films", "user")
    np.testing.assert_allclose(found, trained, atol=1e-5)
    small.execute("create view users as from films where kind = 'user'")
    assert rows(small, call, *COLUMNS) == rows(small, "users", *COLUMNS)


def test_a_user_near_its_optimum_gets_there(small):
    fit(small, "implicit_als", solver="cg", epochs=30)
    call = "mf_fold_in(films, ratings, user_id, item_id, rating)"
    found, trained = numbers(small, call, "user"), numbers(small, "films", "user")
    np.testing.assert_allclose(found, trained, atol=2e-3)


@pytest.mark.newest
@pytest.mark.parametrize("case", EXACT)
def test_items_too_once_training_has_settled(small, case):
    fit(small, **({"algorithm": case} | EXACT[case] | {"epochs": 300}))
    call = "mf_fold_in_items(films, ratings, user_id, item_id, rating)"
    found, trained = numbers(small, call, "item"), numbers(small, "films", "item")
    np.testing.assert_allclose(found, trained, atol=2e-3)
    columns = [column for column in COLUMNS if not column.startswith("seen")]
    small.execute("create view items as from films where kind = 'item'")
    assert rows(small, call, *columns) == rows(small, "items", *columns)


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", ["svd", "svdpp"])
def test_svd_users_and_items_minimize_the_objective_of_training(small, algorithm):
    fit(small, algorithm, epochs=200)
    for side, call in (("user", "mf_fold_in"), ("item", "mf_fold_in_items")):
        found = numbers(small, f"{call}(films, ratings, user_id, item_id, rating)", side)
        trained = numbers(small, "films", side)
        assert np.corrcoef(found.ravel(), trained.ravel())[0, 1] > 0.995


@pytest.mark.newest
def test_bpr_ranks_for_a_user_folded_in_as_for_one_trained(movielens):
    movielens.execute("create table clicks as from mf_split(ratings, user_id, movie_id)")
    movielens.execute("create view train as from clicks where split = 'train' and rating >= 4")
    movielens.execute("create view test as from clicks where split = 'test' and rating >= 4")
    movielens.execute(
        "create table films as from mf_fit(train, user_id, movie_id, algorithm := 'bpr', epochs := 30)"
    )
    movielens.execute(
        "create table folded as from films where kind <> 'user' "
        "union all from mf_fold_in(films, train, user_id, movie_id, unknown := 'ignore')"
    )
    ndcg = [
        movielens.execute(
            f"select ndcg from mf_evaluate_ranking({m}, test, user_id, movie_id)"
        ).fetchall()[0][0]
        for m in ("films", "folded")
    ]
    assert ndcg[1] > 0.97 * ndcg[0] > 0.1


@pytest.mark.newest
@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_bpr_ranks_items_folded_in_as_those_trained(movielens, sampling):
    movielens.execute("create table clicks as from mf_split(ratings, user_id, movie_id)")
    movielens.execute("create view train as from clicks where split = 'train' and rating >= 4")
    movielens.execute("create view test as from clicks where split = 'test' and rating >= 4")
    movielens.execute(
        "create table films as from mf_fit(train, user_id, movie_id, algorithm := 'bpr', "
        f"epochs := 50, negative_sampling := '{sampling}')"
    )
    movielens.execute(
        "create table folded as from films where kind <> 'item' "
        "union all from mf_fold_in_items(films, train, user_id, movie_id)"
    )
    trained, folded = (
        movielens.execute(
            f"select ndcg, auc from mf_evaluate_ranking({m}, test, user_id, movie_id)"
        ).fetchall()[0]
        for m in ("films", "folded")
    )
    assert folded[0] > 0.95 * trained[0] > 0.1
    assert folded[1] > 0.98 * trained[1] > 0.8
