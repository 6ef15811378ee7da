"""ML.TRIAL_INFO: the trials of a search, as info keeps them, in BigQuery's words."""

from __future__ import annotations

from typing import Any

from duckmf.bigquery.names import identifier, literal

TRIAL_COLUMNS = (
    "trial_id",
    "hyperparameters",
    "hparam_tuning_evaluation_metrics",
    "training_loss",
    "eval_loss",
    "status",
    "error_message",
    "is_optimal",
)
NAMES = {"n_factors": "num_factors", "regularization": "l2_reg", "alpha": "wals_alpha"}
METRICS = {
    "rmse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "map": "mean_average_precision",
    "ndcg": "normalized_discounted_cumulative_gain",
}
STATUS = {"complete": "SUCCEEDED", "pruned": "EARLY_STOPPED", "failed": "FAILED"}


def trial_sql(trial: dict[str, Any], info: dict[str, Any]) -> str:
    """A row of ML.TRIAL_INFO; training_loss is not kept, and NULL."""
    explicit = info.get("feedback") == "explicit"
    metrics = {
        name: _squared(own, trial.get(own))
        for own, name in METRICS.items()
        if (own in ("rmse", "mae")) == explicit
    }
    searched = {NAMES.get(k, k): _in_bigquery(k, v, info) for k, v in trial["searched"].items()}
    values = [
        f"{trial['trial']}::BIGINT",
        _struct({name: _typed(value) for name, value in searched.items()}),
        _struct({name: f"{literal(value)}::DOUBLE" for name, value in metrics.items()}),
        "NULL::DOUBLE",
        f"{literal(metrics.get(METRICS.get(trial['objective'], '')))}::DOUBLE",
        literal(STATUS[trial["status"]]),
        f"{literal(trial['error'])}::VARCHAR",
        literal(trial["rank"] == 1),
    ]
    return f"({', '.join(values)})"


def _squared(name: str, value: float | None) -> float | None:
    return value * value if name == "rmse" and value is not None else value


def _in_bigquery(name: str, value: Any, info: dict[str, Any]) -> Any:
    """L2_REG of als is in the units of the ratings, and mf_fit's regularization is not."""
    if name == "regularization" and info.get("algorithm") == "als":
        return float(value * (info.get("rating_std") or 1.0))
    return float(value) if name in ("regularization", "alpha") else value


def _typed(value: Any) -> str:
    kind = {int: "::BIGINT", float: "::DOUBLE"}.get(type(value), "")
    return literal(value) + kind


def _struct(fields: dict[str, str]) -> str:
    return f"struct_pack({', '.join(f'{identifier(k)} := {v}' for k, v in fields.items())})"
