"""What functions that solve rows of a model have in common: what they refuse, and in what terms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from duckmf import algorithms
from duckmf.algorithms import Solving
from duckmf.algorithms.recipe import check_feedback, check_request
from duckmf.errors import DataError, OptionError, TrainingError
from duckmf.model.factors import SideName, Solved
from duckmf.model.head import Head
from duckmf.model.stored import Batch
from duckmf.model.temporal import Temporal, Terms
from duckmf.options import Options
from duckmf.statements.requests import SolvingRequest


def solvable(request: SolvingRequest) -> tuple[type[Solving], Any]:
    """The algorithm and the options of a model whose rows are to be solved.

    Raises:
        OptionError: an option that was given is not right.
    """
    head = request.model
    check_sure(head)
    algorithm = algorithms.find(head.algorithm)
    given = {"threads": request.threads, "duplicates": request.duplicates}
    chosen = {name: value for name, value in given.items() if value is not None}
    own = head.options | {"threads": None}
    options: Any = algorithm.Options.parse(own | chosen, head.algorithm)
    return algorithm, options


def check_solvable(request: SolvingRequest, options: Options) -> None:
    """Refuse ratings that rows of a model cannot be solved from.

    Raises:
        DuckMFError: they are not what its algorithm learns from, or their ids would be others.
    """
    name, feedback, counts = request.model.algorithm, request.model.feedback, request.counts
    if getattr(options, "temporal", ()) and not counts.has_ts:
        raise OptionError("this model has time terms and ts is not given; add ts.")
    check_request(options, name, False, counts.has_ts)
    if feedback == "explicit" and name != "popularity" and not counts.has_rating:
        raise DataError(f"this model of '{name}' learns from ratings; add rating.")
    check_feedback(counts, name, feedback)
    if request.changed_ids:
        raise DataError(
            f"{request.changed_ids:,} of {counts.n_rows:,} rows have ids that are not the same in "
            "the type that the model has; cast them to that type."
        )


def n_factors_of(options: Any) -> int:
    """The numbers of a row's factors; 0 where the algorithm has none."""
    n_factors: int = getattr(options, "n_factors", 0)
    return n_factors


def n_implicit_of(options: Any) -> int:
    """The numbers of an item's implicit factors; 0 where the algorithm has none."""
    return n_factors_of(options) if hasattr(options, "implicit_regularization") else 0


def check_learnt(
    side: SideName, batches: list[Batch], head: Head, algorithm: type[Solving], options: Any
) -> None:
    """Refuse a side of a model that lacks, in all of its rows, what the algorithm learns.

    Raises:
        DataError: it does.
    """
    if not any(np.any(batch.ratings > 0) for batch in batches):
        return
    temporal = getattr(options, "temporal", ())
    explicit, users = algorithm.feedback == "explicit", side == "users"
    if users:
        has_bias = explicit and head.algorithm != "popularity"
    else:
        has_bias = explicit or algorithm.compares
    expected: dict[str, tuple[bool, list[Any]]] = {
        "bias": (has_bias, [batch.bias is not None for batch in batches]),
        "factors": (n_factors_of(options) > 0, [batch.factors.size for batch in batches]),
        "temporal.bin_bias": (
            not users and "item_bins" in temporal,
            [batch.terms.bin_bias.size for batch in batches],
        ),
        "temporal.factor_drift": (
            users and "factor_drift" in temporal,
            [batch.terms.factor_drift.size for batch in batches],
        ),
    }
    for name, (learnt, there) in expected.items():
        if learnt and not any(there):
            raise DataError(
                f"the {side} of this model have no {name}, which its algorithm learns. Restore "
                "the column, or train again."
            )


def check_sure(head: Head) -> None:
    """Refuse a model without uncertainty, where the algorithm learns it.

    Raises:
        DataError: it has none.
    """
    if head.algorithm == "bayes" and head.uncertainty is None:
        raise DataError(
            "the row of kind 'model' has no uncertainty, which its algorithm learns. "
            "Restore the column, or train again."
        )


def check_implicit(options: Any, has_implicit: bool) -> None:
    """Refuse items without implicit factors, where the algorithm learns them.

    Raises:
        DataError: none has any.
    """
    if n_implicit_of(options) and not has_implicit:
        raise DataError(
            "the items of this model have no implicit_factors, which its algorithm learns. "
            "Restore the column, or train again."
        )


def check_kept(users: Batch) -> None:
    """Refuse users who have not kept the ratings that they had in training.

    Raises:
        DataError: there are some.
    """
    kept = np.diff(users.seen.codes[0])
    if np.any((users.ratings > 0) & (kept == 0)):
        raise DataError(
            "the model has not stored the ratings of its users "
            "(keep_seen := false). Train again on all ratings."
        )
    unlike = np.flatnonzero(users.ratings != kept)
    if len(unlike):
        first = unlike[0]
        raise DataError(
            f"{len(unlike):,} users of the model have not as many seen items as ratings, such as "
            f"that of code {users.codes[first]}: {kept[first]:,} and {users.ratings[first]:,}. "
            "Fold them in again, or train again."
        )


def check_present(seen: NDArray[np.int32], items: NDArray[np.int32]) -> None:
    """Refuse stored ratings of items that are not there; all are codes.

    Raises:
        DataError: there are some.
    """
    if lost := len(seen) - np.count_nonzero(np.isin(seen, items)):
        raise DataError(
            f"{lost:,} stored ratings are of items that are no longer in the model; "
            "pass the whole model."
        )


def temporal_of(side: SideName, terms: Terms, head: Head) -> Temporal:
    """The time terms of one side of a model.

    Raises:
        DataError: the model does not say what its time terms are relative to.
    """
    return (terms.of_users if side == "users" else terms.of_items)(head.span, head.usual)


def check_solved(solved: Solved) -> None:
    """Refuse a solution that is not finite.

    Raises:
        TrainingError: it is not.
    """
    temporal, variances = solved.temporal, solved.variances
    numbers = [solved.bias, solved.factors]
    if variances is not None:
        numbers += [variances.bias, variances.factors]
    if temporal is not None:
        numbers += [temporal.drift, temporal.day_bias, temporal.bin_bias, temporal.factor_drift]
    if not all(np.isfinite(part).all() for part in numbers if part is not None):
        raise TrainingError(
            "rows cannot be solved: their numbers would not be finite. Look for ratings, or "
            "numbers of the model, that are too large."
        )
