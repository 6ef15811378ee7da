"""strength: how much a user did with an item. It means implicit feedback in every function that learns."""

from __future__ import annotations

import pytest

from tests.statements.models import error, rows

RATED = "rating := 1 + user_id % 3"
STRONG = "strength := 1 + user_id % 3"


@pytest.fixture(autouse=True)
def ratings(con):
    con.execute(
        "create table ratings as select u as user_id, i as item_id, (1 + (u * 7 + i * 3) % 5)::double as rating "
        "from range(30) a(u), range(25) b(i) where (u * 5 + i * 3) % 4 <> 0"
    )


@pytest.mark.parametrize(
    "call",
    [
        "mf_fit(ratings, user_id, item_id, {}, algorithm := 'implicit_als', n_factors := 4)",
        "mf_fit(ratings, user_id, item_id, {}, algorithm := 'bpr', n_factors := 4, epochs := 3)",
    ],
)
def test_it_is_what_a_rating_is_to_an_implicit_algorithm(con, call):
    columns = "kind", "user_id", "item_id", "bias", "factors", "seen_ratings"
    strong = rows(con, call.format(STRONG), *columns)
    assert strong == rows(con, call.format(RATED), *columns)


def test_it_decides_which_algorithm_is_the_default(con):
    algorithm = "distinct facts.algorithm"
    call = "(from mf_fit(ratings, user_id, item_id, {}, n_factors := 4) where kind = 'model')"
    assert rows(con, call.format(STRONG), algorithm) == [("implicit_als",)]
    assert rows(con, call.format(RATED), algorithm) == [("als",)]
    tried = rows(
        con,
        f"mf_tune(ratings, user_id, item_id, {STRONG}, n_factors := [2, 3], epochs := 2)",
        "ndcg",
    )
    assert all(ndcg > 0 for (ndcg,) in tried)
    folds = f"mf_cross_validate(ratings, user_id, item_id, {STRONG}, n_factors := 2, folds := 2)"
    assert rows(con, folds, "count(rmse)", "count(ndcg)") == [(0, 2)]


def test_models_that_learnt_from_it_are_kept_up_with_it(con):
    con.execute(
        f"create or replace table films as from mf_fit(ratings, user_id, item_id, {STRONG}, n_factors := 4)"
    )
    for call in ("mf_fold_in(films, {})", "mf_fold_in_items(films, {})", "mf_update(films, {})"):
        source = "ratings, user_id, item_id, {}"
        columns = "kind", "user_id", "item_id", "factors"
        strong = rows(con, call.format(source.format(STRONG)), *columns)
        assert len(strong) > 20
        assert strong == rows(con, call.format(source.format(RATED)), *columns)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "rating, strength := rating",
            "mf_fit: rating and strength are both given; give rating for",
        ),
        (
            "strength := rating, algorithm := 'svd'",
            "mf_fit: algorithm 'svd' learns from ratings, and strength is given; choose algorithm := 'implicit_als' or 'bpr'",
        ),
        ("strength := -rating", "mf_fit: strength is negative in"),
        ("strength := 0", "mf_fit: strength is 0 in all"),
        ("0, algorithm := 'implicit_als'", "mf_fit: rating is 0 in all"),
        ("strength := nullif(user_id, 3)", "mf_fit: strength is NULL in"),
        ("strength := rating + 'inf'::double", "mf_fit: strength is no finite number in"),
        ("3.5", "mf_fit: rating is 3.5 in all"),
        ("-2", "mf_fit: rating is -2 in all"),
        ("20000000 + rating", "mf_fit: rating goes up to 20000005, but its standard deviation is"),
        ("1e9 + rating", "mf_fit: rating goes up to 1000000005, but its standard deviation is"),
        ("rating * 1e-20", "mf_fit: the standard deviation of rating is"),
    ],
)
def test_values_that_mean_nothing_are_refused(con, arguments, message):
    assert message in error(con, f"mf_fit(ratings, user_id, item_id, {arguments})")


def test_an_offset_that_float32_can_hold_changes_nothing_but_the_mean(con):
    con.execute("create or replace view shifted as select *, rating + 1000 as far from ratings")
    for column, name in (("rating", "near"), ("far", "far")):
        con.execute(
            f"create or replace table {name} as from mf_fit(shifted, user_id, item_id, {column})"
        )
    ((near,),) = rows(con, "mf_evaluate(near, shifted, user_id, item_id, rating)", "rmse")
    ((far,),) = rows(con, "mf_evaluate(far, shifted, user_id, item_id, far)", "rmse")
    assert far == pytest.approx(near, rel=1e-3)
