"""Every option of every algorithm, in SQL: that it counts, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import Field
from typing import Any

import duckdb
import pytest

import duckmf
from duckmf import algorithms
from tests.conftest import model_of, rate
from tests.statements.cases import Case

pytestmark = pytest.mark.newest

IN_TIME = {"temporal": "all"}
# What else has to be given before an option counts.
BESIDE = {
    "patience": {"tolerance": 0.5},
    "tolerance": {"patience": 2, "tolerance": 0},
    "relative_tolerance": {"patience": 2, "tolerance": 0},
    "time_bins": IN_TIME,
    "temporal_regularization": IN_TIME,
    "drift_exponent": IN_TIME,
}
# Another value than the default, where its kind does not tell one.
OTHER = {
    "duplicates": "max",
    "n_factors": 5,
    "patience": 1,
    "solver": "cg",
    "temporal": "all",
    "tolerance": 0.5,
    "validation_fraction": 0.3,
}
COUNTS_FOR_NOTHING = {
    ("popularity", name): "one epoch is all that it takes"
    for name in ("patience", "tolerance", "relative_tolerance")
}


def options_of(algorithm: str) -> list[Field[Any]]:
    return list(dataclasses.fields(algorithms.find(algorithm).Options))


PAIRS = [(name, option.name) for name in algorithms.NAMES for option in options_of(name)]
COUNTING = [pair for pair in PAIRS if pair not in COUNTS_FOR_NOTHING and pair[1] != "threads"]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with ratings over two years, some of them given twice."""
    con = duckmf.connect()
    rate(con)
    con.execute("update ratings set ts = ts * 86400")
    con.execute("insert into ratings select * replace (5 as rating) from ratings where ts % 5 = 0")
    yield con
    con.close()


def option(algorithm: str, name: str) -> Field[Any]:
    return next(one for one in options_of(algorithm) if one.name == name)


def other(algorithm: str, name: str) -> object:
    """A value of an option that is not its default."""
    default, rules = option(algorithm, name).default, option(algorithm, name).metadata
    if name == "temporal" and default:
        return ["item_bins"]
    if name in OTHER:
        return OTHER[name]
    if rules["choices"]:
        return next(choice for choice in rules["choices"] if choice != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 1
    return 0.7 if not default else default / 2


@pytest.mark.parametrize(("algorithm", "name"), COUNTING)
def test_it_counts(con, algorithm, name):
    beside = BESIDE.get(name, {})
    if name == "seed" and "n_factors" not in Case(algorithm).known:
        beside = {"validation_fraction": 0.3}  # nothing else is drawn
    case = Case(algorithm, beside, times=True)
    usual = case.quick(epochs=20 if "patience" in (name, *beside) else 3)
    changed = case.fit(**usual | {name: other(algorithm, name)})
    assert model_of(con, changed) != model_of(con, case.fit(**usual))


def refused(one: Field[Any]) -> Iterator[tuple[object, str]]:
    """Values that an option does not take, and what is said of them."""
    low, high, choices = (one.metadata[key] for key in ("low", "high", "choices"))
    quoted = ", ".join(f"'{choice}'" for choice in choices or ())
    if isinstance(one.default, tuple):
        yield ["nothing"], f"{one.name} holds 'nothing'; give a list of {quoted}."
    elif choices:
        yield "nothing", f"{one.name} is 'nothing'; give one of {quoted}."
    elif isinstance(one.default, bool):
        yield 1, f"{one.name} is 1; give true or false."
    else:
        ends = f" from {low} to {high}" if high is not None else f" of at least {low}"
        kind = "a whole number" if is_whole(one) else "a number"
        bad = [math.floor(low) - 1, "some", *([1.5] if is_whole(one) else [])]
        bad += [int(high) + 1] if high is not None and high < 2**53 else []
        for value in bad:
            yield value, f"{one.name} is {value!r}; give {kind}{ends}."


def is_whole(one: Field[Any]) -> bool:
    return "int" in str(one.type)


SEEN: set[tuple[object, ...]] = set()
REFUSED = [
    (algorithm, one.name, value, message)
    for algorithm in algorithms.NAMES
    for one in options_of(algorithm)
    for value, message in refused(one)
    if (key := (one.name, str(value), message)) not in SEEN and not SEEN.add(key)
]


@pytest.mark.parametrize(("algorithm", "name", "value", "message"), REFUSED)
def test_what_it_does_not_take_is_refused(con, algorithm, name, value, message):
    case = Case(algorithm, IN_TIME if BESIDE.get(name) == IN_TIME else {}, times=True)
    with pytest.raises(duckdb.Error) as caught:
        con.execute(f"from {case.fit(**{name: value})}")
    assert str(caught.value).endswith(f"mf_fit: {message}")


@pytest.mark.parametrize("algorithm", algorithms.NAMES)
def test_the_options_of_others_are_refused(con, algorithm):
    mine = {name for of, name in PAIRS if of == algorithm}
    others = dict.fromkeys(name for _, name in PAIRS if name not in mine)
    assert others
    for name in others:
        with pytest.raises(duckdb.Error) as caught:
            con.execute(f"from {Case(algorithm).fit(**{name: 1})}")
        message = f"mf_fit: algorithm '{algorithm}' does not use {name}; leave it out. "
        assert message in str(caught.value)
