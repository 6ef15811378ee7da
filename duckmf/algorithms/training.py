"""The training loop of one model: epochs, validation, early stopping, the best epoch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from duckmf.algorithms import Algorithm
from duckmf.errors import TrainingError
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors
from duckmf.ratings.matrix import Rows

DEFAULT_PATIENCE = 3  # epochs, where rows are held out


@dataclass(frozen=True)
class Epoch:
    """What one pass over the ratings gave. The algorithm says what its losses are."""

    number: int
    train_loss: float
    validation_loss: float | None
    seconds: float


class Training:
    """Runs an algorithm epoch by epoch and decides when it is done."""

    def __init__(
        self,
        algorithm: Algorithm,
        held_out: Rows | None,
        workers: Workers,
        exactly: int | None = None,
    ) -> None:
        """Begin a training of `algorithm.epochs`, or of `exactly` so many of them."""
        self.algorithm = algorithm
        self._most = algorithm.epochs if exactly is None else exactly
        self.log: list[Epoch] = []
        self.best: Epoch | None = None
        self._held_out = held_out
        self._workers = workers
        self._best_factors: Factors | None = None
        options = algorithm.options
        self._tolerance, self._share = options.tolerance, options.relative_tolerance
        self._patience = options.patience or (DEFAULT_PATIENCE if held_out else None)
        if exactly is not None:
            self._patience = None
        self._lowest = math.inf  # the last loss that counted as an improvement
        self._stale = 0  # epochs since then

    @property
    def more(self) -> bool:
        """Whether another epoch should follow."""
        if len(self.log) >= self._most:
            return False
        return self._patience is None or self._stale < self._patience

    @property
    def factors(self) -> Factors:
        """The numbers of the best epoch."""
        return self._best_factors or self.algorithm.factors()

    def epoch(self) -> Epoch:
        """Train one more epoch and remember it.

        Raises:
            TrainingError: the loss is no finite number any more.
        """
        began = time.perf_counter()
        number = len(self.log) + 1
        train_loss = self.algorithm.epoch(number)
        validation_loss = None
        if self._held_out is not None:
            validation_loss = self.algorithm.validation_loss(self._held_out, self._workers)
        epoch = Epoch(number, train_loss, validation_loss, time.perf_counter() - began)
        if not math.isfinite(train_loss):
            raise TrainingError(
                f"the training loss is {train_loss} after epoch {number}; "
                "raise regularization or lower learning_rate."
            )
        self._remember(epoch)
        return epoch

    def _remember(self, epoch: Epoch) -> None:
        self.log.append(epoch)
        if epoch.validation_loss is None:
            self.best = epoch
        elif self.best is None or epoch.validation_loss < _validation(self.best):
            self.best = epoch
            self._best_factors = self.algorithm.factors().copy()
        loss = epoch.train_loss if epoch.validation_loss is None else epoch.validation_loss
        if loss < min(self._lowest - self._tolerance, self._lowest * (1 - self._share)):
            self._lowest, self._stale = loss, 0
        else:
            self._stale += 1


def _validation(epoch: Epoch) -> float:
    return math.inf if epoch.validation_loss is None else epoch.validation_loss
