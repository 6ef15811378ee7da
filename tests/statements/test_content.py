"""mf_project_items and mf_project_users: rows of a model from content, on MovieLens, and what is refused."""

from __future__ import annotations

import duckdb
import pytest


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
    for name in ("mf_recommend",):
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
