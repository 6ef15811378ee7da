"""The options of CREATE MODEL: what they do, which rows they hold out, and what is refused."""

from __future__ import annotations

import math

import duckdb
import pytest

import duckmf
from duckmf import bigquery
from duckmf.bigquery import options
from tests.bigquery.models import MODEL, created, fetch, info, one, refusal


def test_the_penalty_is_that_of_the_documented_loss(small):
    """sum of squared errors + L2_REG (sum |p|^2 + sum |q|^2 + sum b^2), at a stationary point."""
    created(small, "l2_reg = 3.0, max_iterations = 300, early_stop = false")
    rows = small.execute("""
        select u.bias, u.factors, list((s.r - p.prediction)), list(i.factors)
        from (select user_id u, item_id i, rating r from ratings) s
        join (select * exclude rating from mf_predict(m, ratings, user_id, item_id, clip := false)) p
            on p.user_id = s.u and p.item_id = s.i
        join m u on u.kind = 'user' and u.user_id = s.u
        join m i on i.kind = 'item' and i.item_id = s.i
        group by all""").fetchall()
    assert len(rows) == 40
    for bias, factors, errors, others in rows:
        assert sum(errors) == pytest.approx(3.0 * bias, abs=2e-3)
        for f, p in enumerate(factors):
            pull = sum(e * q[f] for e, q in zip(errors, others, strict=True))
            assert pull == pytest.approx(3.0 * p, abs=2e-3)


def test_bigquery_decides_what_is_not_given(small):
    duckmf.sql(
        small,
        "create model m options(model_type='matrix_factorization') as "
        "select user_id as user, item_id as item, rating from ratings",
    )
    used = info(small)["options"]
    assert used["n_factors"] == round(math.log2(600))
    assert used["epochs"] == 20
    deviation = one(small, "select stddev_pop(rating) from ratings")[0]
    assert used["regularization"] == pytest.approx(1 / deviation)
    assert (used["regularization_scaling"], used["bias_regularization"]) == (0, 1)
    assert (used["patience"], used["tolerance"]) == (1, 0)
    assert 1 - (1 - used["relative_tolerance"]) ** 2 == pytest.approx(0.01)
    assert info(small)["held_out"] == 0


def test_implicit_feedback_is_weighted_as_bigquery_does(small):
    used = created(small, "feedback_type = 'implicit'")["options"]
    assert info(small)["algorithm"] == "implicit_als"
    assert (used["alpha"], used["unobserved_weight"]) == (40, 1)
    assert (used["regularization"], used["regularization_scaling"]) == (1, 0)
    assert used["relative_tolerance"] == 0.01


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("max_iterations = 3", {"epochs": 3}),
        ("l2_reg = 0", {"regularization": 0, "bias_regularization": 0}),
        ("feedback_type = 'IMPLICIT', wals_alpha = 2.5", {"alpha": 2.5, "unobserved_weight": 1}),
        ("feedback_type = 'implicit', l2_reg = 7", {"regularization": 7}),
        ("early_stop = FALSE", {"patience": 10000}),
        ("min_rel_progress = 0.19", {"relative_tolerance": pytest.approx(0.1)}),
        ("feedback_type = 'implicit', min_rel_progress = 0.19", {"relative_tolerance": 0.19}),
        ("regularization = 2", {"regularization": 2, "regularization_scaling": 0.5}),
        ("epochs = 4, patience = 2", {"epochs": 4, "patience": 2}),
        ("algorithm = 'svd'", {"epochs": 20, "patience": None, "learning_rate": 0.15}),
        ("algorithm = 'svd', learning_rate = 0.01", {"learning_rate": 0.01}),
        ("algorithm = 'bpr', feedback_type = 'implicit'", {"popularity_exponent": 0}),
        ("nonnegative = true, seed = 7", {"nonnegative": True, "seed": 7}),
        ('model_type = "MATRIX_FACTORIZATION"', {"n_factors": 4}),
    ],
)
def test_an_option_is_honoured(small, given, expected):
    template = MODEL.replace("model_type = 'matrix_factorization', ", "")
    duckmf.sql(small, template.format(f", {given}", ""))
    used = info(small)["options"]
    assert {name: used[name] for name in expected} == expected


def test_every_option_of_mf_fit_is_known(con):
    (parameters,) = con.execute(
        "select parameters from duckdb_functions() where function_name = 'mf_fit'"
    ).fetchone()
    others = {"rating", "warm_start"}  # a column that has its own option; what BigQuery has not
    assert options.ours() == tuple(name for name in parameters[3:] if name not in others)


def test_options_of_mf_fit_that_name_columns(small):
    used = created(
        small, "ts = 'ts', duplicates = 'last', validation = 'late'", ", ts, ts > 500 as late"
    )
    assert used["held_out"] == 99
    assert used["options"]["duplicates"] == "last"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("num_factors = 0", "NUM_FACTORS is 0; give a whole number of at least 1."),
        ("max_iterations = 2.5", "MAX_ITERATIONS is 2.5; give a whole number of at least 1."),
        ("l2_reg = -1", "L2_REG is -1; give a number of at least 0."),
        ("l2_reg = 'a lot'", "L2_REG is 'a lot'; give a number of at least 0."),
        ("early_stop = 1", "EARLY_STOP is 1; give TRUE or FALSE."),
        ("min_rel_progress = 1", "MIN_REL_PROGRESS is 1; give a number from 0 to 0.99."),
        ("model_type = 'kmeans'", "MODEL_TYPE is 'kmeans'; give 'MATRIX_FACTORIZATION'."),
        ("feedback_type = 'loud'", "FEEDBACK_TYPE is 'loud'; give 'EXPLICIT' or 'IMPLICIT'."),
        ("wals_alpha = 1", "WALS_ALPHA belongs to FEEDBACK_TYPE = 'IMPLICIT'; leave it out."),
        ("l2_reg = 1, algorithm = 'svd'", "L2_REG is no option of algorithm = 'svd'; give regularization."),
        ("num_factors = 2, n_factors = 2", "NUM_FACTORS and n_factors say the same; give one of them."),
        ("l2_reg = 2, L2_REG = 2", "L2_REG is given twice; give it once."),
        ("feedback_type = 'implicit', algorithm = 'als'", "FEEDBACK_TYPE is 'implicit' but algorithm is 'als'; give one of them."),
        ("num_factor = 2", "NUM_FACTOR is no option of a matrix factorization; leave it out. Did you mean NUM_FACTORS?"),
        ("user_col = NULL", "USER_COL is None; give the name of a column."),
        ("data_split_method = 'HALF'", "DATA_SPLIT_METHOD is 'HALF'; give one of 'AUTO_SPLIT', 'RANDOM', 'CUSTOM', 'SEQ', 'NO_SPLIT'."),
        ("data_split_method = 'RANDOM', data_split_eval_fraction = 2", "DATA_SPLIT_EVAL_FRACTION is 2; give a number between 0 and 1."),
        ("data_split_eval_fraction = 0.1", "DATA_SPLIT_EVAL_FRACTION is not used by 'NO_SPLIT'; leave it out."),
        ("data_split_method = 'CUSTOM'", "'CUSTOM' needs DATA_SPLIT_COL; give the name of a column of the query."),
        ("data_split_method = 'RANDOM', data_split_col = 'x'", "DATA_SPLIT_COL is not used by 'RANDOM'; leave it out."),
        *((f"{name} = 'x'", f"{name} is not honoured: {reason}.") for name, reason in options.REFUSED.items()),
    ],
)  # fmt: skip
def test_an_option_is_refused_with_its_value_and_what_to_do(small, given, message):
    text = f"create model m options({given}) as select user_id, item_id, rating from ratings"
    assert refusal(small, text) == f"CREATE MODEL: {message}"


@pytest.mark.parametrize("feedback", ["explicit", "implicit"])
def test_evaluation_without_data_is_of_the_rows_that_were_held_out(small, feedback):
    split = "data_split_method = 'CUSTOM', data_split_col = 'late'"
    noted = created(small, f"feedback_type = '{feedback}', {split}", ", ts >= 500 as late")
    assert noted["held_out"] == 100
    found = fetch(small, "from ml.evaluate(model m)")
    same = fetch(small, "from ml.evaluate(model m, (from ratings where ts >= 500))")
    assert found[0] == pytest.approx(same[0], rel=1e-9)


@pytest.mark.parametrize(
    ("split", "columns", "held_out"),
    [
        ("data_split_method = 'NO_SPLIT'", "", 0),
        ("data_split_method = 'CUSTOM', data_split_col = 's'", ", if(ts = 1, null, ts % 4 = 0) as s", 151),
        ("data_split_method = 'SEQ', data_split_col = 'ts'", ", ts", 120),
        ("data_split_method = 'SEQ', data_split_eval_fraction = 0.1, data_split_col = 's'", ", nullif(ts // 7, 0) as s", 61),
        ("data_split_method = 'RANDOM', data_split_eval_fraction = 0.3", "", 180),
        ("data_split_method = 'AUTO_SPLIT'", "", 120),
        ("data_split_method = 'RANDOM'", "", 120),
    ],
)  # fmt: skip
def test_rows_are_held_out(small, split, columns, held_out):
    found = created(small, split, columns)["held_out"]
    assert found == pytest.approx(held_out, abs=35 if "data_split_col" not in split else 0)


def test_few_rows_are_not_split_automatically(small):
    small.execute("delete from ratings where ts >= 499").fetchall()
    assert created(small, "data_split_method = 'AUTO_SPLIT'")["held_out"] == 0
    assert len(fetch(small, "from ml.evaluate(model m)")) == 1


def test_many_rows_hold_out_ten_thousand():
    assert bigquery.holdout.DataSplit("AUTO_SPLIT").of(1_000_000).fraction == 0.01
    assert bigquery.holdout.DataSplit("RANDOM", 0.5).of(1_000_000).fraction == 0.5


def test_a_random_split_is_the_same_for_the_same_rows(small):
    split = "data_split_method = 'RANDOM', data_split_eval_fraction = 0.3"
    first = created(small, split)
    small.execute("create or replace table ratings as from ratings order by hash(ts)").fetchall()
    again = created(small, split)
    assert again["held_out"] == first["held_out"]
    assert again["bigquery"]["evaluation"] == pytest.approx(first["bigquery"]["evaluation"])


def test_a_custom_split_needs_a_boolean(small):
    with pytest.raises(duckdb.Error, match="DATA_SPLIT_COL ts is no BOOLEAN but BIGINT; give"):
        created(small, "data_split_method = 'CUSTOM', data_split_col = 'ts'", ", ts")
