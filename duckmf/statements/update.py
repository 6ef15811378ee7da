"""One update of a model: its rows with new ratings solved anew, in turn items and users.

Each half pass puts the touched rows of one side to the optimum of the training's objective, for all
their ratings and the other side as it stands: block coordinate descent from the model as it is.
Where rows are learnt by comparisons (bpr), passes of training move the touched rows alone instead.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf import algorithms
from duckmf.kernels.threads import Workers
from duckmf.model import incoming, temporal_rows, uncertainty_rows
from duckmf.model.cells import cells_of
from duckmf.model.factors import Factors, Fixed, Known, SideName, Solved
from duckmf.model.head import facts_of
from duckmf.model.stored import Batch, concatenated, row_numbers
from duckmf.ratings.matrix import Ratings, Rows, Triples, canonical
from duckmf.statements.requests import UpdateRequest
from duckmf.statements.run import Made, Outcome, Run
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
from duckmf.statements.updated_side import UpdatedSide

EPOCHS = 3
STEP_EPOCHS = 20  # where they are passes of steps, each of little cost


class Update(Run):
    """A model on its way to the next one: what the statement's calls need."""

    def __init__(self, request: UpdateRequest) -> None:
        """Check what was asked for.

        Raises:
            DuckMFError: the relation is no model that can be updated, or the source is not right.
        """
        self._head = request.model
        self._algorithm, self._options = solvable(request)
        self._steps: Any = None  # a training, where rows are learnt by comparisons
        usual = STEP_EPOCHS if self._algorithm.compares else EPOCHS
        self._left = self._epochs = request.epochs or usual
        super().__init__(request, self._options.threads)
        check_solvable(request, self._options)
        self._timed = bool(getattr(self._options, "temporal", ()))
        self._stored: dict[SideName, list[Batch]] = {"users": [], "items": []}
        self._started = False

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        return self._started and self._left > 0

    def store(self, side: SideName, lists: pa.ChunkedArray) -> None:
        """Take in rows of the model, in any order.

        Raises:
            DataError: they are not sound.
        """
        self._stored[side].append(incoming.batch(lists))

    def start(self, n_rows: int, n_users: int, n_items: int) -> None:
        """Join old and new ratings, and solve touched users for the items as they are.

        n_users and n_items, those of the source, are not used.

        Raises:
            DuckMFError: the model's rows do not fit together, or rows cannot be solved.
        """
        items = self._stored["items"]
        new = self.gathering.complete(n_rows, sum(len(batch.codes) for batch in items))
        n_factors, n_implicit = n_factors_of(self._options), n_implicit_of(self._options)
        self.users = UpdatedSide.of("users", self._stored["users"], new.users, (n_factors, 0))
        self.items = UpdatedSide.of("items", items, new.items, (n_factors, n_implicit))
        for side, batches in self._stored.items():
            check_learnt(side, batches, self._head, self._algorithm, self._options)
        check_implicit(self._options, any(batch.implicit_factors.size for batch in items))
        self._new, stored = len(new.users), self._stored_ratings()
        new.users, new.items = self.users.places(new.users), self.items.places(new.items)
        shape = len(self.users.codes), len(self.items.codes)
        both = _joined(stored, new)
        duplicates = self._options.duplicates
        self.ratings, self._merged = canonical(both, *shape, duplicates, self.workers)
        self._range = float(both.values.min()), float(both.values.max())
        self._times = None if new.times is None else float(new.times.max())
        del self._stored
        self._by_item = self.ratings.by_item
        if self._timed:
            self._by_item = timed_by_item(self.ratings, self.workers)
        if self._algorithm.compares:
            self._steps = self._begun()
        else:
            self._solve("users")
        self._started = True

    def epoch(self) -> None:
        """Solve touched items, what new ones say of their users, then touched users.

        Or take a step on every triple, where rows are learnt by comparisons.
        """
        self._left -= 1
        if self._steps is not None:
            self._steps.epoch(self._epochs - self._left)
            if self._left == 0:
                self._take_over(self._steps.factors())
            return
        self._solve("items")
        if self.items.implicit_factors.shape[1] and len(self.items.new):
            self._solve_implicit()
        self._solve("users")

    def user_rows(self, codes: NDArray[np.int32]) -> Made:
        """The rows of some touched users."""
        places, rows = self.users.places(codes), self.ratings.by_user
        seen = cells_of(rows if self._timed else rows.untimed(), places, self.items.codes)
        turns, learnt = self.users.turns(places), self.users.learnt
        terms = temporal_rows.of_users(learnt.temporal, turns)
        sure = uncertainty_rows.of_rows(learnt.variances, turns)
        made = Made(*self.users.columns(rows, places), temporal=terms, uncertainty=sure)
        return made.with_seen(*seen)

    def item_rows(self, codes: NDArray[np.int32]) -> Made:
        """The rows of some touched items."""
        items, places = self.items, self.items.places(codes)
        Y = items.implicit_factors[places] if items.implicit_factors.shape[1] else None
        turns, learnt = items.turns(places), items.learnt
        terms = temporal_rows.of_items(learnt.temporal, turns)
        sure = uncertainty_rows.of_rows(learnt.variances, turns)
        columns = items.columns(self.ratings.by_item, places)
        return Made(*columns, Y, temporal=terms, uncertainty=sure)

    def finish(self) -> Outcome:
        """What changes in the head of the model."""
        info = self._info()
        return Outcome(info, len(self.ratings), self._head.mu, facts=facts_of(info))

    def _info(self) -> dict[str, Any]:
        info, users, items = self._head.info, self.users, self.items
        at = datetime.now(UTC).isoformat(timespec="seconds")
        done = {
            "at": at,
            "rows": self._new,
            "duplicates_merged": self._merged,
            "users": len(users.touched),
            "items": len(items.touched),
            "new_users": len(users.new),
            "new_items": len(items.new),
            "epochs": self._epochs,
            "seconds": time.perf_counter() - self.began,
        }
        low, high = self._range
        latest = [t for t in (info["ts_max"], self._times) if t is not None]
        return info | {
            "rating_min": min(info["rating_min"], low),
            "rating_max": max(info["rating_max"], high),
            "ts_max": max(latest, default=None),
            "users": len(users.codes),
            "items": len(items.codes),
            "trained_at": at,
            "updates": [*info.get("updates", []), done],
        }

    def _begun(self) -> Any:
        """A training of all ratings that begins with the model and moves touched rows alone."""
        users, items = self.users, self.items
        none = np.zeros((0, 0), np.float32)
        known = Known(
            *(0.0, users.known, items.known, users.bias, items.bias),
            *(users.factors, items.factors, none, none),
        )
        options = replace(self._options, epochs=self._epochs)
        training: Any = self._algorithm(self.ratings, options, self.workers)
        training.start_from(known)
        training.hold_all_but(users.touched, items.touched)
        return training

    def _take_over(self, factors: Factors) -> None:
        """Take the touched rows from a training."""
        users, items = self.users, self.items
        assert factors.P is not None
        assert factors.Q is not None
        assert factors.item_bias is not None
        of_users = Solved(None, factors.P[users.touched])
        of_items = Solved(factors.item_bias[items.touched], factors.Q[items.touched])
        for side, solved in ((users, of_users), (items, of_items)):
            check_solved(solved)
            side.put(solved)

    def _solve(self, name: SideName) -> None:
        sides = (self.users, self.ratings.by_user), (self.items, self._by_item)
        (this, rows), (other, columns) = sides if name == "users" else sides[::-1]
        other_name: SideName = "items" if name == "users" else "users"
        mu, sigma = self._head.mu, self._head.sigma
        matrices = other.factors, other.implicit_factors
        temporal = None
        if self._timed:
            temporal = temporal_of(other_name, other.terms, self._head)
        fixed = Fixed(name, mu, sigma, columns.counts, other.bias, *matrices, temporal)
        fixed = replace(fixed, uncertainty=self._head.uncertainty)
        how = self._algorithm, fixed, self._options, self.workers
        solve = algorithms.fold_in(*how, roughly=self._left > 0)
        solved = solve(rows.chosen(this.touched))
        check_solved(solved)
        this.put(solved)

    def _solve_implicit(self) -> None:
        """Solve the y_j of new items, one after the other."""
        from duckmf.algorithms.svdpp import solve_implicit

        users, items, by_user = self.users, self.items, self.ratings.by_user
        temporal = None
        if self._timed:
            terms = temporal_of("users", users.terms, self._head)
            temporal = replace(terms, bin_bias=items.terms.bin_bias)
        mu, sigma = self._head.mu, self._head.sigma
        factors = Factors(mu, users.bias, items.bias, users.factors, items.factors, None, temporal)
        raters = by_user.chosen(users.touched)
        numbers = users.touched[raters.row_numbers()]
        errors = raters.values - factors.predict(numbers, raters.indices, raters.times)
        by_item = self.ratings.by_item.chosen(items.new)
        chosen = replace(by_item, indices=users.turns(by_item.indices))
        Y = items.implicit_factors[items.new]
        solve_implicit(Y, chosen, raters, errors, items.factors, self._options, sigma)
        items.implicit_factors[items.new] = Y

    def _stored_ratings(self) -> Triples:
        """The ratings that the model has kept, by place."""
        batches = self._stored["users"]
        for batch in batches:
            check_kept(batch)
        numbers = [
            self.users.places(batch.codes)[row_numbers(batch.seen.codes)] for batch in batches
        ]
        items = concatenated([batch.seen.codes[1] for batch in batches], np.int32)
        check_present(items, self.items.codes)
        values = concatenated([batch.seen.ratings[1] for batch in batches], np.float32)
        times = None
        if self.gathering.counts.has_ts:
            kept = [batch.seen.times_or_earlier(self._timed) for batch in batches]
            times = concatenated(kept, np.float64)
        users = concatenated(numbers, np.int32)
        return Triples(users, self.items.places(items), values, times=times)


def timed_by_item(ratings: Ratings, workers: Workers) -> Rows:
    """The ratings by item, with the times that those by user have."""
    from duckmf.algorithms.with_time_terms import places_by_item

    by_user, by_item = ratings.by_user, ratings.by_item
    assert by_user.times is not None, "a model with time terms needs times"
    times = by_user.times[places_by_item(by_user, len(by_item), workers)]
    return replace(by_item, times=times)


def _joined(a: Triples, b: Triples) -> Triples:
    times = None
    if a.times is not None and b.times is not None:
        times = np.append(a.times, b.times)
    return Triples(
        np.append(a.users, b.users),
        np.append(a.items, b.items),
        np.append(a.values, b.values),
        times=times,
    )
