"""Google's two tutorials on matrix factorization, as they are pasted, in a data set of that name.

The statements are those of "Create recommendations based on explicit feedback with a matrix
factorization model" and of "... on implicit feedback ..." in BigQuery's documentation; the explicit
one runs on MovieLens latest-small, the implicit one on sessions made here.
"""

from __future__ import annotations

import pytest

import duckmf
from tests.conftest import MOVIELENS


@pytest.fixture(scope="module")
def explicit():
    con = duckmf.connect()
    con.execute("create schema bqml_tutorial")
    con.execute(f"""
        create table bqml_tutorial.ratings as
        select user_id, movie_id as item_id, rating from '{MOVIELENS / "ratings.parquet"}'""")
    con.execute(f"""
        create table bqml_tutorial.movies as
        select movie_id, title as movie_title, array_to_string(genres, '|') as genre
        from '{MOVIELENS / "movies.parquet"}'""")
    assert duckmf.sql(con, EXPLICIT_MODEL) is None
    yield con
    con.close()


EXPLICIT_MODEL = """
CREATE OR REPLACE MODEL `bqml_tutorial.mf_explicit`
OPTIONS (
  MODEL_TYPE = 'matrix_factorization',
  FEEDBACK_TYPE = 'explicit',
  USER_COL = 'user_id',
  ITEM_COL = 'item_id',
  L2_REG = 9.83,
  NUM_FACTORS = 34)
AS
SELECT
user_id,
item_id,
rating
FROM `bqml_tutorial.ratings`;
"""


def test_the_explicit_model_is_evaluated(explicit):
    result = duckmf.sql(
        explicit,
        """
        SELECT
        *
        FROM
        ML.EVALUATE(
          MODEL `bqml_tutorial.mf_explicit`,
          (
            SELECT
              user_id,
              item_id,
              rating
            FROM
              `bqml_tutorial.ratings`
          ));
        """,
    )
    assert result.columns == [
        "mean_absolute_error", "mean_squared_error", "mean_squared_log_error",
        "median_absolute_error", "r2_score", "explained_variance",
    ]  # fmt: skip
    (row,) = result.fetchall()
    # the tutorial's own figures, on MovieLens 1M, are 0.485, 0.394, 0.025, 0.390, 0.684, 0.684
    assert row == pytest.approx((0.40, 0.295, 0.023, 0.30, 0.73, 0.73), abs=0.03)


def test_the_explicit_model_predicts_every_film_for_five_rows(explicit):
    result = duckmf.sql(
        explicit,
        """
        SELECT
        *
        FROM
        ML.RECOMMEND(
          MODEL `bqml_tutorial.mf_explicit`,
          (
            SELECT
              user_id
            FROM
              `bqml_tutorial.ratings`
            LIMIT 5
          ));
        """,
    )
    assert result.columns == ["predicted_rating", "user_id", "item_id"]
    assert len(result.fetchall()) == 5 * 9724


def test_the_explicit_model_recommends_five_films_to_each_user(explicit):
    result = duckmf.sql(
        explicit,
        """
        CREATE OR REPLACE TABLE `bqml_tutorial.recommend`
        AS
        SELECT
        *
        FROM
        ML.RECOMMEND(MODEL `bqml_tutorial.mf_explicit`);

        SELECT
          user_id,
          ARRAY_AGG(STRUCT(movie_title, genre, predicted_rating) ORDER BY predicted_rating DESC LIMIT 5)
        FROM
          (
            SELECT
              user_id,
              item_id,
              predicted_rating,
              movie_title,
              genre
            FROM
              `bqml_tutorial.recommend`
            JOIN
              `bqml_tutorial.movies`
              ON
                item_id = movie_id
          )
        GROUP BY
          user_id;
        """,
    )
    lists = dict(result.fetchall())
    assert len(lists) == 610
    assert all(len(films) == 5 for films in lists.values())
    scores = [film["predicted_rating"] for film in lists[196]]
    assert scores == sorted(scores, reverse=True)
    assert set(lists[196][0]) == {"movie_title", "genre", "predicted_rating"}
    pairs = "select count(*) from bqml_tutorial.recommend"
    assert explicit.execute(pairs).fetchone() == (610 * 9724,)


@pytest.fixture(scope="module")
def implicit():
    con = duckmf.connect()
    con.execute("create schema bqml_tutorial")
    con.execute("""
        create table bqml_tutorial.analytics_session_data as
        select
            (1000 + u)::varchar as visitorId, (100000 + i)::varchar as contentId,
            1000 + (hash(hash(u, i, 2)) % 250000)::bigint as session_duration
        from range(200) t(u), range(60) s(i)
        where hash(hash(u, i, 1)) % 100 < if(u % 4 = i % 4, 60, 5)""")
    assert duckmf.sql(con, IMPLICIT_MODEL) is None
    yield con
    con.close()


IMPLICIT_MODEL = """
CREATE OR REPLACE MODEL `bqml_tutorial.mf_implicit`
  OPTIONS (
    MODEL_TYPE = 'matrix_factorization',
    FEEDBACK_TYPE = 'implicit',
    USER_COL = 'visitorId',
    ITEM_COL = 'contentId',
    RATING_COL = 'rating',
    L2_REG = 30,
    NUM_FACTORS = 15)
AS
SELECT
  visitorId,
  contentId,
  0.3 * (1 + (session_duration - 57937) / 57937) AS rating
FROM `bqml_tutorial.analytics_session_data`
WHERE 0.3 * (1 + (session_duration - 57937) / 57937) < 1;
"""


def test_the_table_of_sessions_is_looked_at(implicit):
    text = "SELECT * FROM `bqml_tutorial.analytics_session_data` LIMIT 5;"
    assert len(duckmf.sql(implicit, text).fetchall()) == 5


def test_the_implicit_model_is_evaluated_without_data(implicit):
    result = duckmf.sql(
        implicit,
        """
        SELECT
          *
        FROM
          ML.EVALUATE(MODEL `bqml_tutorial.mf_implicit`);
        """,
    )
    assert result.columns == [
        "mean_average_precision", "mean_squared_error",
        "normalized_discounted_cumulative_gain", "average_rank",
    ]  # fmt: skip
    ((precision, error, gain, rank),) = result.fetchall()
    assert 0.6 < precision < 1
    assert 0 < error < 0.3
    assert 0.6 < gain < 1
    assert rank < 0.25  # a quarter of the content is of the visitor's kind


def test_the_implicit_model_predicts_a_confidence_for_all_content(implicit):
    result = duckmf.sql(
        implicit,
        """
        SELECT
          *
        FROM
          ML.RECOMMEND(
            MODEL `bqml_tutorial.mf_implicit`,
            (
              SELECT
                visitorId
              FROM
                `bqml_tutorial.analytics_session_data`
              LIMIT 5
            ));
        """,
    )
    assert result.columns == ["predicted_rating_confidence", "visitorId", "contentId"]
    assert len(result.fetchall()) == 5 * 60


def test_the_implicit_model_recommends_five_contents_to_each_visitor(implicit):
    result = duckmf.sql(
        implicit,
        """
        CREATE OR REPLACE TABLE `bqml_tutorial.recommend_content`
        AS
        SELECT
          *
        FROM
          ML.RECOMMEND(MODEL `bqml_tutorial.mf_implicit`);

        SELECT
          visitorId,
          ARRAY_AGG(
            STRUCT(contentId, predicted_rating_confidence)
            ORDER BY predicted_rating_confidence DESC
            LIMIT 5) AS rec
        FROM
          `bqml_tutorial.recommend_content`
        GROUP BY
          visitorId;
        """,
    )
    assert result.columns == ["visitorId", "rec"]
    lists = dict(result.fetchall())
    assert len(lists) == 200
    assert all(len(contents) == 5 for contents in lists.values())
    # visitors 0, 4, 8, ... go for contents 0, 4, 8, ...
    kinds = [int(content["contentId"]) % 4 for content in lists["1004"]]
    assert kinds == [0] * 5
