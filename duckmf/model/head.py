"""The row of kind 'model': what it must be for the relation to be a model."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from duckmf.errors import DataError

FORMAT = 2  # of the model relation: the one that is written and read

# What `facts` has of `info`, and of its options; the rest of its fields are made from them.
OF_INFO = (
    *("format", "algorithm", "feedback", "users", "items"),
    *("rating_min", "rating_max", "rating_std"),
    *("loss", "epochs", "best_epoch", "train_loss", "validation_loss"),
    *("held_out", "duplicates_merged", "seconds"),
)
OF_OPTIONS = (
    *("n_factors", "solver", "alpha", "unobserved_weight"),
    *("regularization_scaling", "nonnegative"),
)


def check_model(model: dict[str, Any], name: str = "this relation") -> dict[str, Any]:
    """The `info` of a relation that has `rows` of kind 'model', one of them with it.

    name: what messages call it.

    Raises:
        DataError: the relation is no model, or one of a newer format.
    """
    if model.get("rows", 1) != 1:
        raise DataError(
            f"mf_fit: {name} is not a model: it has {model['rows']} rows of kind 'model', "
            "not 1. Pass a table made by mf_fit."
        )
    info: dict[str, Any] = json.loads(model["info"])
    if info["format"] > FORMAT:
        raise DataError(
            f"mf_fit: this model has format {info['format']}, made by a newer duckmf. "
            "Upgrade duckmf."
        )
    return info


def facts_of(info: dict[str, Any]) -> dict[str, Any]:
    """What readers need of an `info`, without JSON."""
    options = info["options"]
    shared = options.get("regularization")
    penalties = {
        name: shared if options.get(name) is None else options[name]
        for name in ("user_regularization", "bias_regularization")
    }
    return {
        **{name: info[name] for name in OF_INFO},
        **{name: options.get(name) for name in OF_OPTIONS},
        **penalties,
        "trained_at": datetime.fromisoformat(info["trained_at"]).replace(tzinfo=None),
        "options": json.dumps(options),
        "versions": json.dumps(info["versions"]),
    }
