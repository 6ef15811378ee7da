"""mf_models: which relations are models, and what it says of them."""

from __future__ import annotations

import gc

import duckdb
import pytest

import duckmf

NAMES = "select database_name, name, kind, algorithm from mf_models()"


@pytest.fixture
def films(small):
    small.execute(
        "create table films as from mf_fit(ratings, user_id, item_id, rating, "
        "n_factors := 4, epochs := 2, validation_fraction := 0.2, progress := false)"
    )
    return small


def test_a_model_is_described_by_what_it_says_of_itself(films):
    films.execute("set timezone = 'Asia/Tokyo'")
    found = films.execute("from mf_models()")
    names = [column[0] for column in found.description]
    row = dict(zip(names, found.fetchone(), strict=True))
    info = films.execute(
        "select algorithm, feedback, users, items, ratings, n_factors, loss, train_loss, "
        "validation_loss, trained_at, seconds from mf_info(films)"
    )
    expected = dict(zip([column[0] for column in info.description], info.fetchone(), strict=True))
    assert {name: row[name] for name in expected} == expected
    assert row["validation_loss"] > 0
    numbers = films.execute("select sum(len(factors)) + 2 * sum(len(seen)) from films").fetchone()
    assert (row["bytes"], row["problem"]) == (4 * numbers[0], None)


def test_models_are_found_by_their_shape_in_every_database(films, tmp_path):
    films.execute("create view few as from films where kind <> 'item' or item_id < 5")
    films.execute('create schema "od""d"; create table "od""d"."na""me" as from films')
    films.execute("create table headless as from films where kind <> 'model'")
    films.execute("create table other as select * exclude (factors) from films")
    films.execute(f"attach '{tmp_path / 'second.duckdb'}' as second")
    films.execute("create table second.copied as from films")
    assert films.execute(NAMES).fetchall() == [
        ("memory", "few", "view", "als"),
        ("memory", "films", "table", "als"),
        ("memory", 'na"me', "table", "als"),
        ("second", "copied", "table", "als"),
    ]


def test_a_view_that_cannot_be_read_says_why(films):
    films.execute("create table lost as from films; create view broken as from lost")
    films.execute("drop table lost")
    problem = dict(films.execute("select name, problem from mf_models()").fetchall())
    assert problem["films"] is None
    assert "lost" in problem["broken"]


def test_without_models_there_are_no_rows(con):
    assert con.execute("from mf_models()").fetchall() == []


def test_any_loaded_connection_of_the_instance_answers():
    first, apart = duckdb.connect(), duckmf.connect()
    second = first.cursor()
    for con in (first, second):
        duckmf.load(con)
    second.execute(
        "create table r as select i % 7 as u, i % 5 as v, i % 3 as r from range(35) t(i)"
    )
    second.execute(
        "create table m as from mf_fit(r, u, v, r, algorithm := 'bias', progress := false)"
    )
    del first, con
    gc.collect()
    assert second.execute(NAMES).fetchall() == [("memory", "m", "table", "bias")]
    assert apart.execute(NAMES).fetchall() == []
