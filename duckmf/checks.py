"""What a request of `mf_fit` must be like before anything is read."""

from __future__ import annotations

import json
from typing import Any

from duckmf.errors import DataError, OptionError
from duckmf.options import Options

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


def check_request(options: Options, name: str, has_validation: bool, has_times: bool) -> None:
    """Refuse options that contradict each other.

    Raises:
        OptionError: two ways of validation, or something that needs times without them.
    """
    if has_validation and options.validation_fraction is not None:
        raise OptionError(
            "mf_fit: validation and validation_fraction are both given; choose one of them."
        )
    if options.duplicates == "last" and not has_times:
        raise OptionError("mf_fit: duplicates is 'last' but ts is not given; add ts := ....")
    if name == "timesvdpp" and not has_times:
        raise OptionError(
            "mf_fit: algorithm 'timesvdpp' learns from times and ts is not given; add ts := ..., "
            "or choose algorithm := 'svdpp'."
        )
    if (parts := getattr(options, "temporal", ())) and not has_times:
        raise OptionError(
            f"mf_fit: temporal is {list(parts)} but ts is not given; add ts := ..., or leave "
            "temporal out."
        )


def check_source(counts: dict[str, Any], has_rating: bool, has_times: bool) -> None:
    """Refuse a source whose rows cannot all be used.

    Raises:
        DataError: it is empty, or has NULLs or ratings and times that are no finite numbers.
    """
    n = counts["n_rows"]
    if n == 0:
        raise DataError("mf_fit: the source has no rows; give it at least one rating.")
    nulls = {"user_id": "null_users", "item_id": "null_items"}
    numbers = {}
    if has_rating:
        nulls["rating"], numbers["rating"] = "null_ratings", "bad_ratings"
    if has_times:
        nulls["ts"], numbers["ts"] = "null_times", "bad_times"
    for column, count in nulls.items():
        if counts[count]:
            raise DataError(
                f"mf_fit: {column} is NULL in {counts[count]:,} of {n:,} rows; "
                f"add WHERE {column} IS NOT NULL to the source."
            )
    for column, count in numbers.items():
        if counts[count]:
            raise DataError(
                f"mf_fit: {column} is no finite number in {counts[count]:,} of {n:,} rows; "
                f"correct them, or leave them out of the source with WHERE isfinite({column})."
            )


def check_feedback(counts: dict[str, Any], name: str, feedback: str, has_rating: bool) -> None:
    """Refuse ratings that the algorithm cannot learn from.

    Raises:
        DataError: no ratings for one that predicts them, a negative strength for one that ranks.
    """
    if feedback == "explicit" and not has_rating and name != "popularity":
        raise DataError(
            f"mf_fit: algorithm '{name}' learns from ratings and none are given; "
            "add rating, or choose algorithm := 'popularity'."
        )
    if feedback == "implicit" and counts["negative_ratings"]:
        raise DataError(
            f"mf_fit: rating is negative in {counts['negative_ratings']:,} of "
            f"{counts['n_rows']:,} rows; algorithm '{name}' takes strengths of at least 0."
        )


def check_changed_ids(counts: dict[str, Any]) -> None:
    """Refuse ids that the type of the model's ids cannot hold.

    Raises:
        DataError: there are some.
    """
    if counts["changed_ids"]:
        raise DataError(
            f"mf_fit: {counts['changed_ids']:,} of {counts['n_rows']:,} rows have ids that are "
            "not the same in the type that the model has; cast them to that type."
        )


def check_count(name: str, value: Any, low: int, high: int) -> int:
    """A whole number among the other arguments of a function.

    Raises:
        OptionError: it is none, or out of range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or value != int(value):
        raise OptionError(f"mf_fit: {name} is {value!r}; give a whole number from {low} to {high}.")
    return int(value)
