"""Fold-in: rows of one side solved against the other side of a trained model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf import algorithms
from duckmf.algorithms import Solving
from duckmf.algorithms.recipe import check_feedback, check_request
from duckmf.errors import DataError, OptionError
from duckmf.kernels.threads import Workers
from duckmf.model import temporal_rows
from duckmf.model.cells import cells_of
from duckmf.model.factors import Fixed, Rivals, SideName
from duckmf.model.head import check_model
from duckmf.model.stored import Batch, Lists, Seen, row_numbers
from duckmf.model.temporal import Span, Temporal, Terms
from duckmf.options import Options
from duckmf.ratings.gathering import check_source
from duckmf.ratings.matrix import Rows, Triples, canonical

FEW = 4096  # so many ratings go to one thread: others would take longer to start


class FoldIn:
    """The fixed side of one model, laid out for the rows of one statement."""

    def __init__(self, request: dict[str, Any], fixed: Batch, rivals: Batch) -> None:
        """Check a request as the macros make it, and lay out the fixed side.

        fixed: its rows, in any order; rivals: those of all items, where items of an algorithm are
        solved that compares them.

        Raises:
            DuckMFError: the relation is no model, or an option or the source is not right.
        """
        self.function: str = request["function"]
        info, algorithm, self._options = solvable(request)
        self._ignores = _ignores(request["unknown"])
        self._solved: SideName = request["solved"]
        counts = request["counts"]
        self._has_rating = counts["has_rating"]
        check_source(counts, self._has_rating, counts["has_ts"])
        check_solvable(counts, info, self._options)
        if counts["unknown_rows"] and not self._ignores:
            raise DataError(_unknown_ids(request["solved"], counts))
        check_changed_ids(counts)
        order = np.argsort(fixed.codes)
        self._codes = fixed.codes[order]
        numbers = fixed.ratings[order], fixed.bias[order]
        n_factors = getattr(self._options, "n_factors", 0)
        factors = fixed.factors[order] if len(order) else np.zeros((0, n_factors), np.float32)
        moments = request["model"]["mu"], info["rating_std"] or 1.0
        side: SideName = "items" if request["solved"] == "users" else "users"
        self._timed = bool(getattr(self._options, "temporal", ()))
        temporal = None
        if self._timed:
            terms = fixed.terms.chosen(order)
            temporal = temporal_of(side, terms, info, request["model"])
        threads = request["threads"] or request["duckdb_threads"]
        self._workers = Workers(1 if counts["n_rows"] <= FEW else threads)
        matrices = factors, fixed.implicit_factors[order]
        against = _rivals(fixed, order, rivals) if len(rivals.codes) else None
        fixed_side = Fixed(self._solved, *moments, *numbers, *matrices, temporal, against)
        self._solve = algorithms.fold_in(algorithm, fixed_side, self._options, self._workers)

    def rows(self, codes: Lists, ratings: Lists, times: Lists, stored: Seen) -> tuple[Any, ...]:
        """Counts, biases, factors, seen and time terms of rows that have a list in each argument.

        Stored ratings whose time is not stored count as made before all others.

        Raises:
            DuckMFError: stored ratings are of unknown codes, or the rows cannot be solved.
        """
        values = ratings[1] if self._has_rating else np.ones(len(codes[1]), np.float32)
        given = Triples(
            np.concatenate((row_numbers(stored.codes), row_numbers(codes))),
            self._places(np.concatenate((stored.codes[1], codes[1]))),
            np.concatenate((stored.ratings[1], values)),
            None,
            np.append(stored.times_or_earlier(self._timed), times[1]) if len(times[1]) else None,
        )
        if self._ignores:
            given = given.select(given.items >= 0)
        shape = len(codes[0]) - 1, len(self._codes)
        rows = canonical(given, *shape, self._options.duplicates, self._workers)[0].by_user
        solved = self._solve(rows)
        kept = self._options.keep_seen and self._solved == "users"
        seen = self._seen(rows) if kept else (None, None, None)
        of = temporal_rows.of_users if self._solved == "users" else temporal_rows.of_items
        terms = of(solved.temporal, np.arange(len(rows), dtype=np.int32))
        return rows.counts, solved.bias, solved.factors, *seen, terms

    def close(self) -> None:
        """Stop the threads."""
        self._workers.close()

    def _places(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Where codes stand among those of the fixed side; -1 for what is not there."""
        known = np.isin(codes, self._codes)
        if not (known.all() or self._ignores):
            raise DataError(
                f"mf_fit: {len(codes) - np.count_nonzero(known):,} stored ratings are of items "
                "that are no longer in the model; pass the whole model, or leave these ratings "
                "out with unknown := 'ignore'."
            )
        places: NDArray[np.int32] = np.searchsorted(self._codes, codes).astype(np.int32)
        places[~known] = -1
        return places

    def _seen(self, rows: Rows) -> tuple[pa.Array | None, ...]:
        numbers = np.arange(len(rows), dtype=np.int32)
        return cells_of(rows if self._timed else rows.untimed(), numbers, self._codes)


def _rivals(users: Batch, order: NDArray[np.int64], items: Batch) -> Rivals:
    """All items, by code, and the ratings that users in some order have kept of them.

    Raises:
        DataError: ratings were not kept, or are of items that are gone.
    """
    check_kept(users)
    by_code = np.argsort(items.codes)
    codes = items.codes[by_code]
    indptr, seen = users.seen.codes
    check_present(seen, codes)
    places = np.searchsorted(codes, seen).astype(np.int32)
    by_user = Rows(indptr.astype(np.int64), places, users.seen.ratings[1]).chosen(
        order.astype(np.int32)
    )
    numbers = items.ratings[by_code], items.bias[by_code]
    return Rivals(by_user, *numbers, items.factors[by_code])


def check_kept(users: Batch) -> None:
    """Refuse users who have not kept the ratings that they had in training.

    Raises:
        DataError: there are some.
    """
    if np.any((users.ratings > 0) & (np.diff(users.seen.codes[0]) == 0)):
        raise DataError(
            "mf_fit: the model has not stored the ratings of its users "
            "(keep_seen := false). Train again on all ratings."
        )


def check_present(seen: NDArray[np.int32], items: NDArray[np.int32]) -> None:
    """Refuse stored ratings of items that are not there; all are codes.

    Raises:
        DataError: there are some.
    """
    if lost := len(seen) - np.count_nonzero(np.isin(seen, items)):
        raise DataError(
            f"mf_fit: {lost:,} stored ratings are of items that are no longer in the model; "
            "pass the whole model."
        )


def solvable(request: dict[str, Any]) -> tuple[dict[str, Any], type[Solving], Any]:
    """The info, algorithm and options of the model of a request, whose rows are to be solved.

    Raises:
        DuckMFError: it is no model, or its rows cannot be solved alone.
    """
    info = check_model(request["model"])
    name = info["algorithm"]
    algorithm = algorithms.find(name)
    duplicates = request["duplicates"] or info["options"]["duplicates"]
    given = {**info["options"], "threads": None, "duplicates": duplicates}
    options: Any = algorithm.Options.parse(given, name)
    return info, algorithm, options


def check_solvable(counts: dict[str, Any], info: dict[str, Any], options: Options) -> None:
    """Refuse ratings that rows of a model cannot be solved from.

    Raises:
        DuckMFError: they are not what its algorithm learns from.
    """
    name, feedback, has_rating = info["algorithm"], info["feedback"], counts["has_rating"]
    if getattr(options, "temporal", ()) and not counts["has_ts"]:
        raise OptionError("mf_fit: this model has time terms and ts is not given; add ts.")
    check_request(options, name, False, counts["has_ts"])
    if feedback == "explicit" and name != "popularity" and not has_rating:
        raise DataError(f"mf_fit: this model of '{name}' learns from ratings; add rating.")
    check_feedback(counts, name, feedback, has_rating)


def temporal_of(
    side: SideName, terms: Terms, info: dict[str, Any], head: dict[str, Any]
) -> Temporal:
    """The time terms of one side of a model, by the `info` and the span of its head.

    Raises:
        DataError: the model does not say what its time terms are relative to.
    """
    if "ts_deviation" not in info:
        raise DataError(
            "mf_fit: this model has time terms, and no ts_deviation in its info; train again."
        )
    span = Span(head["t0"], head["t1"], head["beta"])
    usual = info["ts_deviation"]
    return terms.of_users(span, usual) if side == "users" else terms.of_items(span, usual)


def _ignores(unknown: str) -> bool:
    if unknown not in ("error", "ignore"):
        raise OptionError(f"mf_fit: unknown is {unknown!r}; give 'error' or 'ignore'.")
    return unknown == "ignore"


def _unknown_ids(solved: SideName, counts: dict[str, Any]) -> str:
    fixed, remedy = ("items", "mf_fold_in_items") if solved == "users" else ("users", "mf_fold_in")
    return (
        f"mf_fit: {counts['unknown_rows']:,} of {counts['n_rows']:,} rows are of {fixed} that the "
        f"model does not know, {counts['unknown_ids']:,} in all, such as {counts['unknown_id']}. "
        f"Add these first, with {remedy} or mf_update, or leave their ratings out with "
        "unknown := 'ignore'."
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
