"""What all algorithms have in common, and the two small ones against their naive twins."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from duckmf import algorithms
from duckmf.algorithms.training import Training
from duckmf.connection import sqlfiles
from duckmf.errors import TrainingError
from duckmf.kernels.threads import Workers
from duckmf.options import Options
from duckmf.ratings.matrix import Ratings, Triples, canonical

NAMES = algorithms.NAMES
EXPLICIT = [name for name in NAMES if algorithms.find(name).feedback == "explicit"]


@pytest.fixture
def ratings() -> Ratings:
    rng = np.random.default_rng(3)
    cells = rng.choice(30 * 20, 250, replace=False)
    users, items = (cells // 20).astype(np.int32), (cells % 20).astype(np.int32)
    values = rng.integers(1, 11, 250).astype(np.float32) / 2
    times = rng.uniform(0, 1e7, 250)
    return canonical(Triples(users, items, values, None, times), 30, 20, "mean", Workers(1))[0]


def trained(name: str, ratings: Ratings, epochs: int = 3, **options: object):
    algorithm = algorithms.find(name)
    made = algorithms.make(algorithm, ratings, algorithm.Options(**options), Workers(1))
    losses = [made.epoch(number) for number in range(1, epochs + 1)]
    return made.factors(), losses


def test_bias_is_the_stationary_point_of_its_objective(ratings):
    factors, _ = trained(
        "bias", ratings, epochs=200, user_regularization=3.0, item_regularization=7.0
    )
    rows = ratings.by_user
    errors = rows.values - factors.predict(rows.row_numbers(), rows.indices)
    gradient_user = np.bincount(rows.row_numbers(), errors, 30) - 3.0 * factors.user_bias
    gradient_item = np.bincount(rows.indices, errors, 20) - 7.0 * factors.item_bias
    assert np.abs(gradient_user).max() < 1e-4
    assert np.abs(gradient_item).max() < 1e-4


def test_popularity_is_the_damped_mean(ratings):
    factors, losses = trained("popularity", ratings, epochs=1, regularization=2.0)
    mu = ratings.by_user.values.mean()
    for item in range(20):
        mine = ratings.by_item.values[
            ratings.by_item.indptr[item] : ratings.by_item.indptr[item + 1]
        ]
        assert factors.item_bias[item] == pytest.approx(
            np.sum(mine - mu) / (len(mine) + 2), abs=1e-5
        )
    assert factors.user_bias is None
    rows = ratings.by_user
    errors = rows.values - factors.predict(rows.row_numbers(), rows.indices)
    assert losses[0] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_ratings_are_zero_and_nothing_is_nan(name):
    triples = Triples(*(np.array(a, t) for a, t in [([1], "i4"), ([2], "i4"), ([4.0], "f4")]))
    triples.times = np.array([1e9])
    ratings = canonical(triples, 3, 4, "mean", Workers(1))[0]
    factors, losses = trained(name, ratings)
    assert np.all(np.isfinite(losses))
    predicted = factors.predict(np.array([1, 0, 1], np.int32), np.array([2, 0, 0], np.int32))
    assert np.all(np.isfinite(predicted))
    if factors.user_bias is not None:
        assert factors.user_bias[0] == 0
    if factors.item_bias is not None and name != "bpr":  # it ranks items without ratings last
        assert factors.item_bias[0] == 0


@pytest.mark.parametrize("name", EXPLICIT)
def test_a_model_without_variance_predicts_the_rating(name):
    users = np.repeat(np.arange(4, dtype=np.int32), 3)
    triples = Triples(users, np.tile(np.arange(3, dtype=np.int32), 4), np.full(12, 2.5, np.float32))
    triples.times = np.arange(12) * 1e5
    ratings = canonical(triples, 4, 3, "mean", Workers(1))[0]
    factors, _ = trained(name, ratings, epochs=10)
    assert factors.predict(users, triples.items) == pytest.approx(2.5, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_line_of_documentation_and_is_a_parameter_of_mf_fit(name):
    text = (sqlfiles.folder() / "fit.sql").read_text()
    signature = text[text.index("create or replace macro mf_fit(") :]
    parameters = set(re.findall(r"(\w+) := null", signature.lower()))
    for field in dataclasses.fields(algorithms.find(name).Options):
        assert field.metadata["doc"], field.name
        assert field.name in parameters, field.name


def table_of_defaults(text: str, mark: str) -> dict[str, dict[str, str]]:
    """The table of defaults in the manual of mf_fit or in the README: {algorithm: {option: text}}."""
    rows = [line.replace(mark, " ").split() for line in text.splitlines()]
    begin = next(n for n, row in enumerate(rows) if row[:2] == ["algorithm", "als"])
    head = rows[begin]
    body = itertools.takewhile(lambda row: len(row) in (len(head), 1), rows[begin + 1 :])
    body = [row for row in body if len(row) == len(head) and set(row[0]) != {"-"}]
    return {
        name: {row[0]: row[1 + n] for row in body if row[1 + n] != "-"}
        for n, name in enumerate(head[1:])
    }


def in_words(default: object) -> str:
    if isinstance(default, tuple):
        return "all" if default else "[]"
    return str(default).lower() if default in (True, False) else str(default)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("page", ["sql/fit.sql", "README.md"])
def test_the_documented_defaults_are_the_defaults(name, page):
    path = Path(__file__).parent.parent.parent / page
    if page == "sql/fit.sql":
        path = sqlfiles.folder() / "fit.sql"
    documented = table_of_defaults(path.read_text(), "--" if page.endswith("sql") else "|")
    defaults = {
        field.name: in_words(field.default)
        for field in dataclasses.fields(algorithms.find(name).Options)
        if field.default is not None
    }
    # a star is a default that depends on the data, as the text below the table says
    assert {o: text for o, text in documented[name].items() if text != "*"} == defaults


class Scripted:
    """An algorithm whose losses are given."""

    Options = Options

    def __init__(self, losses, **options):
        self.options = Options(**options)
        self._losses = losses
        self.epochs = len(losses)

    def epoch(self, number):
        return self._losses[number - 1]


def run(losses, **options):
    training = Training(Scripted(losses, **options), None, Workers(1))
    while training.more:
        training.epoch()
    return len(training.log)


def test_without_patience_all_epochs_run():
    assert run([1.0] * 7) == 7


def test_patience_counts_epochs_without_an_improvement_of_tolerance():
    assert run([1.0, 0.9, 0.899, 0.898, 0.5], patience=2, tolerance=0.01) == 4
    assert run([1.0, 0.9, 0.899, 0.88, 0.88, 0.88], patience=2, tolerance=0.01) == 6


def test_relative_tolerance_is_a_share_of_the_loss():
    assert run([1.0, 0.9, 0.85, 0.8], patience=1, tolerance=0, relative_tolerance=0.1) == 2
    assert run([1.0, 0.9, 0.85, 0.8], patience=1, tolerance=0, relative_tolerance=0.09) == 3
    assert run([1.0, 0.5, 0.4], patience=1, tolerance=0.11, relative_tolerance=0.01) == 3


def test_a_loss_that_is_no_number_is_an_error_with_the_epoch():
    with pytest.raises(TrainingError, match="the training loss is nan after epoch 2; raise"):
        run([1.0, float("nan"), 0.5])
