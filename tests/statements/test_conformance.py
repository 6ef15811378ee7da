"""What every algorithm promises in SQL; a new one joins by being registered."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator

import duckdb
import numpy as np
import pytest

import duckmf
from duckmf import algorithms
from tests.conftest import model_of, rate
from tests.statements.cases import CASES, Case, Name

N = 20  # users and items of the board


def cases(condition: Callable[[Case], bool]) -> pytest.MarkDecorator:
    chosen = {name: case for name, case in CASES.items() if condition(case)}
    return pytest.mark.parametrize("case", chosen.values(), ids=chosen)


EVERY = cases(lambda case: True)
LEARNS_TASTES = cases(lambda case: case.has_factors)
REPEATS = cases(lambda case: "epochs" in case.known)
COUNTS = cases(lambda case: "epochs" not in case.known)
SIDES = {"user": "mf_fold_in", "item": "mf_fold_in_items"}


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with ratings, some of them again in another order, and a checkerboard.

    On the board users like the items of their colour: those are rated 5, and half of the others 1.
    Withheld is each user's item on the diagonal, which is of their colour.
    """
    con = duckmf.connect()
    rate(con)
    con.execute("update ratings set ts = ts * 86400")
    con.execute("create table mixed as from ratings order by hash(rating, user_id, item_id)")
    con.execute(
        "create table board as select u::int as user_id, i::int as item_id, "
        "if((u + i) % 2 = 0, 5, 1) as rating, (u * 7 + i * 11) % 50 * 86400 as ts "
        f"from range({N}) a(u), range({N}) b(i) "
        "where u <> i and ((u + i) % 2 = 0 or (u * 5 + i * 3) % 4 <> 1)"
    )
    con.execute("create view liked as from board where rating = 5")
    yield con
    con.close()


def rows(con: duckdb.DuckDBPyConnection, call: str, columns: str = "*") -> list[tuple[object, ...]]:
    return con.execute(f"select {columns} from {call} order by all").fetchall()


def table(con: duckdb.DuckDBPyConnection, call: str) -> str:
    """The table of a model, trained once for all tests that only read it."""
    name = f"m{zlib.crc32(call.encode())}"
    con.execute(f"create table if not exists {name} as from {call}")
    return name


def model(con: duckdb.DuckDBPyConnection, case: Case) -> str:
    """The table of a short training on the ratings."""
    return table(con, case.fit(**case.quick()))


def tastes(con: duckdb.DuckDBPyConnection, case: Case) -> str:
    """The table of a training on the board, by default options."""
    return table(con, case.fit("liked" if case.is_implicit else "board"))


def firsts(con: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[object, ...]]:
    """Who is recommended what before all else."""
    return rows(con, f"mf_recommend({relation}, k := 1)", "user_id, item_id")


DIAGONAL = [(n, n) for n in range(N)]


@LEARNS_TASTES
def test_the_withheld_diagonal_of_a_checkerboard_comes_first(con, case):
    assert firsts(con, tastes(con, case)) == DIAGONAL


@EVERY
def test_a_model_has_its_rows_and_columns(con, case):
    m = model(con, case)
    columns = dict(rows(con, f"(describe {m})", "column_name, column_type"))
    assert columns.keys() == {
        *("kind", "user_id", "item_id", "code", "ratings", "bias", "factors"),
        *("seen", "seen_ratings", "seen_times", "implicit_factors", "temporal"),
        *("uncertainty", "epoch", "metrics", "source", "facts", "info"),
    }
    assert columns["factors"] == "FLOAT[]"
    assert columns["seen"] == "INTEGER[]"
    found = rows(con, f"{m} where kind <> 'epoch' group by kind", "kind, count(*), sum(ratings)")
    assert found == [("item", 30, 600), ("model", 1, 600), ("user", 40, 600)]
    epochs = rows(con, f"mf_epochs({m})", "epoch, train_loss is not null")
    assert epochs == [(number + 1, True) for number in range(case.quick().get("epochs", 1))]
    learnt = rows(con, f"mf_info({m})", "algorithm, feedback, loss, users, items, ratings")
    algorithm = algorithms.find(case.algorithm)
    assert learnt == [(case.algorithm, algorithm.feedback, algorithm.loss, 40, 30, 600)]
    ((mean,),) = rows(con, "ratings", "avg(rating)")
    ((mu,),) = rows(con, f"{m} where kind = 'model'", "bias")
    assert mu == pytest.approx(0 if case.is_implicit else mean)


@EVERY
def test_lists_leave_out_what_was_seen_unless_they_are_told(con, case):
    m = model(con, case)
    everything = "mf_recommend({}, k := 30{}) semi join ratings using (user_id, item_id)"
    assert rows(con, everything.format(m, ""), "count(*)") == [(0,)]
    told = ", exclude_seen := false"
    assert rows(con, everything.format(m, told), "count(*)") == [(600,)]
    assert rows(con, f"mf_recommend({m}, k := 30)", "count(*)") == [(600,)]


@EVERY
def test_a_where_on_the_model_filters_its_lists(con, case):
    m = model(con, case)
    con.execute(
        f"create or replace temp view part as from {m} where item_id is null or item_id % 4 = 1"
    )
    lists = "user_id, item_id, score, row_number() over (partition by user_id order by rank)"
    whole = rows(con, f"mf_recommend({m}, k := 30) where item_id % 4 = 1", lists)
    assert rows(con, "mf_recommend(part, k := 30)", "user_id, item_id, score, rank") == whole
    assert len(whole) > 100


@EVERY
def test_the_list_of_a_user_is_the_same_alone(con, case):
    m = model(con, case)
    together = rows(con, f"mf_recommend({m}, k := 4)")
    for user in (0, 17, 39):
        alone = rows(con, f"mf_recommend({m}, {user}, k := 4)")
        assert alone == [row for row in together if row[0] == user]
        assert len(alone) == 4


@EVERY
def test_a_score_is_a_prediction_or_says_that_it_is_a_count(con, case):
    m = model(con, case)
    con.execute(f"create or replace temp table listed as from mf_recommend({m}, k := 3)")
    predicted = f"mf_predict({m}, listed, user_id, item_id, clip := false)"
    counted = "(select item_id, count(*) as n from ratings group by item_id)"
    expected = "score, if(source = 'model', prediction, n)"
    found = rows(con, f"{predicted} join {counted} using (item_id)", expected)
    assert len(found) == 120
    assert [score for score, _ in found] == pytest.approx([n for _, n in found], abs=1e-5)
    sources = {source for (source,) in rows(con, "listed", "source")}
    assert sources == {"popular" if case.algorithm == "popularity" else "model"}


@pytest.mark.newest
@EVERY
def test_the_order_of_rows_and_the_threads_change_no_bit(con, case):
    how = case.quick(validation_fraction=0.1)
    one, two, mixed = (
        model_of(con, case.fit(source, **how, threads=threads))
        for source, threads in (("ratings", 1), ("ratings", 2), ("mixed", 2))
    )
    assert one == two == mixed


@pytest.mark.newest
@REPEATS
def test_a_training_goes_on_where_a_model_left_off(con, case):
    cold = table(con, case.fit(**case.quick(epochs=40)))
    warm = case.call("mf_fit", "ratings", warm_start=Name(cold), epochs=2)
    con.execute(f"create or replace temp table again as from {warm}")
    losses = [loss for _, loss in rows(con, f"mf_epochs({cold})", "epoch, train_loss")]
    (_, first), _ = rows(con, "mf_epochs(again)", "epoch, train_loss")
    assert abs(first - losses[-1]) < 0.35 * abs(losses[0] - losses[-1])
    for side in SIDES:
        before, after = (numbers(con, m, side).ravel() for m in (cold, "again"))
        assert np.corrcoef(before, after)[0, 1] > 0.97


@pytest.mark.newest
@REPEATS
def test_a_warm_start_too_is_the_same_in_any_order(con, case):
    m = model(con, case)
    con.execute(f"create or replace temp view films as from {m} order by hash(code, kind)")
    one, other = (
        model_of(con, case.call("mf_fit", source, warm_start=Name(start), epochs=2, threads=n))
        for source, start, n in (("ratings", m, 1), ("mixed", "films", 2))
    )
    assert one == other


@COUNTS
def test_what_counts_anew_has_nothing_to_start_from(con, case):
    warm = case.call("mf_fit", "ratings", warm_start=Name(model(con, case)))
    with pytest.raises(duckdb.Error, match=f"mf_fit: algorithm '{case.algorithm}' counts anew"):
        con.execute(f"from {warm}")


def numbers(con: duckdb.DuckDBPyConnection, relation: str, side: str) -> np.ndarray:
    """Biases and factors of the rows of one side, by id."""
    query = f"select bias, factors from {relation} where kind = '{side}' order by {side}_id"
    return np.array([[b or 0.0, *(f or [])] for b, f in con.execute(query).fetchall()])


@LEARNS_TASTES
@pytest.mark.parametrize("side", SIDES)
def test_rows_that_are_folded_in_again_recommend_as_those_of_training(con, case, side):
    m, source = tastes(con, case), "liked" if case.is_implicit else "board"
    folded = case.call(SIDES[side], m, source)
    con.execute(
        f"create or replace temp table refolded as from {m} where kind <> '{side}' "
        f"union all from {folded}"
    )
    assert firsts(con, "refolded") == DIAGONAL


@EVERY
@pytest.mark.parametrize("side", SIDES)
def test_rows_folded_in_together_are_what_each_is_alone(con, case, side):
    m, call = model(con, case), SIDES[side]
    columns = "kind, user_id, item_id, code, ratings, bias, factors, temporal, seen, seen_ratings"
    together = rows(con, case.call(call, m, "ratings"), columns)
    place = 1 if side == "user" else 2
    assert [row[place] for row in together] == list(range(40 if side == "user" else 30))
    for id in (0, 11, 29):
        con.execute(f"create or replace temp view one as from ratings where {side}_id = {id}")
        alone = rows(con, case.call(call, m, "one"), columns)
        assert alone == [row for row in together if row[place] == id]
    shape = "column_name, column_type"
    folded = rows(con, f"(describe from {case.call(call, m, 'ratings')})", shape)
    assert folded == rows(con, f"(describe {m})", shape)


@pytest.mark.newest
@EVERY
def test_what_is_not_given_is_what_it_says(con, case):
    """The defaults of SQL are those of Python, and a model tells what it was trained with."""
    of_time = {"temporal", "time_bins", "temporal_regularization", "drift_exponent"}
    defaults = {
        name: getattr(case.defaults, name)
        for name in case.known - case.options.keys()
        if name not in of_time or case.needs_times
    }
    said = {name: value for name, value in defaults.items() if value is not None}
    source = "liked" if case.is_implicit else "board"
    assert model_of(con, case.fit(source)) == model_of(con, case.fit(source, **said))
    (options,) = rows(con, f"mf_info({tastes(con, case)})", "options")
    found = json.loads(options[0])
    assert {name: found[name] for name in said} == json.loads(json.dumps(said))


@pytest.mark.newest
@EVERY
def test_no_number_is_missing_or_none(con, case):
    """On ratings that differ little, users and items of one rating, and of huge ones."""
    for source in (
        "select user_id, item_id, 3 + 1e-3 * (user_id % 2) as rating, ts from ratings",
        "select user_id, item_id, rating * 1e6 as rating, ts from ratings",
        "from ratings union all select 1000 + i, 7 * i, 4, 0 from range(9) r(i)",
        "select 1 as user_id, i as item_id, i as rating, i * 86400 as ts from range(2) r(i)",
    ):
        con.execute(f"create or replace temp view odd as {source}")
        con.execute(f"create or replace temp table m as from {case.fit('odd', **case.quick())}")
        for kind in ("model", "user", "item", "epoch"):
            found = con.execute(f"from m where kind = '{kind}'").fetchall()
            assert found
            for column in zip(*found, strict=True):
                assert len({value is None for value in column}) == 1, "in all rows, or in none"
            assert all(is_finite(value) for row in found for value in row), kind


def is_finite(value: object) -> bool:
    """Whether a value of SQL holds no number that is NULL, infinite or none."""
    if isinstance(value, float):
        return np.isfinite(value).item()
    if isinstance(value, list):
        return all(part is not None and is_finite(part) for part in value)
    return all(map(is_finite, value.values())) if isinstance(value, dict) else True
