"""Fold-in: rows of one side solved against the other side of a trained model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from duckmf import algorithms
from duckmf.errors import DataError
from duckmf.kernels.threads import Workers
from duckmf.model import temporal_rows, uncertainty_rows
from duckmf.model.cells import cells_of
from duckmf.model.factors import Fixed, Rivals, SideName
from duckmf.model.incoming import check_unique
from duckmf.model.stored import Batch, Lists, Seen, biases, matrix, row_numbers
from duckmf.ratings.gathering import check_source
from duckmf.ratings.matrix import Rows, Triples, canonical
from duckmf.statements.requests import FoldInRequest
from duckmf.statements.run import Made
from duckmf.statements.solving import (
    check_implicit,
    check_kept,
    check_learnt,
    check_present,
    check_solvable,
    check_solved,
    n_factors_of,
    n_implicit_of,
    solvable,
    temporal_of,
)

FEW = 4096  # so many ratings go to one thread: others would take longer to start


class FoldIn:
    """The fixed side of one model, laid out for the rows of one statement."""

    def __init__(self, request: FoldInRequest, fixed: Batch, rivals: Batch) -> None:
        """Check what was asked for, and lay out the fixed side.

        fixed: its rows, in any order; rivals: those of all items, where items of an algorithm are
        solved that compares them.

        Raises:
            DuckMFError: the relation is no model, or an option or the source is not right.
        """
        head, counts = request.model, request.counts
        algorithm, self._options = solvable(request)
        self._ignores, self._solved = request.ignores, request.solved
        self._has_rating, self._has_ts = counts.has_rating, counts.has_ts
        check_source(counts)
        check_solvable(request, self._options)
        check_ids(request)
        side: SideName = "items" if self._solved == "users" else "users"
        check_unique(fixed.codes, side)
        check_learnt(side, [fixed], head, algorithm, self._options)
        self._timed = bool(getattr(self._options, "temporal", ()))
        order = np.argsort(fixed.codes)
        self._codes = fixed.codes[order]
        temporal = None
        if self._timed:
            temporal = temporal_of(side, fixed.terms.chosen(order), head)
        threads = self._options.threads or request.duckdb_threads
        self._workers = Workers(1 if counts.n_rows <= FEW else threads)
        n_factors, n_implicit = n_factors_of(self._options), n_implicit_of(self._options)
        against = None
        if self._solved == "items" and algorithm.compares:
            against = _rivals(fixed, order, rivals, n_factors)
        if self._solved == "users":
            check_implicit(self._options, request.has_implicit)
        fixed_side = Fixed(
            self._solved,
            head.mu,
            head.sigma,
            fixed.ratings[order],
            biases([fixed])[order],
            matrix([fixed.factors], n_factors)[order],
            matrix([fixed.implicit_factors], n_implicit)[order],
            temporal,
            against,
            head.uncertainty,
        )
        self._solve = algorithms.fold_in(algorithm, fixed_side, self._options, self._workers)

    def rows(self, codes: Lists, ratings: Lists, times: Lists, stored: Seen) -> Made:
        """Rows that have a list in each argument.

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
            np.append(stored.times_or_earlier(self._timed), times[1]) if self._has_ts else None,
        )
        if self._ignores:
            given = given.select(given.items >= 0)
        shape = len(codes[0]) - 1, len(self._codes)
        rows = canonical(given, *shape, self._options.duplicates, self._workers)[0].by_user
        solved = self._solve(rows)
        check_solved(solved)
        numbers = np.arange(len(rows), dtype=np.int32)
        users = self._solved == "users"
        of = temporal_rows.of_users if users else temporal_rows.of_items
        terms = of(solved.temporal, numbers)
        sure = uncertainty_rows.of_rows(solved.variances, numbers)
        made = Made(rows.counts, solved.bias, solved.factors, temporal=terms, uncertainty=sure)
        if not (users and self._options.keep_seen):
            return made
        kept = rows if self._timed else rows.untimed()
        return made.with_seen(*cells_of(kept, numbers, self._codes))

    def _places(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Where codes stand among those of the fixed side; -1 for what is not there."""
        known = np.isin(codes, self._codes)
        if not (known.all() or self._ignores):
            raise DataError(
                f"{len(codes) - np.count_nonzero(known):,} stored ratings are of items "
                "that are no longer in the model; pass the whole model, or leave these ratings "
                "out with unknown := 'ignore'."
            )
        places: NDArray[np.int32] = np.searchsorted(self._codes, codes).astype(np.int32)
        places[~known] = -1
        return places


def _rivals(users: Batch, order: NDArray[np.int64], items: Batch, n_factors: int) -> Rivals:
    """All items, by code, and the ratings that users in some order have kept of them.

    Raises:
        DataError: there are none, or ratings were not kept, or are of items that are gone.
    """
    if not len(items.codes):
        raise DataError("the model has no items to compare with; pass the whole model.")
    check_unique(items.codes, "items")
    check_kept(users)
    by_code = np.argsort(items.codes)
    codes = items.codes[by_code]
    indptr, seen = users.seen.codes
    check_present(seen, codes)
    places = np.searchsorted(codes, seen).astype(np.int32)
    by_user = Rows(indptr.astype(np.int64), places, users.seen.ratings[1]).chosen(
        order.astype(np.int32)
    )
    factors = matrix([items.factors], n_factors)[by_code]
    return Rivals(by_user, items.ratings[by_code], biases([items])[by_code], factors)


def check_ids(request: FoldInRequest) -> None:
    """Refuse ids that the fixed side of the model does not have, or has several times.

    Raises:
        DataError: there are some.
    """
    users = request.solved == "users"
    fixed, remedy = ("items", "mf_fold_in_items") if users else ("users", "mf_fold_in")
    unknown, damaged, n = request.unknown, request.damaged, request.counts.n_rows
    if unknown.rows and not request.ignores:
        raise DataError(
            f"{unknown.rows:,} of {n:,} rows are of {fixed} that the "
            f"model does not know, {unknown.ids:,} in all, such as {unknown.example}. "
            f"Add these first, with {remedy} or mf_update, or leave their ratings out with "
            "unknown := 'ignore'."
        )
    if damaged.rows:
        raise DataError(
            f"{damaged.rows:,} of {n:,} rows are of {fixed} that have several rows in the model, "
            f"or no code, {damaged.ids:,} in all, such as {damaged.example}. Keep one row of each, "
            "with a code."
        )
