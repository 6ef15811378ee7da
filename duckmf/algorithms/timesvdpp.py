"""timeSVD++: SVD++ whose biases and user factors change with time.

Model:      r(u, i, t) = mu + b_u(t) + b_i(t) + <q_i, p_u + a_u dev_u(t) + z_u>,
            z_u as in `svdpp`, b_u(t), b_i(t) and dev_u(t) as in `duckmf.model.temporal`
Objective:  that of `svdpp`, with r(u, i, t) for r(u, i), and the penalties of the time terms:
            those of the biases, see algorithms/with_time_terms.py, and of the drift of the factors
            lambda D^2 sigma sum_u n_u^nu |a_u|^2, lambda the option `temporal_regularization`
Update:     that of `svdpp`, with p_u + a_u dev_u(t) for p_u, and in the same step
            a_u += g lr_u (e dev q_i - lambda n_u^(nu - 1) a_u)
            g = 1 / (1 + lr_u (1 + (2 + dev^2) |q_i|^2) + lr_i (1 + |p_u + a_u dev + z_u|^2)),
            all in units where D = 1; after each epoch the time terms of the biases are solved

The a_u start at zero. Without 'factor_drift' this is `svdpp` with biases of time, and
without any time term `svdpp`.

Source: Koren 2009, "Collaborative filtering with temporal dynamics" (KDD), section 4.2, without its
factors for each day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from duckmf.algorithms.svd import put, vector_rows
from duckmf.algorithms.svdpp import Svdpp, SvdppOptions
from duckmf.algorithms.time_terms import Dial
from duckmf.algorithms.with_time_terms import TIME_TERMS
from duckmf.kernels.svdpp import FactorDrift
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors, Known
from duckmf.model.temporal import Temporal
from duckmf.options import option
from duckmf.ratings.matrix import Ratings


@dataclass(frozen=True, kw_only=True)
class TimesvdppOptions(SvdppOptions):
    """The options of `algorithm := 'timesvdpp'`."""

    temporal: tuple[str, ...] = option(
        TIME_TERMS, "the time terms that are learnt", choices=TIME_TERMS
    )


class Timesvdpp(Svdpp):
    """The factors and static biases of a timeSVD++ in training."""

    Options = TimesvdppOptions

    def __init__(self, ratings: Ratings, options: TimesvdppOptions, workers: Workers) -> None:
        super().__init__(ratings, options, workers)
        self._dial: Dial | None = None
        if "factor_drift" in options.temporal:
            self._dial = dial = Dial.of(self._rows, options.drift_exponent)
            A = vector_rows(len(self._rows), options.n_factors)
            self._drift = FactorDrift(A, dial.dev / np.float32(dial.usual))

    def start_from(self, known: Known) -> None:
        """Begin with the rows of a model; those that it does not know are as ever."""
        super().start_from(known)
        if self._dial is not None and self._drift is not None:
            there = known.users & (self._rows.counts > 0)
            put(self._drift.A, known.factor_drift, there, sqrt(self._sigma) / self._dial.usual)

    def factors(self) -> Factors:
        """The numbers as they stand, on the scale of the ratings; P holds p_u + z_u."""
        factors, dial = super().factors(), self._dial
        if dial is None or self._drift is None:
            return factors
        unit = np.float32(sqrt(self._sigma) / dial.usual)
        A = unit * self._drift.A[:, : self.options.n_factors]
        terms = Temporal(dial.span, dial.centers, dial.usual, factor_drift=A)
        return replace(factors, temporal=terms)
