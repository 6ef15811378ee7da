"""One training, from the request of `mf_fit` to the rows of the model."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf.algorithms.recipe import Recipe
from duckmf.algorithms.training import Epoch, Training
from duckmf.model import incoming, temporal_rows, uncertainty_rows
from duckmf.model.cells import cells_of
from duckmf.model.factors import Factors, SideName
from duckmf.model.head import FORMAT, facts_of
from duckmf.model.uncertainty import variances_of
from duckmf.options import Options
from duckmf.ratings.gathering import Parts, divide, parts_of
from duckmf.ratings.matrix import Triples
from duckmf.statements.progress import Progress
from duckmf.statements.requests import FitRequest, Request
from duckmf.statements.run import Made, Outcome, Run
from duckmf.statements.warm_start import WarmStart


class Fitting(Run):
    """A run that ends in a model: trains epoch by epoch and gives the model's rows by code."""

    def __init__(self, request: Request, threads: int | None, progress: Progress) -> None:
        """Begin what was asked for.

        Raises:
            DataError: the source has rows that cannot be used.
        """
        super().__init__(request, threads)
        self._progress = progress
        self._read_seconds = 0.0
        self.training: Training | None = None

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        return self.training is not None and self.training.more

    def _train(
        self,
        recipe: Recipe,
        rows: tuple[Triples, Triples | None],
        shape: tuple[int, int],
        exactly: int | None = None,
    ) -> None:
        """Build the matrices and lay out the first epoch; of `exactly` so many, if given."""
        self.recipe = recipe
        self.parts: Parts = parts_of(*rows, shape, recipe.options.duplicates, self.workers)
        self.training = recipe.training(self.parts, self.workers, exactly)

    def epoch(self) -> Epoch | None:
        """One more epoch; None for a step that is not one of the model."""
        training = self._trained
        epoch = training.epoch()
        self._progress.show(epoch, training.algorithm.epochs)
        return epoch

    @property
    def _trained(self) -> Training:
        assert self.training is not None, "the statement calls start before epoch"
        return self.training

    @cached_property
    def _factors(self) -> Factors:
        """The model's numbers, taken once: the batches of rows that are asked for share them."""
        return self._trained.factors

    def user_rows(self, codes: NDArray[np.int32]) -> Made:
        """The rows of some users."""
        factors, by_user = self._factors, self.parts.ratings.by_user
        kept = by_user.untimed() if factors.temporal is None else by_user
        terms = temporal_rows.of_users(factors.temporal, codes)
        bias, P = _chosen(codes, factors.user_bias), _chosen(codes, factors.P)
        sure = uncertainty_rows.of_rows(variances_of(factors.uncertainty, "users"), codes)
        made = Made(by_user.counts[codes], bias, P, temporal=terms, uncertainty=sure)
        return made.with_seen(*cells_of(kept, codes)) if self.recipe.options.keep_seen else made

    def item_rows(self, codes: NDArray[np.int32]) -> Made:
        """The rows of some items."""
        factors, by_item = self._factors, self.parts.ratings.by_item
        terms = temporal_rows.of_items(factors.temporal, codes)
        bias, Q = _chosen(codes, factors.item_bias), _chosen(codes, factors.Q)
        Y = _chosen(codes, factors.Y)
        sure = uncertainty_rows.of_rows(variances_of(factors.uncertainty, "items"), codes)
        return Made(by_item.counts[codes], bias, Q, Y, temporal=terms, uncertainty=sure)

    def finish(self) -> Outcome:
        """The head of the model."""
        self._progress.close()
        factors, info = self._factors, self._info()
        temporal = temporal_rows.of_model(factors.temporal)
        sure = factors.uncertainty
        return Outcome(
            info,
            len(self.parts.ratings),
            factors.mu,
            temporal,
            facts_of(info),
            None if sure is None else sure.head(),
        )

    def _info(self) -> dict[str, Any]:
        training, parts, temporal = self._trained, self.parts, self._factors.temporal
        ratings, times, held_out = parts.ratings, parts.times, parts.held_out
        best = training.best
        values = ratings.by_user.values
        return {
            "format": FORMAT,
            "algorithm": self.recipe.name,
            "feedback": self.recipe.algorithm.feedback,
            "options": _as_used(training.algorithm.options, self.threads),
            "rating_min": float(values.min()),
            "rating_max": float(values.max()),
            "rating_std": float(values.std(dtype=np.float64)),
            "ts_min": times[0] if times else None,
            "ts_max": times[1] if times else None,
            **({"ts_deviation": temporal.usual} if temporal else {}),
            "users": len(ratings.by_user),
            "items": len(ratings.by_item),
            "rows": self.gathering.counts.n_rows,
            "duplicates_merged": parts.merged,
            "held_out": 0 if held_out is None else len(held_out.indices),
            "epochs": len(training.log),
            "best_epoch": best.number if best else None,
            "loss": self.recipe.algorithm.loss,
            "train_loss": best.train_loss if best else None,
            "validation_loss": best.validation_loss if best else None,
            "seconds": time.perf_counter() - self.began,
            "read_seconds": self._read_seconds,
            "train_seconds": sum(epoch.seconds for epoch in training.log),
            "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }

    def close(self) -> None:
        """Take the progress bar away."""
        self._progress.close()


class Fit(Fitting):
    """One training with options that are given."""

    def __init__(self, request: FitRequest) -> None:
        """Check what was asked for.

        Raises:
            DuckMFError: an option or a count of the source is not as it should be.
        """
        name, given = request.algorithm, request.options
        self._warm = None if request.warm_start is None else WarmStart(request.warm_start)
        if self._warm is not None:
            name, given = self._warm.recipe(name, given)
        self.recipe = Recipe.parse(name, given, request.counts)
        progress = Progress(self.recipe.name, request.progress, request.function)
        super().__init__(request, self.recipe.options.threads, progress)
        self.recipe.check(request.counts)

    def store(self, side: SideName, lists: pa.ChunkedArray) -> None:
        """Take in rows of the model of `warm_start`, by the codes of this training.

        Raises:
            DataError: they are not sound.
        """
        assert self._warm is not None, "the statement gives rows of warm_start alone"
        self._warm.store(side, incoming.batch(lists, own_codes=False))

    def start(self, n_rows: int, n_users: int, n_items: int) -> None:
        """Build the matrices from what was gathered and lay out the first epoch.

        Raises:
            DataError: the ratings cannot be trained on, or not from where they should start.
        """
        rows = divide(self.gathering.complete(n_rows, n_items), self.recipe.options)
        self._train(self.recipe, rows, (n_users, n_items))
        if self._warm is not None:
            self._known = self._warm.known(n_users, n_items)
            self._trained.algorithm.start_from(self._known)
        self._read_seconds = time.perf_counter() - self.began

    def _info(self) -> dict[str, Any]:
        info = super()._info()
        return info | ({"warm_start": self._warm.note(self._known)} if self._warm else {})


def _chosen(codes: NDArray[np.int32], rows: NDArray[np.float32] | None) -> Any:
    return None if rows is None else rows[codes]


def _as_used(options: Options, threads: int) -> dict[str, Any]:
    return asdict(options) | {"threads": threads}


def versions() -> dict[str, str]:
    """The versions that a model's numbers depend on."""
    import duckdb
    import numba

    from duckmf import __version__

    return {
        "duckmf": __version__,
        "duckdb": duckdb.__version__,
        "numba": numba.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
