"""NUM_TRIALS and HPARAM_...: models whose options are searched, and their trials."""

from __future__ import annotations

import duckdb
import pytest

import duckmf
from duckmf.errors import BigQueryError
from tests.bigquery.models import fetch, info

MODEL = (
    "create or replace model m options(user_col = 'user_id', item_col = 'item_id', {}) "
    "as select user_id, item_id, rating{} from ratings"
)
TRIALS = """
    select trial_id, hyperparameters, hparam_tuning_evaluation_metrics, training_loss, eval_loss,
        status, error_message, is_optimal
    from ml.trial_info(model m) order by trial_id"""


def tuned(con, options, columns=""):
    assert duckmf.sql(con, MODEL.format(options, columns)) is None
    return info(con)


def test_candidates_are_all_tried_by_a_grid_search(small):
    options = "num_factors = HPARAM_CANDIDATES([2, 4]), l2_reg = hparam_candidates([0.5, 2, 8]), max_iterations = 3"
    found = tuned(
        small,
        f"{options}, num_trials = 6, hparam_tuning_algorithm = 'GRID_SEARCH', max_parallel_trials = 2",
    )
    rows = fetch(small, TRIALS)
    tried = sorted((row[1]["num_factors"], round(row[1]["l2_reg"], 6)) for row in rows)
    assert tried == [(2, 0.5), (2, 2), (2, 8), (4, 0.5), (4, 2), (4, 8)]
    (best,) = (row for row in rows if row[7])
    assert best[4] == min(row[4] for row in rows if row[5] == "SUCCEEDED")
    assert best[2]["mean_squared_error"] == best[4]
    assert found["options"]["n_factors"] == best[1]["num_factors"]
    deviation = small.execute("select stddev_pop(rating) from ratings").fetchall()[0][0]
    assert found["options"]["regularization"] * deviation == pytest.approx(
        best[1]["l2_reg"], rel=0.1
    )


@pytest.mark.parametrize("feedback", ["explicit", "implicit"])
def test_ranges_are_searched(small, feedback):
    options = "num_factors = hparam_range(2, 6), l2_reg = hparam_range(0.1, 10), max_iterations = 3"
    tuned(small, f"feedback_type = '{feedback}', {options}, num_trials = 5")
    rows = fetch(small, TRIALS)
    assert len(rows) == 5
    assert all(
        2 <= row[1]["num_factors"] <= 6 and 0.1 <= row[1]["l2_reg"] <= 10.001 for row in rows
    )
    names = {
        "explicit": ["mean_squared_error", "mean_absolute_error"],
        "implicit": ["mean_average_precision", "normalized_discounted_cumulative_gain"],
    }
    assert list(rows[0][2]) == names[feedback]
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    assert sum(row[7] for row in rows) == 1


def test_bigquery_s_ranges_are_searched_where_none_is_given(small):
    tuned(small, "feedback_type = 'implicit', num_trials = 2, max_iterations = 2")
    assert set(fetch(small, TRIALS)[0][1]) == {"num_factors", "l2_reg", "wals_alpha"}
    tuned(small, "num_trials = 2, max_iterations = 2, l2_reg = 1")
    assert set(fetch(small, TRIALS)[0][1]) == {"num_factors"}


def test_options_of_mf_fit_are_searched_too(small):
    tuned(
        small,
        "algorithm = 'svd', learning_rate = hparam_candidates([0.05, 0.1]), epochs = 2, num_trials = 2",
    )
    assert sorted(row[1]["learning_rate"] for row in fetch(small, TRIALS)) == [0.05, 0.1]


def test_the_test_rows_are_never_trained_on(small):
    part = ", case when ts < 400 then 'train' when ts < 500 then 'EVAL' else 'TEST' end as part"
    options = "num_factors = hparam_candidates([2, 4]), num_trials = 2, max_iterations = 3"
    found = tuned(small, f"{options}, data_split_method = 'CUSTOM', data_split_col = 'part'", part)
    assert found["rows"] == 500
    same = fetch(small, "from ml.evaluate(model m, (from ratings where ts >= 500))")
    assert fetch(small, "from ml.evaluate(model m)")[0] == pytest.approx(same[0], rel=1e-9)


def test_rows_are_parted_at_random(small):
    options = (
        "num_factors = 2, l2_reg = hparam_candidates([1, 2]), num_trials = 2, max_iterations = 2"
    )
    assert tuned(small, options)["rows"] == pytest.approx(540, abs=25)
    split = "data_split_method = 'RANDOM', data_split_eval_fraction = 0.2"
    assert tuned(small, f"{options}, {split}")["rows"] == 600
    assert tuned(small, f"{options}, {split}, data_split_test_fraction = 0.3")[
        "rows"
    ] == pytest.approx(420, abs=45)
    small.execute("delete from ratings where ts >= 450").fetchall()
    assert tuned(small, options)["rows"] == 450  # too few for a test


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("num_trials = 0", "NUM_TRIALS is 0; give a whole number from 1 to 100."),
        ("max_parallel_trials = 2", "MAX_PARALLEL_TRIALS belongs to a search; give NUM_TRIALS too."),
        ("num_factors = hparam_range(2, 4)", "NUM_FACTORS belongs to a search; give NUM_TRIALS too."),
        ("n_factors = hparam_range(2, 4)", "n_factors belongs to a search; give NUM_TRIALS too."),
        ("num_trials = 2, max_iterations = hparam_range(2, 4)", "MAX_ITERATIONS cannot be searched; give one value."),
        ("num_trials = 2, num_factors = hparam_range(4, 2)", "NUM_FACTORS has no range to search; give HPARAM_RANGE(low, high)."),
        ("num_trials = 2, l2_reg = hparam_candidates([])", "L2_REG has no values to search; give HPARAM_CANDIDATES([1, 2, ...])."),
        ("num_trials = 2, hparam_tuning_algorithm = 'LUCK'", "HPARAM_TUNING_ALGORITHM is 'LUCK'; give one of 'RANDOM_SEARCH', 'GRID_SEARCH', 'VIZIER_DEFAULT'."),
        ("num_trials = 2, num_factors = hparam_range(2, 4), hparam_tuning_algorithm = 'grid_search'", "HPARAM_TUNING_ALGORITHM 'GRID_SEARCH' takes HPARAM_CANDIDATES alone."),
        ("num_trials = 2, num_factors = hparam_candidates([2, 4, 8]), hparam_tuning_algorithm = 'grid_search'", "NUM_TRIALS is 2 but 'GRID_SEARCH' has 3 combinations; give NUM_TRIALS as many, or 'RANDOM_SEARCH'."),
        ("num_trials = 2, hparam_tuning_objectives = ['AVERAGE_RANK']", "HPARAM_TUNING_OBJECTIVES is 'AVERAGE_RANK', by which no trial is judged here; give one of 'MEAN_SQUARED_ERROR', 'MEAN_ABSOLUTE_ERROR'."),
        ("num_trials = 2, data_split_method = 'NO_SPLIT'", "DATA_SPLIT_METHOD is 'NO_SPLIT', but trials are judged by rows that 'RANDOM' holds out, or 'CUSTOM' names; give one of them."),
        ("num_trials = 2, data_split_method = 'RANDOM', data_split_test_fraction = 0.1", "DATA_SPLIT_TEST_FRACTION needs DATA_SPLIT_EVAL_FRACTION; give both."),
        ("data_split_method = 'RANDOM', data_split_eval_fraction = 0.1, data_split_test_fraction = 0.1", "DATA_SPLIT_TEST_FRACTION belongs to a search; give NUM_TRIALS too."),
    ],
)  # fmt: skip
def test_a_search_is_refused_with_the_reason(small, options, message):
    with pytest.raises(BigQueryError) as caught:
        duckmf.sql(small, MODEL.format(options, ""))
    assert str(caught.value) == f"CREATE MODEL: {message}"


def test_a_part_that_is_none_is_refused(small):
    options = "num_trials = 2, l2_reg = hparam_candidates([1, 2]), data_split_method = 'CUSTOM', data_split_col = 'part'"
    with pytest.raises(
        duckdb.Error, match="DATA_SPLIT_COL part is half in a row; give TRAIN, EVAL or TEST"
    ):
        duckmf.sql(small, MODEL.format(options, ", if(ts = 5, 'half', 'TRAIN') as part"))


def test_a_model_without_trials_has_none(small):
    tuned(small, "num_factors = 2, max_iterations = 1")
    with pytest.raises(
        BigQueryError, match=r"ML\.TRIAL_INFO: the model was not tuned; train it with NUM_TRIALS\."
    ):
        fetch(small, TRIALS)
