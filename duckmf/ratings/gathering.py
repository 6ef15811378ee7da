"""The rows of a source: gathered in codes, then divided into training and held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError
from duckmf.kernels.threads import Workers
from duckmf.options import Options
from duckmf.ratings.matrix import Ratings, Rows, Triples, canonical, held_out_share


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a statement has counted of its source, and what it was given of its columns."""

    n_rows: int
    null_users: int
    null_items: int
    null_ratings: int
    bad_ratings: int  # that are no finite numbers
    negative_ratings: int
    largest_rating: float | None  # without its sign
    ratings_std: float | None
    null_times: int
    bad_times: int
    has_rating: bool  # or strength
    has_strength: bool
    has_both: bool
    has_ts: bool
    has_validation: bool
    has_relevant: bool
    has_fold: bool

    @property
    def value(self) -> str:
        """The argument that the values of the rows come from."""
        return "strength" if self.has_strength else "rating"

    @property
    def predicts(self) -> bool:
        """Whether the values are ratings, which may be predicted."""
        return self.has_rating and not self.has_strength


@dataclass(frozen=True)
class Parts:
    """What is trained on, and what it is judged by."""

    ratings: Ratings
    held_out: Rows | None  # by user
    merged: int  # rows that repeated a user and item
    times: tuple[float, float] | None  # the first and the last training time, in seconds


class Gathering:
    """Takes the rows of a source in, in any order."""

    def __init__(self, counts: Counts) -> None:
        """Make room for what the statement has counted.

        Raises:
            DataError: the source has rows that cannot be used.
        """
        self.counts = counts
        check_source(counts)
        self._triples = _room(counts)
        self._gathered = 0

    def take(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        held_out: NDArray[np.bool_],
        times: NDArray[np.float64],
        relevant: NDArray[np.bool_],
        folds: NDArray[np.int32],
    ) -> None:
        """Take a batch of rows in; columns that were not asked for may be empty.

        Raises:
            DataError: there are more rows than were counted.
        """
        here = slice(self._gathered, self._gathered + len(users))
        self._gathered = here.stop
        if here.stop > self.counts.n_rows:
            raise DataError(_lost(here.stop, self.counts.n_rows))
        triples = self._triples
        triples.users[here] = users
        triples.items[here] = items
        if self.counts.has_rating:
            triples.values[here] = values
        for room, column in (
            (triples.held_out, held_out),
            (triples.times, times),
            (triples.relevant, relevant),
            (triples.folds, folds),
        ):
            if room is not None:
                room[here] = column

    def complete(self, n_rows: int, n_items: int) -> Triples:
        """All rows, once they have been gathered; they are the caller's from now on.

        Raises:
            DataError: some rows did not find their user and item, or there is nothing to choose.
        """
        if n_rows != self.counts.n_rows:
            raise DataError(_lost(n_rows, self.counts.n_rows))
        if n_items < 2:
            raise DataError(f"the source has {n_items} item; a recommender needs at least two.")
        triples = self._triples
        del self._triples
        return triples


def _room(counts: Counts) -> Triples:
    n = counts.n_rows
    held_out = np.empty(n, np.bool_) if counts.has_validation else None
    times = np.empty(n, np.float64) if counts.has_ts else None
    users, items = np.empty(n, np.int32), np.empty(n, np.int32)
    relevant = np.empty(n, np.bool_) if counts.has_relevant else None
    folds = np.empty(n, np.int32) if counts.has_fold else None
    return Triples(users, items, np.ones(n, np.float32), held_out, times, relevant, folds)


def _lost(n_rows: int, expected: int) -> str:
    return (
        f"{n_rows:,} of {expected:,} rows found their user and item; give ids that equal "
        "themselves."
    )


def divide(triples: Triples, options: Options) -> tuple[Triples, Triples | None]:
    """The rows to train on, and those that `validation` or `validation_fraction` holds out.

    Raises:
        DataError: one of the two has no rows.
    """
    held_out = triples.held_out
    if options.validation_fraction is not None:
        held_out = held_out_share(triples, options.validation_fraction, options.seed)
    if held_out is None:
        return triples, None
    n, n_held = len(held_out), int(np.count_nonzero(held_out))
    if n_held in (0, n):
        raise DataError(
            f"validation holds out {n_held:,} of {n:,} rows; choose it so that "
            "some rows are held out and some remain for training."
        )
    return triples.select(~held_out), triples.select(held_out)


def parts_of(
    train: Triples,
    held_out: Triples | None,
    shape: tuple[int, int],
    duplicates: str,
    workers: Workers,
) -> Parts:
    """The matrices of rows over `shape` users and items.

    Raises:
        DataError: `duplicates` is 'error' and there are some.
    """
    times = None
    if train.times is not None and len(train.times):
        times = float(train.times.min()), float(train.times.max())
    ratings, merged = canonical(train, *shape, duplicates, workers)
    if held_out is None:
        return Parts(ratings, None, merged, times)
    held, merged_held = canonical(held_out, *shape, duplicates, workers)
    return Parts(ratings, held.by_user, merged + merged_held, times)


def check_source(counts: Counts) -> None:
    """Refuse a source whose rows cannot all be used.

    Raises:
        DataError: it is empty, or has NULLs or ratings and times that are no finite numbers.
    """
    n = counts.n_rows
    if counts.has_both:
        raise DataError(
            "rating and strength are both given; give rating for what people say of an item, or "
            "strength for how much they did with it."
        )
    if n == 0:
        raise DataError("the source has no rows; give it at least one rating.")
    nulls = {"user_id": counts.null_users, "item_id": counts.null_items}
    numbers = {}
    if counts.has_rating:
        nulls[counts.value], numbers[counts.value] = counts.null_ratings, counts.bad_ratings
    if counts.has_ts:
        nulls["ts"], numbers["ts"] = counts.null_times, counts.bad_times
    for column, found in nulls.items():
        if found:
            raise DataError(
                f"{column} is NULL in {found:,} of {n:,} rows; "
                f"add WHERE {column} IS NOT NULL to the source."
            )
    for column, found in numbers.items():
        if found:
            raise DataError(
                f"{column} is no finite number in {found:,} of {n:,} rows; "
                f"correct them, or leave them out of the source with WHERE isfinite({column})."
            )
