"""One training run, from the first batch of ratings to the rows of the model."""

from __future__ import annotations

import json
import platform
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duckmf import algorithms
from duckmf.arrow import cells_of
from duckmf.checks import check_feedback, check_request, check_source
from duckmf.errors import DataError
from duckmf.model import Factors
from duckmf.options import Options
from duckmf.progress import Progress
from duckmf.ratings import Rows, Triples, canonical, held_out_share
from duckmf.threads import Workers
from duckmf.training import Epoch, Training

FORMAT = 1  # of the model relation


class Run:
    """Gathers ratings, trains on them epoch by epoch, and gives the model's rows by code."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Check a request as `mf_fit` makes it.

        Raises:
            DuckMFError: an option or a count of the source is not as it should be.
        """
        self.connection, self.query = request["connection"], request["query"]
        self.lock = threading.Lock()
        self.deadline = float("inf")  # of the next call; infinite while one is under way
        self.interrupted = False
        self._counts = counts = request["counts"]
        self._has_rating = counts["has_rating"]
        self._has_times = counts["has_ts"]
        self.name = request["algorithm"] or ("als" if self._has_rating else "implicit_als")
        self._algorithm = algorithms.find(self.name)
        self.options = self._algorithm.Options.parse(request["options"], self.name)
        self._has_validation = counts["has_validation"]
        check_request(self.options, self._has_validation, self._has_times)
        check_source(counts, self._has_rating, self._has_times)
        check_feedback(counts, self.name, self._algorithm.feedback, self._has_rating)
        self._began = time.perf_counter()
        self._triples = self._room(counts["n_rows"])
        self._gathered = 0
        self._threads = self.options.threads or request["duckdb_threads"]
        self._workers = Workers(self._threads)
        self._progress = Progress(self.name, request["progress"])
        self.training: Training | None = None

    def _room(self, n: int) -> Triples:
        held_out = np.empty(n, np.bool_) if self._has_validation else None
        times = np.empty(n, np.float64) if self._has_times else None
        users, items = np.empty(n, np.int32), np.empty(n, np.int32)
        return Triples(users, items, np.ones(n, np.float32), held_out, times)

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        return self.training is not None and self.training.more

    def gather(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        held_out: NDArray[np.bool_],
        times: NDArray[np.float64],
    ) -> None:
        """Take a batch of rows in, in any order; columns that were not asked for may be empty."""
        here = slice(self._gathered, self._gathered + len(users))
        self._gathered = here.stop
        self._triples.users[here] = users
        self._triples.items[here] = items
        if self._has_rating:
            self._triples.values[here] = values
        if self._triples.held_out is not None:
            self._triples.held_out[here] = held_out
        if self._triples.times is not None:
            self._triples.times[here] = times

    def start(self, n_rows: int, n_users: int, n_items: int) -> None:
        """Build the matrices from what was gathered and lay out the first epoch.

        Raises:
            DataError: the ratings cannot be trained on.
        """
        if n_rows != self._counts["n_rows"]:
            raise DataError(
                f"mf_fit: {n_rows:,} of {self._counts['n_rows']:,} rows found their user and item; "
                "give ids that equal themselves."
            )
        if n_items < 2:
            raise DataError(
                f"mf_fit: the source has {n_items} item; a recommender needs at least two."
            )
        triples, held_out = self._split()
        self._times = (
            (float(triples.times.min()), float(triples.times.max()))
            if (triples.times is not None and len(triples.times))
            else None
        )
        shape = (n_users, n_items, self.options.duplicates, self._workers)
        self.ratings, self.merged = canonical(triples, *shape)
        self.held_out = None
        if held_out is not None:
            held_out_ratings, merged = canonical(held_out, *shape)
            self.held_out = held_out_ratings.by_user
            self.merged += merged
        del self._triples, triples, held_out
        algorithm = self._algorithm(self.ratings, self.options, self._workers)
        self.training = Training(algorithm, self.held_out, self._workers)
        self._read_seconds = time.perf_counter() - self._began

    def _split(self) -> tuple[Triples, Triples | None]:
        triples = self._triples
        held_out = triples.held_out
        if self.options.validation_fraction is not None:
            fraction, seed = self.options.validation_fraction, self.options.seed
            held_out = held_out_share(triples, fraction, seed)
        if held_out is None:
            return triples, None
        n, n_held = len(held_out), int(np.count_nonzero(held_out))
        if n_held in (0, n):
            raise DataError(
                f"mf_fit: validation holds out {n_held:,} of {n:,} rows; choose it so that "
                "some rows are held out and some remain for training."
            )
        return triples.select(~held_out), triples.select(held_out)

    def epoch(self) -> Epoch:
        """One more epoch."""
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
        """Counts, biases, factors, training items and ratings of users; None for what is not."""
        factors, by_user = self._factors, self.ratings.by_user
        seen = cells_of(by_user, codes) if self.options.keep_seen else (None, None)
        return (*_rows_of(codes, by_user, factors.user_bias, factors.P), *seen)

    def item_rows(self, codes: NDArray[np.int32]) -> tuple[Any, ...]:
        """Counts, biases, factors and implicit factors of items; None for what is not."""
        factors = self._factors
        rows = _rows_of(codes, self.ratings.by_item, factors.item_bias, factors.Q)
        return (*rows, None if factors.Y is None else factors.Y[codes])

    def finish(self) -> tuple[int, float, str]:
        """Number of training ratings, mu, and what `info` says of the run, as JSON."""
        self._progress.close()
        return len(self.ratings), self._factors.mu, json.dumps(self._info())

    def _info(self) -> dict[str, Any]:
        training, ratings = self._trained, self.ratings
        best = training.best
        values = ratings.by_user.values
        return {
            "format": FORMAT,
            "algorithm": self.name,
            "feedback": self._algorithm.feedback,
            "options": _as_used(training.algorithm.options, self._threads),
            "rating_min": float(values.min()),
            "rating_max": float(values.max()),
            "rating_std": float(values.std(dtype=np.float64)),
            "ts_min": self._times[0] if self._times else None,
            "ts_max": self._times[1] if self._times else None,
            "users": len(ratings.by_user),
            "items": len(ratings.by_item),
            "rows": self._counts["n_rows"],
            "duplicates_merged": self.merged,
            "held_out": 0 if self.held_out is None else len(self.held_out.indices),
            "epochs": len(training.log),
            "best_epoch": best.number if best else None,
            "loss": self._algorithm.loss,
            "train_loss": best.train_loss if best else None,
            "validation_loss": best.validation_loss if best else None,
            "seconds": time.perf_counter() - self._began,
            "read_seconds": self._read_seconds,
            "train_seconds": sum(epoch.seconds for epoch in training.log),
            "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }

    def close(self) -> None:
        """Stop the threads and take the progress bar away."""
        self._progress.close()
        self._workers.close()


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
