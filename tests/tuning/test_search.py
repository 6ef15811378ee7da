"""Which options are tried: grids, draws from lists and ranges, and what was good before."""

from __future__ import annotations

import json
import sys

import duckdb
import numpy as np
import pytest

from duckmf.tuning.space import Range
from tests.tuning.tuned import GRID, tried


def test_a_grid_begins_in_the_middle(small):
    rows = sorted(tried(small, GRID + ", seed := 9"), key=lambda row: row[1])
    penalties = [json.loads(row[6])["regularization"] for row in rows]
    assert penalties[:2] == [1.0, 1.0]
    assert sorted(penalties[2:]) == [0.1, 0.1, 10.0, 10.0]


@pytest.mark.parametrize(
    "search", ["search := 'random', trials := 7", "search := 'tpe', trials := 7"]
)
def test_ranges_and_lists_are_drawn_and_repeat(small, search):
    if "tpe" in search:
        pytest.importorskip("optuna")
    space = (
        "n_factors := {'min': 2, 'max': 4}, regularization := {'min': 0.01, 'max': 100, 'log': true}, "
        f"nonnegative := [true, false], epochs := 3, {search}"
    )
    rows = tried(small, space)
    assert len(rows) == 7
    options = [json.loads(row[6]) for row in rows]
    assert all(
        option.keys() == {"n_factors", "regularization", "nonnegative"} for option in options
    )
    assert {option["n_factors"] for option in options} <= {2, 3, 4}
    assert all(0.01 <= option["regularization"] <= 100 for option in options)
    assert (
        min(option["regularization"] for option in options)
        < 1
        < max(option["regularization"] for option in options)
    )
    assert {option["nonnegative"] for option in options} == {True, False}
    assert tried(small, space) == rows
    assert tried(small, space + ", seed := 7") != rows


@pytest.mark.newest
def test_tpe_looks_where_trials_were_good(movielens):
    pytest.importorskip("optuna")
    of = "ratings, user_id, movie_id, rating"
    space = "algorithm := 'bias', regularization := {'min': 0.1, 'max': 1000, 'log': true}, epochs := 4, trials := 30, search := "
    near = {
        search: sum(
            1 < json.loads(searched)["regularization"] < 20
            for (searched,) in tried(movielens, f"{space} '{search}'", "searched", of)
        )
        for search in ("tpe", "random")
    }
    assert near["tpe"] > 1.3 * near["random"]


def test_a_small_space_is_searched_once(small):
    for search in ("random", "tpe"):
        if search == "tpe":
            pytest.importorskip("optuna")
        rows = tried(
            small, f"n_factors := [1, 2, 2, 3], epochs := 1, search := '{search}', trials := 50"
        )
        assert sorted(json.loads(row[6])["n_factors"] for row in rows) == [1, 2, 3]


def test_options_are_searched_for_the_algorithms_that_use_them(small):
    rows = tried(
        small,
        "algorithm := ['als', 'svd', 'bias'], n_factors := [2, 3], learning_rate := [0.1, 0.2], "
        "nonnegative := [true, false], epochs := 1, regularization := 2",
    )
    searched = {(row[5], *json.loads(row[6])) for row in rows}
    assert searched == {
        ("als", "n_factors", "nonnegative"),
        ("svd", "n_factors", "learning_rate"),
        ("bias",),
    }
    assert len(rows) == 4 + 4 + 1


def test_an_option_that_is_a_list_is_searched_as_a_list_of_lists(small):
    temporal = "ts := ts * 86400, epochs := 2, n_factors := 2, temporal := "
    fixed = tried(
        small, temporal + "['item_bins', 'user_drift']", "searched, options ->> 'temporal'"
    )
    assert fixed == [("{}", '["item_bins","user_drift"]')]
    listed = tried(small, temporal + "[['item_bins'], [], ['user_day']]", "searched ->> 'temporal'")
    assert {row[0] for row in listed} == {'["item_bins"]', "[]", '["user_day"]'}


def test_without_optuna_tpe_names_the_extra(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        duckdb.Error,
        match=r"mf_tune: search is 'tpe' but optuna is not installed; pip install 'duckmf\[tune\]'",
    ):
        tried(small, "n_factors := [1, 2], search := 'tpe'")


def test_a_range_has_its_ends_and_even_room():
    shares = np.linspace(0, 1, 1001)
    whole = Range(2, 5, False, True)
    numbers = [whole.at(share) for share in shares]
    assert sorted(set(numbers)) == [2, 3, 4, 5]
    assert all(isinstance(number, int) for number in numbers)
    assert min(numbers.count(number) for number in (2, 3, 4, 5)) >= 249
    assert [Range(0.01, 100, True, False).at(share) for share in (0, 0.5, 1)] == pytest.approx(
        [0.01, 1, 100]
    )
    assert Range(1, 64, True, True).at(1) == 64
