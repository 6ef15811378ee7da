"""mf_explain on trained models: against NumPy's solution of a user's equations, and its sum."""

from __future__ import annotations

import json

import numpy as np
import pytest

OPTIONS = {
    "defaults": "",
    "plain ridge": "regularization_scaling := 0, regularization := 2",
    "three penalties": "user_regularization := 0.2, item_regularization := 0.1, "
    "bias_regularization := 0.03, regularization_scaling := 0.5",
    "more factors than ratings": "n_factors := 48",
    "held out": "validation_fraction := 0.3",
}
IMPLICIT = {
    "exact": "solver := 'cholesky'",
    "approximate": "solver := 'cg', n_factors := 12, epochs := 3",
    "all four weights": "solver := 'cholesky', alpha := 3, unobserved_weight := 0.2, "
    "user_regularization := 0.05, regularization_scaling := 0.6",
    "observed pairs alone": "solver := 'cholesky', unobserved_weight := 0, regularization := 0.1",
    "strengths held out": "solver := 'cg', validation_fraction := 0.3",
}


def trained(con, options: str, algorithm: str = "als") -> None:
    """A model of the ratings, or of how far they are above 2.5; strengths of 0 are among those."""
    rating = "rating" if algorithm == "als" else "greatest(rating - 2.5, 0)"
    con.execute(
        f"create table model as from mf_fit(ratings, user_id, item_id, {rating}, "
        f"algorithm := '{algorithm}'{options and ', ' + options})"
    )


def both(test):
    """Parametrizes a test by algorithm and options."""
    cases = {f"als, {name}": ("als", options) for name, options in OPTIONS.items()} | {
        f"implicit_als, {name}": ("implicit_als", options) for name, options in IMPLICIT.items()
    }
    return pytest.mark.parametrize(("algorithm", "options"), cases.values(), ids=cases)(test)


@both
def test_contributions_add_up_to_the_score(small, algorithm, options):
    trained(small, options, algorithm)
    worst, pairs = small.execute(
        """
        with pairs as (select user_id as u, (user_id * 7) % 30 as i from model where kind = 'user'),
        sums as (
            select p.u, p.i, sum(e.contribution) as total
            from pairs p, mf_explain(model, p.u, p.i, k := 3) e
            group by all
        )
        select max(abs(total - prediction)), count(*)
        from mf_predict(model, sums, u, i, clip := false)
        """
    ).fetchone()
    assert pairs == 40
    assert worst < 1e-5


@both
def test_contributions_equal_numpy(small, algorithm, options):
    trained(small, options, algorithm)
    user, item = 3, 8
    mu, info, ids, seen, ratings, bias, Q = parts(small, user)
    equations = of_als if algorithm == "als" else of_implicit_als
    Z, weights, y, penalties = equations(info, mu, seen, ratings, bias, Q)
    A = (Z.T * weights) @ Z + np.diag(penalties)
    expected = Z[seen] @ np.linalg.solve(A, Z[ids.index(item)]) * y
    found = small.execute(
        "select item_id, rating, contribution from mf_explain(model, ?, ?, k := 100) "
        "where part = 'item' order by item_id",
        [user, item],
    ).fetchnumpy()
    listed = np.full(len(seen), True) if algorithm == "als" else ratings > 0
    assert found["item_id"].tolist() == [ids[code] for code in seen[listed]]
    np.testing.assert_allclose(found["rating"], ratings[listed])
    np.testing.assert_allclose(found["contribution"], expected[listed], rtol=1e-6, atol=1e-9)


def parts(con, user: int):
    """mu, info, ids of the items, codes and ratings of the user's, and b_i and Q by code."""
    info, mu = con.execute("select info, bias from model where kind = 'model'").fetchone()
    seen, ratings = con.execute(
        "select seen, seen_ratings from model where user_id = ?", [user]
    ).fetchone()
    ids, bias, factors = zip(
        *con.execute(
            "select item_id, coalesce(bias, 0), factors from model where kind = 'item' "
            "order by code"
        ).fetchall(),
        strict=True,
    )
    return mu, json.loads(info), ids, np.array(seen), np.array(ratings), np.array(bias), factors


def penalty(info, name: str) -> float:
    """An option that defaults to regularization."""
    given = info["options"]
    return given["regularization"] if given[name] is None else given[name]


def of_als(info, mu, seen, ratings, bias, Q):
    """Z of all items, their weights, and the right side and the penalties of the user."""
    Z = np.column_stack([np.array(Q, float), np.ones(len(Q))])
    weights = np.bincount(seen, minlength=len(Z)).astype(float)
    lambda_u, lambda_b = penalty(info, "user_regularization"), penalty(info, "bias_regularization")
    penalties = np.append(np.full(Z.shape[1] - 1, info["rating_std"] * lambda_u), lambda_b)
    scale = len(seen) ** info["options"]["regularization_scaling"]
    return Z, weights, ratings - mu - bias[seen], penalties * scale


def of_implicit_als(info, mu, seen, ratings, bias, Q):
    """The same of an implicit model, which has neither mu nor biases."""
    given = info["options"]
    assert mu == 0
    assert not bias.any()
    Z = np.array(Q, float)
    confidences = np.where(ratings > 0, 1 + given["alpha"] * ratings, 0)
    weights = np.full(len(Z), given["unobserved_weight"])
    weights[seen[ratings > 0]] = confidences[ratings > 0]
    n = np.count_nonzero(ratings) + given["unobserved_weight"] * len(Z)
    penalties = penalty(info, "user_regularization") * n ** given["regularization_scaling"]
    return Z, weights, confidences, np.full(Z.shape[1], penalties)


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_only_conjugate_gradients_leave_an_approximation(small, solver):
    trained(small, f"n_factors := 12, solver := '{solver}'", "implicit_als")
    rest = small.execute(
        """
        select abs(e.contribution)
        from (select user_id as u from model where kind = 'user') p, mf_explain(model, p.u, 8) e
        where e.part = 'approximation'
        """
    ).fetchnumpy()["abs(e.contribution)"]
    assert len(rest) == (40 if solver == "cg" else 0)
    assert np.all(rest < 0.05)


def test_a_shorter_list_has_the_largest_and_sums_the_rest(small):
    trained(small, "")
    every = small.execute("from mf_explain(model, 3, 8, k := 100)").fetchall()
    few = small.execute("from mf_explain(model, 3, 8, k := 4)").fetchall()
    assert few[:5] == every[:5]
    assert [part for part, *_ in few] == ["baseline", *["item"] * 4, "other items"]
    sizes = [abs(contribution) for *_, contribution, _ in every[1:]]
    assert sizes == sorted(sizes, reverse=True)
    assert few[5][3] == pytest.approx(sum(row[3] for row in every[5:]))
