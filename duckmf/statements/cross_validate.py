"""Cross-validation: a model for each fold, trained on the other folds and judged by this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.recipe import Recipe
from duckmf.algorithms.training import Training
from duckmf.errors import DataError
from duckmf.ranking import metrics
from duckmf.ratings.gathering import divide, parts_of
from duckmf.ratings.matrix import Triples
from duckmf.statements.progress import Progress
from duckmf.statements.requests import CrossValidationRequest
from duckmf.statements.run import Outcome, Run
from duckmf.tuning.judging import in_order


class CrossValidation(Run):
    """Trains on all folds but one, for each; a step is one epoch."""

    def __init__(self, request: CrossValidationRequest) -> None:
        """Check what was asked for.

        Raises:
            DuckMFError: an option or a count of the source is not as it should be.
        """
        self._folds, self._k, self._fused = request.folds, request.k, request.fused
        self._recipe = Recipe.parse(request.algorithm, request.options, request.counts)
        super().__init__(request, self._recipe.options.threads)
        self._recipe.check(request.counts)
        self._progress = Progress(self._recipe.name, request.progress, request.function)
        self._outcomes: list[dict[str, Any]] = []
        self._more = False

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        return self._more

    def start(self, n_rows: int, n_users: int, n_items: int) -> None:
        """Lay the rows out by fold.

        Raises:
            DataError: the rows cannot be trained on.
        """
        self._rows = self.gathering.complete(n_rows, n_items)
        self._shape = n_users, n_items
        self._steps = self._all_steps()
        self._more = True

    def epoch(self) -> None:
        """One more epoch of the model of a fold; after its last one, what the fold says of it."""
        self._more = next(self._steps, False)

    def _all_steps(self) -> Iterator[bool]:
        for fold in range(1, self._folds + 1):
            yield from self._steps_of(fold)

    def _steps_of(self, fold: int) -> Iterator[bool]:
        began = time.perf_counter()
        split = self._split(fold)
        options = self._recipe.options
        parts = parts_of(
            *divide(split.train, options), split.shape, options.duplicates, self.workers
        )
        training = self._recipe.training(parts, self.workers)
        while training.more:
            self._show(fold, training)
            training.epoch()
            yield True
        self._outcomes.append(
            {"fold": fold, "train": len(split.train.users), "test": len(split.test.users)}
            | self._judged(split, training, parts.ratings)
            | {
                "epochs": len(training.log),
                "best_epoch": training.best.number if training.best else None,
                "seconds": time.perf_counter() - began,
            }
        )

    def _show(self, fold: int, training: Training) -> None:
        epochs = training.algorithm.epochs
        done = (fold - 1) * epochs + len(training.log)
        self._progress.move(done, self._folds * epochs, {"fold": f"{fold}/{self._folds}"})

    def _split(self, fold: int) -> FoldSplit:
        assert self._rows.folds is not None, "the statement gives each row a fold"
        split = FoldSplit.of(self._rows, self._rows.folds == fold, self._shape)
        if not len(split.test.users) or split.shape[1] < 2:
            raise DataError(
                f"fold {fold} of {self._folds} has {len(split.test.users):,} rows "
                f"and leaves {split.shape[1]:,} items to train on; give more rows or fewer folds."
            )
        return split

    def _judged(self, split: FoldSplit, training: Training, ratings: Any) -> dict[str, Any]:
        """The metrics of a fold, None for those that do not apply, and its cold rows."""
        found: dict[str, Any] = dict.fromkeys(metrics.NAMES)
        users, items = split.test_codes
        judged = training.factors, ratings
        if self._recipe.algorithm.feedback == "explicit" and self.gathering.counts.predicts:
            rows = replace(split.test, users=users, items=items)
            errors = metrics.errors(*judged, rows, self.workers)
            found |= asdict(errors)
        if self._k:
            relevant = metrics.Relevant.of(split.test, *split.codes)
            if len(relevant):
                lists = metrics.ranking(*judged, relevant, self._k, self._fused, self.workers)
                found |= asdict(lists)
        return found | metrics.cold(ratings, users, items, split.test)

    def finish(self) -> Outcome:
        """What came of each fold."""
        self._progress.close()
        return Outcome({"folds": self._outcomes})

    def close(self) -> None:
        """Take the progress bar away."""
        self._progress.close()


@dataclass(frozen=True)
class FoldSplit:
    """Some rows set apart, and the codes that a source without them would have."""

    train: Triples  # in those codes
    test: Triples  # in the codes of all rows, in order
    codes: tuple[NDArray[np.int32], NDArray[np.int32]]  # of all users and items; -1: not in train
    shape: tuple[int, int]  # users and items of train

    @classmethod
    def of(cls, rows: Triples, apart: NDArray[np.bool_], shape: tuple[int, int]) -> FoldSplit:
        """Set some rows apart."""
        train = rows.select(~apart)
        present = [
            np.bincount(codes, minlength=n) > 0
            for codes, n in zip((train.users, train.items), shape, strict=True)
        ]
        users, items = (
            np.where(there, np.cumsum(there) - 1, -1).astype(np.int32) for there in present
        )
        held_out = None if rows.held_out is None else rows.held_out[~apart]
        train = replace(
            train, users=users[train.users], items=items[train.items], held_out=held_out
        )
        n_users, n_items = (int(np.count_nonzero(there)) for there in present)
        return cls(train, in_order(rows.select(apart)), (users, items), (n_users, n_items))

    @property
    def test_codes(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Users and items of test in the codes of train; -1: not there."""
        return self.codes[0][self.test.users], self.codes[1][self.test.items]
