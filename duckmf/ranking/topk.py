"""Top-k for many users at once: items and users laid out for the kernel."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError
from duckmf.kernels import topk as kernels
from duckmf.kernels.screening import HEIGHT, WIDTH
from duckmf.kernels.threads import Workers
from duckmf.kernels.topk import BLOCK

Floats: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.int32]

PIECE = 4 * BLOCK  # users that a thread ranks at a time
# A table of slots by code has at most so many places for each item, and so many more: larger codes
# stand after these by their order, in which those that are seen have to be looked up.
SPARSE, FEW = 16, 1 << 16
ROUNDED_UP = np.float32(1 + 1e-5)
SMALLEST, LARGEST = 1e-30, 1e30  # squares of lengths in between do not suffer from float32's range


@dataclass(frozen=True)
class Sureness:
    """How sure items are, and how much that counts: they are ranked by s - risk d."""

    factors: Floats  # (n_items, n_factors): variances of q
    bias: Floats  # (n_items,): of b_i
    risk: float

    @classmethod
    def whole(cls, n_factors: int) -> Self:
        """Nothing is known, and nothing counts."""
        return cls(np.zeros((0, n_factors), np.float32), np.zeros(0, np.float32), 0.0)

    def in_order(self, order: NDArray[np.integer]) -> Sureness:
        """The items in another order."""
        if not self.risk:
            return self
        return Sureness(self.factors[order], self.bias[order], self.risk)


class Layouts:
    """Items that are laid out: the same ones once, for all who rank them at a time."""

    def __init__(self) -> None:
        self._rankings: WeakValueDictionary[bytes, Ranking] = WeakValueDictionary()

    def ranking(
        self,
        codes: Codes,
        places: Codes,
        weights: Floats,
        Q: Floats,
        cosine: bool,
        fused: bool,
        threads: int,
        sure: Sureness | None = None,
    ) -> Ranking:
        """The `Ranking` of some items, which is shared while somebody holds it."""
        how = cosine, fused, threads
        order = np.argsort(codes)  # DuckDB gives them in any order
        items = codes[order], places[order], weights[order], Q[order]
        sure = (sure or Sureness.whole(Q.shape[1])).in_order(order)
        digest = hashlib.sha256(repr((Q.shape, how, sure.risk)).encode())
        for array in (*items, sure.factors, sure.bias):
            digest.update(array.data)
        key = digest.digest()
        ranking = self._rankings.get(key)
        if ranking is None:
            self._rankings[key] = ranking = Ranking(*items, *how, sure)
        return ranking


class Ranking:
    """Items to rank, laid out once, and the threads that rank them."""

    def __init__(
        self,
        codes: Codes,
        places: Codes,
        weights: Floats,
        Q: Floats,
        cosine: bool,
        fused: bool,
        threads: int,
        sure: Sureness | None = None,
    ) -> None:
        """Lay out the items of a score: mu + b_u + b_i + <p, q>, or with `cosine` that of p and q.

        codes: (n_items,), each once, from 0; places: (n_items,), from 0, the order of equal scores;
        weights: (n_items,), b_i or, for cosines, <q, q>; Q: (n_items, n_factors). `fused` tells
        whether DuckDB multiplies and adds in one rounding. `sure`: what else items are ranked by.
        """
        self._sure = sure = sure or Sureness.whole(Q.shape[1])
        self._score = kernels.Score(cosine, fused, float(sure.risk))
        self._codes = np.empty_like(codes)
        self._codes[places] = codes
        screened, lengths = self._screened(Q, weights)
        bias = np.zeros_like(weights) if cosine else weights
        if sure.risk > 0:
            bias = (bias - sure.risk * np.sqrt(sure.bias)).astype(np.float32)
        order = np.argsort(-(bias + lengths), kind="stable")
        reach = np.column_stack((lengths, bias))[order]
        self._longest = lengths.max(initial=0.0)
        self._largest = np.abs(bias).max(initial=0.0)
        self._limit = SPARSE * len(codes) + FEW
        self._large = np.sort(codes[codes >= self._limit])
        table = self._in_table(codes)
        slots = np.zeros(table.max(initial=-1) + 1, np.int32)
        slots[table[order]] = np.arange(1, len(codes) + 1)
        sorted_sure = sure.in_order(order)
        self._items = kernels.Items(
            tiles(np.column_stack((screened, bias))[order], WIDTH),
            padded(reach, WIDTH, -np.inf).reshape(-1, WIDTH, 2).max(axis=1),
            slots,
            np.ascontiguousarray(Q[order]),
            weights[order],
            places[order],
            sorted_sure.factors,
            sorted_sure.bias,
        )
        self._workers = Workers(threads)

    def _screened(self, vectors: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """The vectors to screen with, and a little more than their lengths."""
        lengths = np.sqrt(np.einsum("it,it->i", vectors, vectors, dtype=np.float64))
        if self._score.cosine:
            scale = 1 / np.sqrt(weights, dtype=np.float64)
            vectors = (vectors * scale[:, None]).astype(np.float32)
            lengths = np.where((weights > SMALLEST) & (weights < LARGEST), lengths * scale, np.inf)
        return vectors, lengths.astype(np.float32) * ROUNDED_UP

    def top(
        self, k: int, weights: Floats, P: Floats, indptr: Codes, seen: Codes
    ) -> tuple[Codes, Floats, Codes]:
        """Codes and scores of each user's best k items, user by user, and how many each has.

        weights: (n_users,), mu + b_u or, for cosines, <p, p>; P: (n_users, n_factors); seen: the
        codes that are left out, those of user u from indptr[u] to indptr[u + 1].

        Raises:
            DataError: users and items have not as many factors.
        """
        n, (n_items, n_factors) = len(weights), self._items.Q.shape
        if not (P.shape[1] and n_factors):  # one side has none, so that <p, q> is zero
            P = np.zeros((n, n_factors), np.float32)
        if P.shape[1] != n_factors:
            raise DataError(
                f"users have {P.shape[1]} factors and items {n_factors}; retrain the model."
            )
        k = min(k, n_items)
        lists = kernels.Lists(
            np.zeros((n, k), np.int32), np.zeros((n, k), np.float32), np.zeros(n, np.int32)
        )
        users = self._users(weights, P, indptr, seen)

        def rank(begin: int) -> None:
            end = min(begin + PIECE, n)
            kernels.rank(lists, self._work(k), self._items, users, begin, end, self._score)

        if k:
            self._workers.map(rank, ((begin,) for begin in range(0, n, PIECE)))
        listed = np.arange(k) < lists.counts[:, None]
        return self._codes[lists.places[listed]], lists.scores[listed], lists.counts

    def _users(self, weights: Floats, P: Floats, indptr: Codes, seen: Codes) -> kernels.Users:
        screened, lengths = self._screened(P, weights)
        sure = self._sure
        size = lengths * self._longest + self._largest
        if not self._score.cosine:
            size += np.abs(weights)
        if sure.risk:
            squared = lengths.astype(np.float64) ** 2
            d = np.sqrt(sure.bias.max(initial=0) + squared * sure.factors.max(initial=0))
            size += (abs(sure.risk) * d).astype(np.float32)
        # screening and exact scores each sum n terms and round them n times, by 2^-24 of `size`
        margins = np.float32(2.0**-22 * (P.shape[1] + 9)) * size + np.float32(1e-37)
        ones = np.ones((len(P), 1), np.float32)
        return kernels.Users(
            tiles(np.column_stack((screened, ones)), HEIGHT),
            padded(lengths, HEIGHT, 0.0),
            padded(margins, HEIGHT, 0.0),
            indptr,
            self._in_table(seen),
            P,
            np.array(weights),  # Arrow's is read-only, a type of its own to the kernel
            np.square(P) if sure.risk else np.zeros((len(P), 0), np.float32),
        )

    def _in_table(self, codes: Codes) -> Codes:
        """Codes as the table of slots goes by them; -1 for large ones of no item."""
        large = codes >= self._limit
        if not large.any():
            return codes
        found = codes[large]
        places = np.searchsorted(self._large, found).astype(np.int32)
        known = places < len(self._large)
        known[known] = self._large[places[known]] == found[known]
        table = codes.copy()
        table[large] = np.where(known, self._limit + places, -1)
        return table

    def _work(self, k: int) -> kernels.Work:
        room = k + WIDTH + max(k // 2, 64)
        return kernels.Work(
            np.empty(len(self._items.reach) * BLOCK, np.int64),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK * k, np.float32),
            np.empty(BLOCK, np.int64),
            np.empty((BLOCK, room), np.float32),
            np.empty((BLOCK, room), np.int32),
            np.empty(HEIGHT * WIDTH, np.float32),
            np.empty(HEIGHT, np.int64),
        )


def padded(rows: Floats, step: int, value: float) -> Floats:
    """Rows up to a multiple of `step`, the new ones filled with `value`."""
    width = [(0, -len(rows) % step)] + [(0, 0)] * (rows.ndim - 1)
    return np.pad(rows, width, constant_values=value)


def tiles(rows: Floats, height: int) -> Floats:
    """Rows in tiles of `height`, each transposed, flat; zeros after the last row."""
    rows = padded(rows, height, 0.0)
    return rows.reshape(-1, height, rows.shape[1]).transpose(0, 2, 1).ravel()
