"""ML.RECOMMEND and the other functions of ML, each as a query over the mf_ functions.

ML.RECOMMEND      predicted_<rating>, or predicted_<rating>_confidence for implicit feedback, beside
                  the columns of the data. To users without items come all items, to items without
                  users all users; without data it is every pair. Predictions are not clipped, and
                  pairs of the training data are among them. ML.PREDICT is the same, with data
ML.EVALUATE       see evaluate.py; without data, of the rows held out, or else of those in training
ML.WEIGHTS        processed_input, feature, factor_weights, intercept
ML.TRAINING_INFO  training_run, iteration, loss, eval_loss, learning_rate, duration_ms
ML.FEATURE_INFO   input, category_count, and columns that are NULL for users and items
ML.TRIAL_INFO     trial_id, hyperparameters, hparam_tuning_evaluation_metrics, training_loss,
                  eval_loss, status, error_message, is_optimal: of a model with NUM_TRIALS
ML.GENERATE_EMBEDDING    processed_input, feature, and the factors with the intercept behind them
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from duckmf.bigquery import catalog, google
from duckmf.bigquery.catalog import Relation
from duckmf.bigquery.evaluate import EXPLICIT, IMPLICIT, evaluation
from duckmf.bigquery.grammar import Call, Query, calls
from duckmf.bigquery.names import identifier, literal
from duckmf.bigquery.trials import TRIAL_COLUMNS, trial_sql
from duckmf.errors import BigQueryError

MODEL = "mf__bq_model"


def translated(con: duckdb.DuckDBPyConnection, query: Query) -> str:
    """A query with its calls of ML functions replaced; all else byte for byte.

    Raises:
        BigQueryError: a call is not written right, or cannot be honoured.
    """
    edits = [(call.begin, call.end, _subquery(con, call)) for call in calls(query)]
    return google.as_duckdb_reads(con, query, edits)


def _subquery(con: duckdb.DuckDBPyConnection, call: Call) -> str:
    what = f"ML.{call.function}"
    if call.function not in FUNCTIONS:
        names = ", ".join(f"ML.{name}" for name in FUNCTIONS)
        raise BigQueryError(f"{what}: no function of matrix factorization; there are {names}.")
    if call.settings:
        raise BigQueryError(
            f"{what}: {min(call.settings)} does not apply to these models; leave it out."
        )
    model = catalog.model(con, what, call.model)
    data = _data(con, call)
    if data is not None and call.function not in WITH_DATA:
        raise BigQueryError(f"{what}: it takes the model alone; leave the data out.")
    body = FUNCTIONS[call.function](model, data)
    return f"(WITH {MODEL} AS NOT MATERIALIZED (FROM {model.name.sql}){body})"


def _data(con: duckdb.DuckDBPyConnection, call: Call) -> str | None:
    if isinstance(call.data, Query):
        return translated(con, call.data)
    return None if call.data is None else f"FROM {call.data.sql}"


def _recommend(model: Relation, data: str | None) -> str:
    user, item = identifier(model.names["user"]), identifier(model.names["item"])
    suffix = "" if model.explicit else "_confidence"
    predicted = identifier(f"predicted_{model.names['rating']}{suffix}")
    return f"""{_every_pair(user, item) if data is None else _pairs(data, user, item)}
SELECT p.prediction::DOUBLE AS {predicted}, p.* EXCLUDE (prediction, prediction_source)
FROM mf_predict({MODEL}, mf__bq_pairs, {user}, {item}, clip := false) p"""


def _predict(model: Relation, data: str | None) -> str:
    if data is None:
        raise BigQueryError("ML.PREDICT: it needs TABLE name or (query); ML.RECOMMEND does not.")
    return _recommend(model, data)


def _every_pair(user: str, item: str) -> str:
    return f""",
mf__bq_pairs AS NOT MATERIALIZED (
    SELECT u.user_id AS {user}, i.item_id AS {item}
    FROM {MODEL} u, {MODEL} i WHERE u.kind = 'user' AND i.kind = 'item'
)"""


def _pairs(data: str, user: str, item: str) -> str:
    """The data, with every item where it has no items, and every user where it has no users.

    A column of the data hides the outer column of its name, and is NULL in the row added here.
    """
    lacking = literal(
        f"ML.RECOMMEND: the data has neither a column {user} nor {item}; "
        "name the columns as in training."
    )
    return f""",
mf__bq_data AS NOT MATERIALIZED (
{data}
),
mf__bq_has AS NOT MATERIALIZED (
    SELECT
        given.{user} IS NULL AS users,
        CASE WHEN given.{user} IS NULL OR given.{item} IS NULL THEN given.{item} IS NULL
            ELSE error({lacking}) END AS items
    FROM
        (SELECT 1 AS {user}, 1 AS {item}) free,
        LATERAL (
            SELECT {user}, {item}
            FROM ((FROM mf__bq_data LIMIT 0) UNION ALL BY NAME SELECT 1 AS mf__row)
        ) given
),
mf__bq_others AS NOT MATERIALIZED (
    SELECT NULL AS u, NULL AS i FROM mf__bq_has h WHERE h.users AND h.items
    UNION ALL
    SELECT m.user_id, NULL FROM {MODEL} m, mf__bq_has h WHERE m.kind = 'user' AND NOT h.users
    UNION ALL
    SELECT NULL, m.item_id FROM {MODEL} m, mf__bq_has h WHERE m.kind = 'item' AND NOT h.items
),
mf__bq_pairs AS NOT MATERIALIZED (
    SELECT d.* REPLACE (
        CASE WHEN h.users THEN d.{user} ELSE o.u END AS {user},
        CASE WHEN h.items THEN d.{item} ELSE o.i END AS {item}
    )
    FROM (
        FROM mf__bq_data UNION ALL BY NAME SELECT NULL AS {user}, NULL AS {item} WHERE false
    ) d, mf__bq_has h, mf__bq_others o
)"""


def _evaluate(model: Relation, data: str | None) -> str:
    info, names = model.info or {}, model.names
    stored = info.get("bigquery", {}).get("evaluation")
    if data is None and stored is not None:
        columns = EXPLICIT if model.explicit else IMPLICIT
        values = ", ".join(f"{literal(stored.get(name))}::DOUBLE AS {name}" for name in columns)
        return f" SELECT {values}"
    if data is None and not info.get("options", {}).get("keep_seen"):
        raise BigQueryError(
            "ML.EVALUATE: the model keeps no training rows to evaluate; "
            "give TABLE name or (query), or train with keep_seen = TRUE."
        )
    rows = _training_rows(names) if data is None else data
    query = evaluation(model.explicit, MODEL, rows, names["user"], names["item"], names["rating"])
    return f" FROM ({query})"


def _training_rows(names: dict[str, str]) -> str:
    user, item, rating = (identifier(names[name]) for name in ("user", "item", "rating"))
    return f"""
SELECT s.user_id AS {user}, i.item_id AS {item}, s.rating AS {rating}
FROM (
    SELECT m.user_id, unnest(m.seen) AS code, unnest(m.seen_ratings) AS rating
    FROM {MODEL} m WHERE m.kind = 'user'
) s JOIN {MODEL} i ON i.kind = 'item' AND i.code = s.code"""


def _weights(model: Relation, data: str | None) -> str:
    return f"""
SELECT
    CASE w.processed_input WHEN 'user_id' THEN {literal(model.names["user"])}
        WHEN 'item_id' THEN {literal(model.names["item"])} END AS processed_input,
    w.feature, w.factor_weights, coalesce(w.intercept, 0) AS intercept
FROM mf_weights({MODEL}) w"""


def _training_info(model: Relation, data: str | None) -> str:
    info = model.info or {}
    squared = " ^ 2" if info.get("loss") == "rmse" else ""
    rate = literal(info.get("options", {}).get("learning_rate"))
    return f"""
SELECT
    0::BIGINT AS training_run, e.epoch - 1 AS iteration,
    e.train_loss{squared} AS loss, e.validation_loss{squared} AS eval_loss,
    {rate}::DOUBLE AS learning_rate, round(e.seconds * 1000)::BIGINT AS duration_ms
FROM mf_epochs({MODEL}) e"""


def _feature_info(model: Relation, data: str | None) -> str:
    nothing = ", ".join(
        f"NULL::DOUBLE AS {name}" for name in ("min", "max", "mean", "median", "stddev")
    )
    return f"""
SELECT
    n.input, {nothing}, n.category_count,
    NULL::BIGINT AS null_count, NULL::BIGINT AS dimension
FROM (
    SELECT {literal(model.names["user"])} AS input, users AS category_count FROM mf_info({MODEL})
    UNION ALL
    SELECT {literal(model.names["item"])}, items FROM mf_info({MODEL})
) n"""


def _generate_embedding(model: Relation, data: str | None) -> str:
    def side(name: str) -> str:
        return f"""
SELECT
    {literal(model.names[name])} AS processed_input, f.{name}_id::VARCHAR AS feature,
    list_append(f.factors::DOUBLE[], coalesce(f.bias, 0)::DOUBLE) AS ml_generate_embedding_result
FROM mf_{name}_factors({MODEL}) f"""

    return f"{side('user')}\nUNION ALL{side('item')}"


def _trial_info(model: Relation, data: str | None) -> str:
    info = model.info or {}
    trials = info.get("tuning", {}).get("trials")
    if trials is None:
        raise BigQueryError("ML.TRIAL_INFO: the model was not tuned; train it with NUM_TRIALS.")
    rows = ", ".join(trial_sql(trial, info) for trial in sorted(trials, key=lambda t: t["trial"]))
    return f" FROM (VALUES {rows}) t({', '.join(TRIAL_COLUMNS)})"


WITH_DATA = ("RECOMMEND", "PREDICT", "EVALUATE")
FUNCTIONS: dict[str, Callable[[Relation, str | None], str]] = {
    "RECOMMEND": _recommend,
    "PREDICT": _predict,
    "EVALUATE": _evaluate,
    "WEIGHTS": _weights,
    "TRAINING_INFO": _training_info,
    "TRIAL_INFO": _trial_info,
    "FEATURE_INFO": _feature_info,
    "GENERATE_EMBEDDING": _generate_embedding,
}
