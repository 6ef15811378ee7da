"""Implicit ALS: both solvers against their naive twins, and what a training must have learnt."""

from __future__ import annotations

import numpy as np
import pytest

from duckmf.algorithms import implicit_als as module
from duckmf.algorithms.implicit_als import ImplicitAls, ImplicitAlsOptions, observed, padded, solve
from duckmf.errors import TrainingError
from duckmf.kernels.implicit_als import STEPS
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings, Rows
from tests.naive import implicit_als as naive

ONE = Workers(1)


SOLVERS = ["cg", "cholesky"]


def rows_of(dense):
    """The cells of a dense matrix that are not NaN."""
    cells = ~np.isnan(dense)
    indptr = np.concatenate(([0], np.cumsum(cells.sum(axis=1)))).astype(np.int64)
    return Rows(indptr, np.nonzero(cells)[1].astype(np.int32), dense[cells].astype(np.float32))


def both_ways(dense):
    """The same as Ratings."""
    return Ratings(rows_of(dense), rows_of(dense.T))


def random_strengths(n_users=60, n_items=40, density=0.3, seed=0, scale=1.0):
    """Strengths 0 to 4; user 0 has none, user 1 one, user 2 zeros alone, user 3 all the same."""
    rng = np.random.default_rng(seed)
    dense = scale * rng.integers(0, 5, (n_users, n_items)).astype(float)
    dense[rng.random(dense.shape) > density] = np.nan
    dense[:2] = np.nan
    dense[1, 3] = 4
    dense[2] = np.where(np.arange(n_items) < 9, 0, np.nan)
    dense[3] = 2
    return dense


DENSE = random_strengths()


RATINGS = both_ways(DENSE)


STRENGTHS = np.nan_to_num(DENSE)


def train(ratings=RATINGS, threads=1, **options):
    """A training after all its epochs, and its losses."""
    workers = Workers(threads)
    als = ImplicitAls(ratings, ImplicitAlsOptions(**options), workers)
    losses = [als.epoch(number) for number in range(1, als.epochs + 1)]
    return als, losses


def numbers(als):
    """P and Q in float64."""
    model = als.factors()
    return model.P.astype(float), model.Q.astype(float)


def solve_users(als):
    """The second half of an epoch."""
    how = als.penalty(None), ONE, als.options.n_factors
    solve(als.observed.by_user, als.P, als.Q, *how, exactly=als.options.solver == "cholesky")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_factors", [1, 2, 16, 33, 64])
@pytest.mark.parametrize("weighing", [(0.0, 1.0, 0.0), (3.0, 0.2, 0.5), (10.0, 0.5, 1.0)])
def test_an_epoch_equals_the_naive_one(solver, n_factors, weighing):
    names = ("alpha", "unobserved_weight", "regularization_scaling")
    options = ImplicitAlsOptions(
        n_factors=n_factors,
        solver=solver,
        user_regularization=0.3,
        item_regularization=0.2,
        **dict(zip(names, weighing, strict=True)),
    )
    als = ImplicitAls(RATINGS, options, ONE)
    P, Q = numbers(als)
    steps = STEPS if solver == "cg" else None
    Q = naive.solved_rows(STRENGTHS.T, Q, P, options, 0.2, steps)
    P = naive.solved_rows(STRENGTHS, P, Q, options, 0.3, steps)
    als.epoch(1)
    model = als.factors()
    assert np.allclose(model.Q, Q, rtol=1e-3, atol=1e-3 * np.abs(Q).max())
    assert np.allclose(model.P, P, rtol=1e-3, atol=1e-3 * np.abs(P).max())


@pytest.mark.parametrize("solver", SOLVERS)
def test_rows_longer_than_a_batch_equal_the_naive_ones(solver):
    dense = random_strengths(5, 301, density=0.9, seed=3)
    options = ImplicitAlsOptions(n_factors=20, solver=solver)
    als = ImplicitAls(both_ways(dense), options, ONE)
    rng = np.random.default_rng(1)
    als.Q[:, :20] = rng.normal(0, 0.3, (301, 20))
    P, Q = numbers(als)
    solve_users(als)
    steps = STEPS if solver == "cg" else None
    regularization = options.regularization
    P = naive.solved_rows(np.nan_to_num(dense), P, Q, options, regularization, steps)
    assert np.allclose(als.factors().P, P, atol=1e-4)


def test_long_rows_are_solved_exactly_beside_short_ones(monkeypatch):
    exact, _ = train(solver="cholesky", epochs=1)
    monkeypatch.setattr(module, "LONGEST", 10 * 32)
    als = ImplicitAls(RATINGS, ImplicitAlsOptions(solver="cg", epochs=1), ONE)
    als.Q[:] = exact.Q
    solve_users(als)
    long = als.observed.by_user.counts > 10
    assert 5 < long.sum() < 60
    assert als.P[long].tobytes() == exact.P[long].tobytes()
    assert not np.allclose(als.P[~long], exact.P[~long])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_factors", [5, 40])
def test_loss_is_the_objective_over_all_pairs(solver, n_factors):
    als, losses = train(solver=solver, n_factors=n_factors, epochs=3, alpha=2.0)
    confidence = np.sum((1 + 2.0 * STRENGTHS)[STRENGTHS > 0])
    expected = naive.objective(STRENGTHS, *numbers(als), als.options) / confidence
    assert losses[-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_factors", [3, 40])
def test_half_epochs_never_raise_the_objective(solver, n_factors):
    options = ImplicitAlsOptions(n_factors=n_factors, solver=solver)
    als = ImplicitAls(RATINGS, options, ONE)
    pairs = als.observed
    before = naive.objective(STRENGTHS, *numbers(als), options)
    for _ in range(4):
        for rows, this, other in [(pairs.by_item, als.Q, als.P), (pairs.by_user, als.P, als.Q)]:
            solve(
                rows, this, other, als.penalty(None), ONE, n_factors, exactly=solver == "cholesky"
            )
            after = naive.objective(STRENGTHS, *numbers(als), options)
            assert after <= before * (1 + 1e-6)
            before = after


def test_gradient_vanishes_at_the_exact_solution():
    als, _ = train(solver="cholesky", n_factors=12, epochs=3)
    P, Q = numbers(als)
    penalties = naive.ridges(STRENGTHS, als.options, als.options.regularization)
    for strengths, p, ridge in zip(STRENGTHS, P, penalties, strict=True):
        A, b = naive.system(strengths, Q, ridge, als.options)
        assert np.abs(A @ p - b).max() < 1e-4


@pytest.mark.parametrize("solver", SOLVERS)
def test_rows_without_observed_pairs_are_zero(solver):
    als, _ = train(solver=solver, epochs=2)
    assert not als.P[[0, 2]].any()


def test_zero_strengths_say_nothing():
    without = both_ways(np.where(DENSE == 0, np.nan, DENSE))
    assert train(without, epochs=2)[0].P.tobytes() == train(epochs=2)[0].P.tobytes()


@pytest.mark.parametrize("solver", SOLVERS)
def test_padding_stays_zero(solver):
    als, _ = train(solver=solver, n_factors=5, epochs=2)
    assert not als.P[:, 5:].any()
    assert not als.Q[:, 5:].any()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_factors", [5, 33])
def test_bits_do_not_depend_on_threads(solver, n_factors):
    ratings = both_ways(random_strengths(n_users=9000, n_items=50, seed=5))
    first, losses = train(ratings, threads=1, epochs=2, solver=solver, n_factors=n_factors)
    for threads in (2, 3):
        other, others = train(
            ratings, threads=threads, epochs=2, solver=solver, n_factors=n_factors
        )
        assert others == losses
        assert other.P.tobytes() == first.P.tobytes()
        assert other.Q.tobytes() == first.Q.tobytes()


@pytest.mark.parametrize("solver", SOLVERS)
def test_pieces_do_not_change_bits(monkeypatch, solver):
    whole, _ = train(epochs=2, solver=solver)
    one_by_one = lambda ends: [(r, r + 1) for r in range(len(ends) - 1)]  # noqa: E731
    monkeypatch.setattr(module, "row_pieces", one_by_one)
    assert train(epochs=2, solver=solver)[0].P.tobytes() == whole.P.tobytes()


def test_trained_user_folded_in_again_is_the_same():
    als, _ = train(n_factors=9, epochs=3, solver="cholesky")
    rows, Q = als.ratings.by_user, als.factors().Q
    folded, items = padded(len(rows), 9), padded(len(Q), 9)
    items[:, :9] = Q
    solve(observed(rows, als.options.alpha), folded, items, als.penalty(None), ONE, 9)
    assert folded[:, :9].tobytes() == als.factors().P.tobytes()


@pytest.mark.parametrize(("n_factors", "solver"), [(8, "cholesky"), (200, "cg")])
def test_the_faster_solver_is_chosen(n_factors, solver):
    als = ImplicitAls(RATINGS, ImplicitAlsOptions(n_factors=n_factors), ONE)
    assert als.options.solver == solver


@pytest.mark.parametrize("solver", SOLVERS)
def test_numbers_beyond_float32_are_refused(solver):
    with pytest.raises(TrainingError, match=r"implicit_als cannot solve .* Give smaller strengths"):
        train(both_ways(random_strengths(scale=1e36)), epochs=3, solver=solver, alpha=100.0)


def test_validation_loss_is_one_minus_ndcg():
    als, _ = train(n_factors=8, epochs=2)
    rng = np.random.default_rng(2)
    held_out = np.where(np.isnan(DENSE) & (rng.random(DENSE.shape) < 0.1), 1.0, np.nan)
    held_out[5], held_out[6, 0] = np.nan, 0.0
    P, Q = numbers(als)
    gains = []
    for scores, seen, relevant in zip(P @ Q.T, ~np.isnan(DENSE), held_out > 0, strict=True):
        if relevant.any() and seen.any():
            order = np.argsort(-np.where(seen, -np.inf, scores), kind="stable")[:10]
            discounts = 1 / np.log2(np.arange(2, 12))
            gains.append(relevant[order] @ discounts / discounts[: relevant.sum()].sum())
    loss = als.validation_loss(rows_of(held_out), Workers(2))
    assert loss == pytest.approx(1 - np.mean(gains), abs=1e-6)
    assert als.validation_loss(rows_of(held_out), ONE) == loss
