"""Rows of a model from content: the ridge against NumPy, the SQL on MovieLens, what is refused."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from duckmf.algorithms import projection
from duckmf.errors import DataError
from tests.naive import projection as naive


@pytest.fixture
def content():
    rng = np.random.default_rng(3)
    X, W = rng.normal(size=(50, 6)), rng.normal(size=(6, 4))
    n = rng.integers(1, 30, 50).astype(float)
    return X, X @ W + 0.5 + rng.normal(0, 0.3, (50, 4)), n


def scale(X, n):
    centered = X - np.average(X, axis=0, weights=n)
    return np.trace(centered.T @ (n[:, None] * centered)) / X.shape[1]


def test_the_map_is_the_minimum_of_its_objective(content):
    X, Y, n = content
    fitted = projection.fit(X, Y, n, 0.1)
    root, penalty = np.sqrt(n)[:, None], 0.1 * scale(X, n)
    lines = np.vstack(
        [
            np.column_stack([root, root * X]),
            np.column_stack([np.zeros(6), np.sqrt(penalty) * np.eye(6)]),
        ]
    )
    solved = np.linalg.lstsq(lines, np.vstack([root * Y, np.zeros((6, 4))]), rcond=None)[0]
    assert fitted(X) == pytest.approx(solved[0] + X @ solved[1:], abs=1e-5)


def test_lambda_has_the_least_error_of_generalized_cross_validation(content):
    X, Y, n = content
    root = np.sqrt(n)[:, None]
    lines = np.column_stack([root, root * X])

    def error(value):
        ridge = np.diag([0.0, *[value * scale(X, n)] * 6])
        hat = lines @ np.linalg.solve(lines.T @ lines + ridge, lines.T)
        return np.sum((root * Y - hat @ (root * Y)) ** 2) / (50 - np.trace(hat)) ** 2

    best = min(projection.LAMBDAS, key=error)
    assert projection.fit(X, Y, n)(X) == pytest.approx(projection.fit(X, Y, n, best)(X))
    assert best not in (projection.LAMBDAS[0], projection.LAMBDAS[-1])


def test_content_that_explains_everything_is_followed_exactly():
    X = np.arange(12.0).reshape(6, 2) ** 2
    Y = X @ np.array([[1.0, -2.0], [0.5, 1.0]]) + 3
    assert projection.fit(X, Y, np.ones(6))(X) == pytest.approx(Y, abs=0.02)


def test_one_row_gives_its_own_terms_and_too_many_features_are_refused():
    assert projection.fit(np.ones((1, 3)), np.array([[2.0, 5.0]]), np.ones(1))(
        np.zeros((1, 3))
    ) == (pytest.approx(np.array([[2.0, 5.0]])))
    with pytest.raises(DataError, match="vector has 4,097 features; give at most 4,096"):
        projection.fit(np.ones((2, 4097)), np.ones((2, 1)), np.ones(2))


@pytest.mark.parametrize("regularization", [None, 1e-6, 0.3, 100.0])
@pytest.mark.parametrize("n_texts", [1, 5, 40])
def test_lists_of_codes_give_what_their_zeros_and_ones_give(n_texts, regularization):
    rng = np.random.default_rng(n_texts)
    lists = [rng.integers(-1, n_texts, rng.integers(0, 6)).tolist() for _ in range(60)]
    lists = [[*codes, *codes[:1]] if row % 2 else codes for row, codes in enumerate(lists)]
    n, Y = rng.integers(1, 900, 60).astype(float), rng.normal(size=(60, 4))
    dense = naive.one_hot(lists, range(n_texts))
    Y[:, 0] += dense[:, 0]
    counts = np.array([len(codes) for codes in lists], np.int32)
    codes = np.concatenate([np.array(codes, np.int32) for codes in lists])
    sparse = projection.one_hot(counts, codes, n_texts)
    assert np.array_equal(sparse.toarray(), dense)
    expected = naive.fit(dense, Y, n, regularization)[0](dense)
    for X in (dense, sparse):
        fitted = projection.fit(X, Y, n, regularization)
        assert fitted(X) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("mean", [0.0, 2000.0])
def test_numbers_give_what_their_eigenvectors_give(content, mean):
    X, Y, n = content
    assert projection.fit(X + mean, Y, n)(X + mean) == (
        pytest.approx(naive.fit(X, Y, n)[0](X), rel=1e-5, abs=1e-6)
    )


def test_features_that_say_the_same_share_their_weight_also_with_lambda_0(content):
    X, Y, n = content
    once, twice = projection.fit(X, Y, n, 0.0), projection.fit(np.hstack([X, X]), Y, n, 0.0)
    halves = np.vstack([once.W, once.W]) / 2
    assert np.allclose(twice.W, halves, atol=1e-5)


@pytest.mark.parametrize("n_features", [0, 3])
def test_features_that_say_nothing_give_the_mean(n_features):
    X, Y, n = np.ones((4, n_features)), np.arange(8.0).reshape(4, 2), np.array([1.0, 2, 3, 4])
    assert projection.fit(X, Y, n)(X) == pytest.approx(np.tile(n @ Y / 10, (4, 1)))


@pytest.fixture
def cold(movielens: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A model that has not seen a fifth of the films, and their ratings as the test."""
    movielens.execute(
        "create table cold as "
        "from (select distinct movie_id from ratings) where hash(hash(movie_id, 1)) % 5 = 0"
    )
    for part, join in (("train", "anti"), ("test", "semi")):
        movielens.execute(f"create view {part} as from ratings {join} join cold using (movie_id)")
    movielens.execute(
        "create table films as from mf_fit(train, user_id, movie_id, rating, progress := false)"
    )
    return movielens


def rmse(con: duckdb.DuckDBPyConnection) -> float:
    query = "select rmse from mf_evaluate(films, test, user_id, movie_id, rating)"
    return con.execute(query).fetchone()[0]


def test_genres_predict_cold_items_better_than_the_mean_item(cold):
    unknown = rmse(cold)
    (mean_item,) = cold.execute(
        "with mean as ("
        "    select sum(bias * ratings) / sum(ratings) as bias from films where kind = 'item'"
        ") "
        "select sqrt(avg((rating - prediction - mean.bias) ** 2)) "
        "from mf_predict(films, test, user_id, movie_id, clip := false), mean"
    ).fetchone()
    cold.execute("insert into films from mf_project_items(films, movies, movie_id, genres)")
    assert rmse(cold) < 0.98 * min(unknown, mean_item)


def test_the_rows_have_the_columns_of_the_model_and_are_made_once(cold):
    shape = "select column_name, column_type from (describe from {})"
    call = "mf_project_items(films, movies, movie_id, genres)"
    assert cold.execute(shape.format("films")).fetchall() == (
        cold.execute(shape.format(call)).fetchall()
    )
    n = cold.execute("select count(*) from films where kind = 'item'").fetchone()[0]
    cold.execute(f"insert into films from {call}")
    assert cold.execute(
        "select count(*), count(distinct item_id), count(distinct code), min(ratings) "
        "from films where kind = 'item'"
    ).fetchone() == (9742, 9742, 9742, 0)
    assert n < 9742
    assert cold.execute(f"select count(*) from {call}").fetchone() == (0,)


def test_what_rests_on_content_says_so(cold):
    cold.execute("insert into films from mf_project_items(films, movies, movie_id, genres)")
    sources = cold.execute(
        "select prediction_source, count(*) = count(*) filter (where movie_id in (from cold)) "
        "from mf_predict(films, ratings, user_id, movie_id) group by all order by all"
    ).fetchall()
    assert sources == [("content", True), ("model", False)]
    cold.execute(
        "create table people as select user_id, [user_id % 2] as v from ratings group by 1"
    )
    cold.execute("insert into people values (-1, [1])")
    cold.execute("insert into films from mf_project_users(films, people, user_id, v)")
    lists = "select source, count(*) from {}(films{}) where user_id = -1 group by source"
    for name in ("mf_recommend", "mf__plain_recommend"):
        assert cold.execute(lists.format(name, "")).fetchall() == [("content", 10)]
        assert cold.execute(lists.format(name, ", -1, min_ratings := 5")).fetchall() == (
            [("content", 10)]
        )
    assert cold.execute(
        "with liked as (select -1 as u, 1 as i) "
        "select source from mf_evaluate_ranking_per_user(films, liked, u, i)"
    ).fetchall() == [("model",)]


@pytest.mark.parametrize("algorithm", ["bias", "implicit_als", "bpr", "popularity"])
def test_a_model_gets_the_terms_that_it_has(cold, algorithm):
    epochs = "" if algorithm == "popularity" else ", epochs := 2"
    cold.execute(
        "create table other as from mf_fit(train, user_id, movie_id, rating, "
        f"algorithm := '{algorithm}', progress := false{epochs})"
    )
    has = "select bool_and(bias is not null), bool_and(factors is not null), any_value(len(factors)) from "
    rated = cold.execute(has + "other where kind = 'item'").fetchone()
    made = cold.execute(has + "mf_project_items(other, movies, movie_id, genres)").fetchone()
    assert made == rated


def test_users_too_from_numbers_of_any_type(cold):
    cold.execute(
        "create table people as select user_id, [user_id % 2, 0.5 * (user_id % 3)]::float[2] as v "
        "from ratings group by user_id union all select -1, [1, 0.5]"
    )
    made = cold.execute("from mf_project_users(films, people, user_id, v)").fetchall()
    assert [row[1] for row in made] == [-1]
    twins = cold.execute(
        "select count(*) from (from mf_project_users(films, people, user_id, v)) p, "
        "(select avg(f.bias) as mean from films f where f.kind = 'user') m "
        "where p.bias between m.mean - 0.3 and m.mean + 0.3 and p.seen = [] and p.ratings = 0"
    ).fetchone()
    assert twins == (1,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("films, movies, movie_id, 3", "vector is of type INTEGER. Give a list of numbers or of texts."),
        ("films, movies, movie_id, [1, null]", "vector holds a number that is NULL or not finite; correct it."),
        ("films, movies, movie_id, if(movie_id in (from cold), ['nan'::double], [1])", "vector holds a number that is NULL or not finite; correct it."),
        ("films, movies, movie_id, if(movie_id = 1, [1], [1, 2])", "vector has 1 numbers in one row and 2 in another."),
        ("films, movies, movie_id, if(movie_id = 1, null, genres)", "vector is NULL in 1 of 9742 rows. Leave them out."),
        ("films, movies, nullif(movie_id, 3), genres", "the id is NULL in 1 of 9742 rows of features. Leave them out."),
        ("films, movies, movie_id % 5, genres", "features has 9742 rows for 5 ids. Give one row each."),
        ("films, movies, -movie_id, genres", "features has none of the rows of the model that have ratings; give their content too, to learn from."),
        ("films, nothing, movie_id, genres", "features has no rows. Give the content of the model's items and of new ones."),
        ("movies, movies, movie_id, genres", "this relation is not a model: it has 0 rows of kind 'model', not 1. Pass a table made by mf_fit."),
    ],
)  # fmt: skip
def test_content_that_does_not_fit_is_refused(cold, call, message):
    cold.execute("create view nothing as from movies limit 0")
    with pytest.raises(duckdb.Error) as refused:
        cold.execute(f"from mf_project_items({call})").fetchall()
    assert f"mf_project_items: {message}" in str(refused.value)
