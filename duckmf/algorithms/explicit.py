"""What the algorithms that predict ratings have in common."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from duckmf.kernels.threads import Workers, row_pieces
from duckmf.model.factors import Factors
from duckmf.ratings.matrix import Rows

PIECE = 1 << 12  # ratings that are predicted at a time: their factors stay in the cache


class Explicit:
    """An algorithm whose losses are root mean squared errors, before clipping."""

    feedback: ClassVar[str] = "explicit"
    loss: ClassVar[str] = "rmse"
    compares: ClassVar[bool] = False

    def factors(self) -> Factors:
        """The numbers as they stand, by user and item code."""
        raise NotImplementedError

    def validation_loss(self, held_out: Rows, workers: Workers) -> float:
        """The error on held-out ratings by user."""
        return rmse(self.factors(), held_out, workers)


def rmse(factors: Factors, rows: Rows, workers: Workers) -> float:
    """Root mean squared error of a model over rows by user, before clipping."""
    users = rows.row_numbers()

    def squared_errors(begin: int, end: int) -> float:
        cells = slice(rows.indptr[begin], rows.indptr[end])
        times = None if rows.times is None else rows.times[cells]
        errors = rows.values[cells] - factors.predict(users[cells], rows.indices[cells], times)
        return float(np.dot(errors, errors))

    return math.sqrt(sum(workers.map(squared_errors, row_pieces(rows.indptr, PIECE))) / len(users))
