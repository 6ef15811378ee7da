"""What mf_fit refuses, and the exact words: what is wrong, with the value, and what to do."""

from __future__ import annotations

import duckdb
import pytest

from tests.conftest import runs_of

FIT = "mf_fit(source, u, i, r"

REFUSED = {
    "(null, 1, 3.0)": (
        FIT,
        "mf_fit: user_id is NULL in 1 of 4 rows; add WHERE user_id IS NOT NULL to the source.",
    ),
    "(1, null, 3.0)": (
        FIT,
        "mf_fit: item_id is NULL in 1 of 4 rows; add WHERE item_id IS NOT NULL to the source.",
    ),
    "(1, 1, null)": (
        FIT,
        "mf_fit: rating is NULL in 1 of 4 rows; add WHERE rating IS NOT NULL to the source.",
    ),
    "(1, 1, 'nan')": (
        FIT,
        "mf_fit: rating is no finite number in 1 of 4 rows; correct them, or leave them out of the "
        "source with WHERE isfinite(rating).",
    ),
    "(1, 1, 'inf')": (FIT, "mf_fit: rating is no finite number in 1 of 4 rows"),
    "(1, 1, 1e300)": (FIT, "mf_fit: rating is no finite number in 1 of 4 rows"),
    "(1, 2, 3.0)": (
        FIT + ", duplicates := 'error'",
        "mf_fit: 1 of 4 rows repeat a user and item; remove them, or say what they mean with "
        "duplicates := 'mean', 'sum', 'last' or 'max'.",
    ),
}


@pytest.fixture
def source(con):
    con.execute("create table source(u int, i int, r double)")
    con.execute("insert into source values (1, 1, 3), (1, 2, 4), (2, 1, 5)")
    return con


def refusal(con: duckdb.DuckDBPyConnection, call: str) -> str:
    with pytest.raises(duckdb.Error) as caught:
        con.execute(f"create table m as from {call})")
    tables = con.execute("select count(*) from duckdb_tables() where table_name = 'm'").fetchone()
    assert tables == (0,), "a failed statement left a table behind"
    return str(caught.value).removeprefix("Invalid Input Error: ")


@pytest.mark.parametrize("row", REFUSED)
def test_a_bad_row_is_counted(source, row):
    source.execute(f"insert into source values {row}")
    call, message = REFUSED[row]
    assert refusal(source, call).startswith(message)
    assert len(runs_of(source)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            FIT + ", algorithm := 'alz'",
            "mf_fit: algorithm is 'alz'; give one of 'als', 'svd', 'svdpp', 'timesvdpp', 'bias', 'popularity'",
        ),
        (
            FIT + ", learning_rate := 0.1",
            "mf_fit: algorithm 'als' does not use learning_rate; leave it out. Its options are ",
        ),
        (
            FIT + ", algorithm := 'bias', n_factors := 3",
            "mf_fit: algorithm 'bias' does not use n_factors; leave it out. Its options are drift_exponent, duplicates,",
        ),
        (FIT + ", n_factors := 0", "mf_fit: n_factors is 0; give a whole number from 1 to 1024."),
        (
            FIT + ", n_factors := 1.5",
            "mf_fit: n_factors is 1.5; give a whole number from 1 to 1024.",
        ),
        (FIT + ", n_factors := [8, 16]", "mf_fit: n_factors is [8, 16]; give a whole number"),
        (
            FIT + ", regularization := -1",
            "mf_fit: regularization is -1; give a number of at least 0",
        ),
        (
            FIT + ", regularization := 'a'",
            "mf_fit: regularization is 'a'; give a number of at least 0",
        ),
        (FIT + ", keep_seen := 1", "mf_fit: keep_seen is 1; give true or false."),
        (
            FIT + ", duplicates := 'first'",
            "mf_fit: duplicates is 'first'; give one of 'mean', 'sum', 'last', 'max', 'error'.",
        ),
        (
            FIT + ", duplicates := 'last'",
            "mf_fit: duplicates is 'last' but ts is not given; add ts := ....",
        ),
        (
            FIT + ", validation := r > 4, validation_fraction := 0.1",
            "mf_fit: validation and validation_fraction are both given; choose one of them.",
        ),
        (
            FIT + ", validation := r > 100",
            "mf_fit: validation holds out 0 of 3 rows; choose it so that some rows are held out "
            "and some remain for training.",
        ),
        (
            FIT + ", validation_fraction := 2",
            "mf_fit: validation_fraction is 2; give a number from",
        ),
        (FIT + ", r, ts := null", "Binder Error"),
        (
            "mf_fit(source, u, i, r, case when u = 2 then 'x' end",
            "mf_fit: ts is NULL in 2 of 3 rows; add WHERE ts IS NOT NULL to the source.",
        ),
        (
            "mf_fit(source, u, i, r, case when u = 2 then 'soon' else '2020-01-01' end",
            "mf_fit: ts is no finite number in 1 of 3 rows",
        ),
        (
            "mf_fit(source, u, i, algorithm := 'als'",
            "mf_fit: algorithm 'als' learns from ratings and none are given; add rating, or choose "
            "algorithm := 'popularity'.",
        ),
        (
            "mf_fit(source, u, 1, r",
            "mf_fit: the source has 1 item; a recommender needs at least two.",
        ),
    ],
)
def test_a_bad_argument_is_named(source, call, message):
    said = refusal(source, call)
    assert said.startswith(message), said
    assert len(runs_of(source)) == 0


def test_an_empty_source(source):
    source.execute("delete from source")
    assert refusal(source, FIT) == "mf_fit: the source has no rows; give it at least one rating."


def test_a_misspelt_column_is_duckdbs_own_error(source):
    assert 'Referenced column "rr" not found' in refusal(source, "mf_fit(source, u, i, rr")
