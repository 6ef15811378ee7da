"""The users, or the items, of a model that is updated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.model.factors import SideName, Solved
from duckmf.model.incoming import check_unique
from duckmf.model.stored import Batch, biases, concatenated, matrix
from duckmf.model.temporal import Terms
from duckmf.ratings.matrix import Rows


@dataclass
class UpdatedSide:
    """The rows of all users, or of all items, by code; those with new ratings are `touched`."""

    codes: NDArray[np.int32]  # (n,) sorted
    bias: NDArray[np.float32]  # (n,)
    factors: NDArray[np.float32]  # (n, n_factors)
    implicit_factors: NDArray[np.float32]  # (n, n_factors), or (n, 0) in a model without them
    terms: Terms
    touched: NDArray[np.int32]  # places
    new: NDArray[np.int32]  # places of those that the model did not have
    learnt: Solved = field(default_factory=Solved)  # the last solution of `touched`

    @classmethod
    def of(
        cls,
        name: SideName,
        batches: list[Batch],
        rated: NDArray[np.int32],
        widths: tuple[int, int],
    ) -> Self:
        """The model's rows of one side, and zeros for codes that are new among `rated`.

        widths: how many factors a row has, and implicit factors.

        Raises:
            DataError: there are several rows for a code, or they do not fit together.
        """
        stored = concatenated([batch.codes for batch in batches], np.int32)
        touched = np.unique(rated)
        new = np.setdiff1d(touched, stored)
        codes = np.concatenate((stored, new))
        check_unique(codes, name)
        order = np.argsort(codes)
        n = len(new)
        bias = biases(batches)
        factors = matrix([batch.factors for batch in batches], widths[0])
        Y = matrix([batch.implicit_factors for batch in batches], widths[1])
        terms = Terms.joined([*(batch.terms for batch in batches), Terms.none(n)])
        codes = codes[order]
        return cls(
            codes,
            np.append(bias, np.zeros(n, np.float32))[order],
            np.append(factors, np.zeros((n, factors.shape[1]), np.float32), axis=0)[order],
            np.append(Y, np.zeros((n, Y.shape[1]), np.float32), axis=0)[order],
            terms.chosen(order),
            np.searchsorted(codes, touched).astype(np.int32),
            np.searchsorted(codes, new).astype(np.int32),
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows the model had."""
        known = np.ones(len(self.codes), np.bool_)
        known[self.new] = False
        return known

    def places(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Where codes stand."""
        return np.searchsorted(self.codes, codes).astype(np.int32)

    def turns(self, places: NDArray[np.int32]) -> NDArray[np.int32]:
        """Which of the touched rows those at some places are."""
        return np.searchsorted(self.touched, places).astype(np.int32)

    def put(self, solved: Solved) -> None:
        """Take in a solution of the touched rows."""
        self.learnt = solved
        if solved.bias is not None:
            self.bias[self.touched] = solved.bias
        if solved.factors is not None:
            self.factors[self.touched] = solved.factors
        if solved.temporal is not None:
            n, m = len(self.codes), len(self.touched)
            order = np.arange(n)
            order[self.touched] = np.arange(n, n + m)
            self.terms = Terms.joined([self.terms, Terms.of(solved.temporal, m)]).chosen(order)

    def columns(self, rows: Rows, places: NDArray[np.int32]) -> tuple[Any, Any, Any]:
        """Counts, biases and factors of some rows; None for what is not learnt."""
        learnt = self.learnt
        return (
            rows.counts[places],
            None if learnt.bias is None else self.bias[places],
            None if learnt.factors is None else self.factors[places],
        )
