"""Models that were stored in the current format, and what every later version must answer of them.

`python -m tests.model.test_format` stores them: only where a new format takes the place of an old one,
in a folder of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

import duckmf

STORED = Path(__file__).parent / "format_2"
MODELS = {
    "als": "user_id, item_id, rating, n_factors := 3, epochs := 4",
    "timesvdpp": "user_id, item_id, rating, ts := rated_at, n_factors := 3, epochs := 4",
    "implicit_als": "user_id, item_id, n_factors := 3, epochs := 4",
    "bpr": "user_id, item_id, n_factors := 3, epochs := 4",
    "popularity": "user_id, item_id",
}
RATINGS = """
create table ratings as
select
    u as user_id, 'item ' || i as item_id, (1 + (u * 7 + i * 3) % 5)::double as rating,
    timestamp '2026-01-01' + to_days(((u * 11 + i * 5) % 90)::integer) as rated_at
from range(12) a(u), range(10) b(i) where (u * 5 + i * 3) % 4 <> 0
"""
QUESTIONS = {
    "recommend": "select user_id, item_id, round(score, 4), rank, source from mf_recommend(m, k := 3)",
    "one": "select item_id, round(score, 4), rank from mf_recommend(m, 5, k := 2, exclude_seen := false)",
    "popular": "from mf_popular(m, k := 3)",
    "predict": "select user_id, item_id, round(prediction, 4), prediction_source from mf_predict(m, ratings, user_id, item_id) "
    "where user_id < 3 order by all",
    "info": "select algorithm, feedback, n_factors, users, items, ratings, round(mean_rating, 4), format from mf_info(m)",
    "ranking": "select round(ndcg, 4), round(recall, 4), users from mf_evaluate_ranking(m, ratings, user_id, item_id, k := 3)",
}


def answers(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, list[list[object]]]:
    """What a stored model answers; the values that JSON has."""
    con.execute(f"create or replace table m as from '{path}'")
    return json.loads(json.dumps({n: con.execute(q).fetchall() for n, q in QUESTIONS.items()}))


@pytest.mark.parametrize("name", MODELS)
def test_a_stored_model_answers_as_it_did(con, name):
    con.execute(RATINGS)
    expected = json.loads((STORED / f"{name}.json").read_text())
    assert answers(con, STORED / f"{name}.parquet") == expected


@pytest.mark.parametrize("name", ["als", "implicit_als"])
def test_a_stored_model_goes_on_learning(con, name):
    con.execute(RATINGS)
    con.execute(f"create table m as from '{STORED / name}.parquet'")
    rating = "rating" if name == "als" else "null"
    con.execute("create table more as select 99 as user_id, 'item 1' as item_id, 5.0 as rating")
    for call in ("mf_fold_in", "mf_update"):
        arguments = f"m, more, user_id, item_id{', rating' if rating == 'rating' else ''}"
        found = con.execute(
            f"select count(*) from {call}({arguments}) where user_id = 99"
        ).fetchone()
        assert found == (1,)


if __name__ == "__main__":
    connection = duckmf.connect()
    connection.execute(RATINGS)
    STORED.mkdir(exist_ok=True)
    for model, arguments in MODELS.items():
        target = STORED / f"{model}.parquet"
        connection.execute(
            f"copy (from mf_fit(ratings, {arguments}, algorithm := '{model}')) to '{target}' (format parquet)"
        )
        found = json.dumps(answers(connection, target), indent=1)
        (STORED / f"{model}.json").write_text(found + "\n")
