"""One training, from the request of `mf_fit` to the rows of the model."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.recipe import Recipe
from duckmf.algorithms.training import Epoch, Training
from duckmf.model import temporal_rows
from duckmf.model.cells import cells_of
from duckmf.model.factors import Factors, SideName
from duckmf.model.head import FORMAT, facts_of
from duckmf.model.stored import Batch
from duckmf.options import Options
from duckmf.ratings.gathering import Parts, divide, parts_of
from duckmf.ratings.matrix import Rows, Triples
from duckmf.statements.progress import Progress
from duckmf.statements.run import Outcome, Run
from duckmf.statements.warm_start import WarmStart


class Fitting(Run):
    """A run that ends in a model: trains epoch by epoch and gives the model's rows by code."""

    def __init__(self, request: dict[str, Any], threads: int | None, progress: Progress) -> None:
        """Begin with the request that a macro makes.

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

    def user_rows(self, codes: NDArray[np.int32]) -> tuple[Any, ...]:
        """The columns of users, from counts to time terms; None for what is not."""
        factors, by_user = self._factors, self.parts.ratings.by_user
        kept = by_user.untimed() if factors.temporal is None else by_user
        keep = self.recipe.options.keep_seen
        seen = cells_of(kept, codes) if keep else (None, None, None)
        rows = _rows_of(codes, by_user, factors.user_bias, factors.P)
        return (*rows, *seen, temporal_rows.of_users(factors.temporal, codes))

    def item_rows(self, codes: NDArray[np.int32]) -> tuple[Any, ...]:
        """The columns of items, from counts to time terms; None for what is not."""
        factors = self._factors
        rows = _rows_of(codes, self.parts.ratings.by_item, factors.item_bias, factors.Q)
        implicit = None if factors.Y is None else factors.Y[codes]
        return (*rows, implicit, temporal_rows.of_items(factors.temporal, codes))

    def finish(self) -> Outcome:
        """The head of the model."""
        self._progress.close()
        factors, info = self._factors, self._info()
        temporal = temporal_rows.of_model(factors.temporal)
        return Outcome(info, len(self.parts.ratings), factors.mu, temporal, facts_of(info))

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
            "rows": self.gathering.counts["n_rows"],
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
        """Stop the threads and take the progress bar away."""
        self._progress.close()
        super().close()


class Fit(Fitting):
    """One training with options that are given."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Check a request as `mf_fit` makes it.

        Raises:
            DuckMFError: an option or a count of the source is not as it should be.
        """
        name, given, model = request["algorithm"], request["options"], request["model"]
        self._warm = None if model is None else WarmStart(model)
        if self._warm is not None:
            name, given = self._warm.recipe(name, given)
        self.recipe = Recipe.parse(name, given, request["counts"])
        progress = Progress(self.recipe.name, request["progress"])
        super().__init__(request, self.recipe.options.threads, progress)
        self.recipe.check(self.gathering)

    def store(self, side: SideName, batch: Batch) -> None:
        """Take in rows of the model of `warm_start`, by the codes of this training."""
        assert self._warm is not None, "the statement gives rows of warm_start alone"
        self._warm.store(side, batch)

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


def _rows_of(
    codes: NDArray[np.int32],
    rows: Rows,
    bias: NDArray[np.float32] | None,
    factors: NDArray[np.float32] | None,
) -> tuple[Any, Any, Any]:
    return (
        rows.counts[codes],
        None if bias is None else bias[codes],
        None if factors is None else factors[codes],
    )


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
