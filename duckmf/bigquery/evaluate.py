"""ML.EVALUATE: how far a model is from rows of user, item and rating, in BigQuery's columns."""

from __future__ import annotations

from duckmf.bigquery.names import identifier

EXPLICIT = (
    "mean_absolute_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "median_absolute_error",
    "r2_score",
    "explained_variance",
)
IMPLICIT = (
    "mean_average_precision",
    "mean_squared_error",
    "normalized_discounted_cumulative_gain",
    "average_rank",
)


def evaluation(explicit: bool, model: str, rows: str, user: str, item: str, rating: str) -> str:
    """A query of one row for the relation `model` and a query `rows`."""
    columns = [identifier(name) for name in (user, item, rating)]
    make = _explicit if explicit else _implicit
    return f"WITH mf__bq_rows AS MATERIALIZED (\n{rows}\n) " + make(model, *columns)


def _explicit(model: str, user: str, item: str, rating: str) -> str:
    """Of predictions that are not clipped, those of ML.RECOMMEND."""
    defined = "s.r > -1 AND s.p > -1"
    log_error = f"avg(CASE WHEN {defined} THEN (ln(1 + s.r) - ln(1 + s.p)) ^ 2 END)"
    return f"""
SELECT
    avg(abs(s.e)) AS mean_absolute_error,
    avg(s.e * s.e) AS mean_squared_error,
    CASE WHEN bool_and({defined}) THEN {log_error} END AS mean_squared_log_error,
    median(abs(s.e)) AS median_absolute_error,
    1 - avg(s.e * s.e) / nullif(var_pop(s.r), 0) AS r2_score,
    1 - var_pop(s.e) / nullif(var_pop(s.r), 0) AS explained_variance
FROM (
    SELECT
        {_finite(rating)} AS r, prediction::DOUBLE AS p, {rating}::DOUBLE - prediction::DOUBLE AS e
    FROM mf_predict({model}, mf__bq_rows, {user}, {item}, clip := false)
) s"""


def _finite(rating: str) -> str:
    return (
        f"CASE WHEN isfinite({rating}::DOUBLE) THEN {rating}::DOUBLE ELSE error("
        f"'ML.EVALUATE: the rating is ' || coalesce({rating}::VARCHAR, 'NULL') "
        f"|| ' in a row; leave such rows out.') END"
    )


def _implicit(model: str, user: str, item: str, rating: str) -> str:
    return f"""
SELECT
    e.map AS mean_average_precision,
    e.mse AS mean_squared_error,
    e.ndcg AS normalized_discounted_cumulative_gain,
    e.mean_rank AS average_rank
FROM mf_evaluate_ranks({model}, mf__bq_rows, {user}, {item}, {rating}) e"""
