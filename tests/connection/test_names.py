"""Relations of any name: as identifiers, as strings, and called as our own CTEs are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pytest

import duckmf
from duckmf.connection import sqlfiles
from duckmf.connection.expand import OWN
from duckmf.connection.relations import quoted

pytestmark = pytest.mark.newest  # loading takes seconds on DuckDB 1.4

TRAIN = "mf_fit({}, user_id, item_id, rating, n_factors := 2, epochs := 2)"
# source, model and pairs have this name in turn
CALLS = {
    "ratings": [TRAIN, "mf_cross_validate({}, user_id, item_id, rating, n_factors := 2, epochs := 1, folds := 2)"],
    "films": [
        "mf_recommend({}, 3, k := 4)",
        "mf_recommend({}, k := 2)",
        "mf_predict({}, pairs, user_id, item_id)",
        "mf_similar_items({}, 5)",
        "mf_similar_items({})",
        "mf_evaluate({}, pairs, user_id, item_id, rating)",
        "mf_evaluate_ranking({}, pairs, user_id, item_id)",
        "mf_info({})",
        "mf_check({})",
        "mf_publish_predictions({})",
        "mf_fold_in({}, pairs, user_id, item_id, rating)",
        "mf_update({}, pairs, user_id, item_id, rating, epochs := 1)",
        "mf_fit(ratings, user_id, item_id, rating, warm_start := {}, epochs := 1)",
    ],
    "pairs": [
        "mf_predict(films, {}, user_id, item_id)",
        "mf_evaluate(films, {}, user_id, item_id, rating)",
        "mf_evaluate_ranking(films, {}, user_id, item_id)",
        "mf_fold_in(films, {}, user_id, item_id, rating)",
        "mf_split({}, user_id, item_id)",
        "mf_check_source(ratings, user_id, item_id, rating, test := {})",
    ],
}  # fmt: skip
NAMED = [
    "my films",
    "MixedCase",
    "film's",
    "select",
    "from",
    "default",
    "Füme",
    "model",
    "kind",
    "user_id",
    "m",
]
DIVIDED = ["a.b", 'a"b', 'a.b"c', "user", "current_date"]
CTES = ["mf__cold", "mf__users", "mf__items", "mf__head", "mf__rows", "mf__made", "mf__untested"]


@pytest.fixture(scope="module")
def shop() -> Iterator[duckdb.DuckDBPyConnection]:
    """Ratings, pairs, a model of them; and what other names of theirs must not be taken for."""
    with duckmf.connect() as con:
        con.execute(
            "create table ratings as select u as user_id, i as item_id, (1 + (u * 7 + i * 3) % 5)::double as rating "
            "from range(9) a(u), range(8) b(i) where (u * 5 + i * 3) % 4 <> 0"
        )
        con.execute("create table pairs as from ratings where item_id < 4")
        con.execute(f"create table films as from {TRAIN.format('ratings')}")
        con.execute(
            "create schema a; create table a.b as from ratings limit 0; create table duckdb as from a.b"
        )
        yield con  # fmt: skip


def facts(con: duckdb.DuckDBPyConnection, call: str) -> list[str]:
    """What a call returns, but for the time it took."""
    rows = con.execute(f"from {call}")
    names = [column[0] for column in rows.description]
    kept = [at for at, name in enumerate(names) if name not in ("facts", "info", "metrics", "options", "seconds", "trained_at")]  # fmt: skip
    return sorted(repr([row[at] for at in kept]) for row in rows.fetchall())


def answer_alike(con: duckdb.DuckDBPyConnection, name: str, written: str) -> None:
    """All calls answer the same for relations of this name."""
    for like, calls in CALLS.items():
        con.execute(f"create table {quoted(name)} as from {like}")
        try:
            for call in calls:
                assert facts(con, call.format(written)) == facts(con, call.format(like)), call
        finally:
            con.execute(f"drop table main.{quoted(name)}")


@pytest.mark.parametrize("name", [*NAMED, *CTES])
def test_a_name_is_given_as_an_identifier(shop, name):
    answer_alike(shop, name, quoted(name))


# a quote in a string DuckDB 1.x takes away, however it is written
AS_STRINGS = [
    pytest.param(name, marks=pytest.mark.newest) if '"' in name else name
    for name in (*DIVIDED, "my films", "film's", "mf__cold")
]


@pytest.mark.parametrize("name", AS_STRINGS)
def test_any_name_is_given_as_a_string(shop, name):
    answer_alike(shop, name, "'" + quoted(name).replace("'", "''") + "'")


def test_two_names_that_differ_in_case_are_one_relation(shop):
    for name in ("Films", "FILMS", '"fIlMs"', "'FILMS'"):
        assert facts(shop, f"mf_recommend({name}, 3)") == facts(shop, "mf_recommend(films, 3)")


def test_no_cte_of_what_reaches_a_database_is_named_as_relations_are():
    for text in (sqlfiles.pure(), sqlfiles.served(), sqlfiles.temporary()):
        ctes = re.findall(
            r"(?:\bwith|\brecursive|,)\s+(\w+)(?:\([\w, ]*\))?\s+as\s+(?:not\s+)?(?:materialized\s+)?\(",
            text,
        )
        assert len([name for name in ctes if name.startswith(OWN)]) > 100
        assert [name for name in ctes if name.startswith("mf__")] == []
