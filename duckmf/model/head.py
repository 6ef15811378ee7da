"""The row of kind 'model': what it must be for the relation to be a model."""

from __future__ import annotations

import json
from typing import Any

from duckmf.errors import DataError

FORMAT = 1  # the newest of the model relation that is understood


def check_model(model: dict[str, Any], name: str = "this relation") -> dict[str, Any]:
    """The `info` of a relation that has `rows` of kind 'model', one of them with it.

    name: what messages call it.

    Raises:
        DataError: the relation is no model, or one of a newer format.
    """
    if model["rows"] != 1:
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
