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


def trained(con, options: str) -> None:
    algorithm = f"algorithm := 'als', {options}" if options else "algorithm := 'als'"
    con.execute(
        f"create table model as from mf_fit(ratings, user_id, item_id, rating, {algorithm})"
    )


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_contributions_add_up_to_the_score(small, options):
    trained(small, options)
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


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_contributions_equal_numpy(small, options):
    trained(small, options)
    user, item = 3, 8
    info, mu = small.execute("select info, bias from model where kind = 'model'").fetchone()
    info = json.loads(info)
    given, own = info["options"], info["options"]["regularization"]
    seen, ratings = small.execute(
        "select seen, seen_ratings from model where user_id = ?", [user]
    ).fetchone()
    ids, bias, factors = zip(
        *small.execute(
            "select item_id, bias, factors from model where kind = 'item' order by code"
        ).fetchall(),
        strict=True,
    )
    Z = np.column_stack([np.array(factors, float), np.ones(len(ids))])
    y = np.array(ratings) - mu - np.array(bias)[seen]
    lambda_u = own if given["user_regularization"] is None else given["user_regularization"]
    lambda_b = own if given["bias_regularization"] is None else given["bias_regularization"]
    penalties = (
        np.append(np.full(given["n_factors"], info["rating_std"] * lambda_u), lambda_b)
        * len(seen) ** given["regularization_scaling"]
    )
    A = Z[seen].T @ Z[seen] + np.diag(penalties)
    expected = Z[seen] @ np.linalg.solve(A, Z[ids.index(item)]) * y
    found = small.execute(
        "select item_id, rating, contribution from mf_explain(model, ?, ?, k := 100) "
        "where part = 'item' order by item_id",
        [user, item],
    ).fetchnumpy()
    assert found["item_id"].tolist() == [ids[code] for code in seen]
    np.testing.assert_allclose(found["rating"], ratings)
    np.testing.assert_allclose(found["contribution"], expected, rtol=1e-6, atol=1e-9)


def test_a_shorter_list_has_the_largest_and_sums_the_rest(small):
    trained(small, "")
    every = small.execute("from mf_explain(model, 3, 8, k := 100)").fetchall()
    few = small.execute("from mf_explain(model, 3, 8, k := 4)").fetchall()
    assert few[:5] == every[:5]
    assert [part for part, *_ in few] == ["baseline", *["item"] * 4, "other items"]
    sizes = [abs(contribution) for *_, contribution, _ in every[1:]]
    assert sizes == sorted(sizes, reverse=True)
    assert few[5][3] == pytest.approx(sum(row[3] for row in every[5:]))
