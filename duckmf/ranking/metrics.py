"""How good a model is on rows that it has not seen: the measures of mf_evaluate(_ranking).

They are defined in sql/evaluate.sql and sql/evaluate_ranking.sql, for models that have become
relations; here they are taken of a model in training, in codes.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels import auc
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors
from duckmf.model.temporal import day_numbers
from duckmf.ranking.topk import Ranking, Sureness
from duckmf.ratings.matrix import Ratings, Rows, Triples

Codes: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float32]

RISK = 1.645  # that of mf_recommend where the model says how sure it is
PIECE = 1 << 12  # rows that are predicted at a time: their factors stay in the cache
BLOCK = 256  # users that are scored at a time


@dataclass(frozen=True)
class Errors:
    """How far clipped predictions are from ratings."""

    rmse: float
    mae: float


@dataclass(frozen=True)
class RankingMetrics:
    """Means over the users of the test rows; auc is None where nobody has one, or nobody asked."""

    precision: float
    recall: float
    ndcg: float
    map: float
    mrr: float
    hit_rate: float
    auc: float | None


NAMES = tuple(field.name for kind in (Errors, RankingMetrics) for field in fields(kind))


@dataclass(frozen=True)
class Relevant:
    """The relevant items of the users of some rows, each once, sorted by user and item."""

    users: Codes  # (n_users,), -1 for one that the model does not know
    sizes: NDArray[np.int64]  # (n_users,), all relevant items
    places: NDArray[np.int64]  # of each relevant item that the model knows: its user's place
    items: Codes  # its code

    @classmethod
    def of(cls, rows: Triples, user_codes: Codes, item_codes: Codes) -> Relevant:
        """The items of rows in codes of the source; `user_codes[u]` is u in the model, or -1."""
        if rows.relevant is not None:
            rows = rows.select(rows.relevant)
        pairs = np.unique(rows.users.astype(np.int64) << 32 | rows.items)
        users, places = np.unique(pairs >> 32, return_inverse=True)
        items = item_codes[pairs & 0xFFFFFFFF]
        known = items >= 0
        return cls(user_codes[users], np.bincount(places), places[known], items[known])

    def __len__(self) -> int:
        return len(self.users)


def errors(factors: Factors, ratings: Ratings, rows: Triples, workers: Workers) -> Errors:
    """The errors of predictions of rows, clipped to the training ratings; -1 is unknown."""
    trained = ratings.by_user.values
    low, high = trained.min(), trained.max()
    factors = with_unknown(factors)

    def sums(begin: int) -> tuple[float, float]:
        here = rows.select(slice(begin, begin + PIECE))
        predicted = np.clip(factors.predict(here.users, here.items, here.times), low, high)
        errors = here.values - predicted.astype(np.float64)
        return float(errors @ errors), float(np.abs(errors).sum())

    pieces = workers.map(sums, ((begin,) for begin in range(0, len(rows.values), PIECE)))
    squared, absolute = (
        math.fsum(column) / len(rows.values) for column in zip(*pieces, strict=True)
    )
    return Errors(math.sqrt(squared), absolute)


def cold(ratings: Ratings, users: Codes, items: Codes, rows: Triples) -> dict[str, int]:
    """Users, items and pairs of test rows without training ratings; -1 is unknown to the model."""
    cold_user = np.append(ratings.by_user.counts, 0)[users] == 0
    cold_item = np.append(ratings.by_item.counts, 0)[items] == 0
    return {
        "cold_users": len(np.unique(rows.users[cold_user])),
        "cold_items": len(np.unique(rows.items[cold_item])),
        "cold_pairs": int(np.count_nonzero(cold_user | cold_item)),
    }


def with_unknown(factors: Factors) -> Factors:
    """The same with a last row on both sides, where the code -1 leads: what is not known.

    It is of zeros; in a model that knows better, its bias is the mean of the prior.
    """
    temporal, sure = factors.temporal, factors.uncertainty
    padded: Factors = _padded(factors, temporal=None if temporal is None else _padded(temporal))
    if sure is not None and padded.user_bias is not None and padded.item_bias is not None:
        padded.user_bias[-1] = sure.user_spread.mean
        padded.item_bias[-1] = sure.item_spread.mean
    return padded


def _padded(part: Any, **others: Any) -> Any:
    arrays = {
        field.name: np.pad(array, [(0, 1)] + [(0, 0)] * (array.ndim - 1))
        for field in fields(part)
        if isinstance(array := getattr(part, field.name), np.ndarray) and field.name != "day_bias"
    }
    return replace(part, **arrays, **others)


def at_the_end(factors: Factors) -> Factors:
    """The same numbers with the time terms of the end of training inside them."""
    temporal = factors.temporal
    if temporal is None:
        return factors
    span, n_users = temporal.span, len(temporal.centers)
    end = np.full(n_users, span.t1)
    dev = span.deviations(end, temporal.centers)
    bu, bi, P = (_or_zero(array) for array in (factors.user_bias, factors.item_bias, factors.P))
    if temporal.drift is not None:
        bu = bu + temporal.drift * dev
    if temporal.user_days is not None and temporal.day_bias is not None:
        users = np.arange(n_users, dtype=np.int32)
        places, there = temporal.user_days.places(users, day_numbers(end))
        bu = bu + np.where(there, temporal.day_bias[places], np.float32(0))
    if temporal.bin_bias is not None:
        bi = bi + temporal.bin_bias[:, span.bins(end[:1], temporal.bin_bias.shape[1])[0]]
    if temporal.factor_drift is not None:
        P = P + dev[:, None] * temporal.factor_drift
    return replace(
        factors, user_bias=_vector(bu), item_bias=_vector(bi), P=_vector(P), temporal=None
    )


def _or_zero(array: Floats | None) -> Any:
    return np.float32(0) if array is None else array


def _vector(array: Any) -> Floats | None:
    """None for what still is zero."""
    return array if np.ndim(array) else None


def ranking(
    factors: Factors,
    ratings: Ratings,
    relevant: Relevant,
    k: int,
    fused: bool,
    workers: Workers,
    *,
    areas: bool = True,
) -> RankingMetrics:
    """The measures at k of the lists of the users in `relevant`, which has at least one.

    A user without training ratings, or of a model that has nothing of users, gets the items by
    their number of ratings. `fused` tells how DuckDB adds up, as in `Ranking`. `areas` whether to
    take auc, which costs much more than the others, since it looks at the order of all items.
    """
    factors = at_the_end(factors)
    columns = np.full((len(fields(RankingMetrics)), len(relevant)), np.nan)
    personal = _is_personal(factors, ratings, relevant.users)
    for places, scorer in (
        (np.flatnonzero(personal), _personal(factors, ratings)),
        (np.flatnonzero(~personal), _popular(ratings)),
    ):
        if len(places):
            group = _Group(scorer, ratings, relevant, places)
            columns[:-1, places] = group.measures(k, fused, workers)
            if areas:
                columns[-1, places] = group.areas(workers)
    known = columns[-1][~np.isnan(columns[-1])]
    means: list[float] = columns[:-1].mean(axis=1).tolist()
    return RankingMetrics(*means, float(known.mean()) if len(known) else None)  # type: ignore[call-arg]


@dataclass(frozen=True)
class _Scorer:
    """score(u, i) = base[u] + weights[i] + <P[u], Q[i]>; the last user is the unknown one.

    `sure`: what else items are ranked by.
    """

    base: Floats
    weights: Floats
    P: Floats
    Q: Floats
    sure: Sureness | None = None


def _is_personal(factors: Factors, ratings: Ratings, users: Codes) -> NDArray[np.bool_]:
    if factors.user_bias is None and factors.P is None:
        return np.zeros(len(users), np.bool_)
    personal: NDArray[np.bool_] = np.append(ratings.by_user.counts > 0, False)[users]
    return personal


def _personal(factors: Factors, ratings: Ratings) -> _Scorer:
    n_users, n_items = len(ratings.by_user), len(ratings.by_item)
    nothing = np.zeros(n_users, np.float32), np.zeros(n_items, np.float32)
    bu, bi = factors.user_bias, factors.item_bias
    P, Q = factors.P, factors.Q
    return _Scorer(
        np.float32(factors.mu) + (nothing[0] if bu is None else bu),
        nothing[1] if bi is None else bi,
        nothing[0][:, None][:, :0] if P is None else P,
        nothing[1][:, None][:, :0] if Q is None else Q,
        sureness_of(factors),
    )


def sureness_of(factors: Factors) -> Sureness | None:
    """How sure the items of a model are, and the risk that mf_recommend takes if none is given."""
    sure = factors.uncertainty
    if sure is None or sure.items is None:
        return None
    return Sureness(sure.items.factors, sure.items.bias, RISK)


def _popular(ratings: Ratings) -> _Scorer:
    n_users, counts = len(ratings.by_user) + 1, ratings.by_item.counts
    empty = np.empty((n_users, 0), np.float32), np.empty((len(counts), 0), np.float32)
    return _Scorer(np.zeros(n_users, np.float32), counts.astype(np.float32), *empty)


class _Group:
    """Users who are ranked by the same scorer."""

    def __init__(
        self, scorer: _Scorer, ratings: Ratings, relevant: Relevant, places: NDArray[np.int64]
    ) -> None:
        users = relevant.users[places]
        self._scorer, self._users = scorer, users
        self._sizes = relevant.sizes[places]
        self._n_items = n_items = len(ratings.by_item)
        seen = _rows_of(ratings.by_user, users)
        self._seen_keys = _keys(seen, n_items)
        self._seen = seen
        place_of = np.full(len(relevant), -1)
        place_of[places] = np.arange(len(places))
        here = place_of[relevant.places]
        keys = (here * n_items + relevant.items)[here >= 0]
        self._keys = keys[~_among(keys, self._seen_keys)]  # of what can be recommended

    def measures(self, k: int, fused: bool, workers: Workers) -> NDArray[np.float64]:
        """precision, recall, ndcg, map, mrr and hit_rate, a row each."""
        scorer, n = self._scorer, len(self._users)
        codes = np.arange(self._n_items, dtype=np.int32)
        how = False, fused, workers.threads, scorer.sure
        lists = Ranking(codes, codes, scorer.weights, scorer.Q, *how)
        users = scorer.base[self._users], scorer.P[self._users]
        indptr = self._seen.indptr.astype(np.int32)
        items, _, counts = lists.top(k, *users, indptr, self._seen.indices)
        row = np.repeat(np.arange(n), counts)
        rank = np.arange(1, len(items) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
        hit = _among(row * self._n_items + items, self._keys)
        row, rank = row[hit], rank[hit]
        hits = np.bincount(row, minlength=n)
        nth = np.arange(1, len(row) + 1) - (np.cumsum(hits) - hits)[row]
        first = np.full(n, np.inf)
        np.minimum.at(first, row, rank)
        ideal = np.cumsum(1 / np.log2(np.arange(2, self._sizes.max() + 2)))
        return np.array(
            [
                hits / k,
                hits / self._sizes,
                np.bincount(row, 1 / np.log2(rank + 1), n) / ideal[np.minimum(k, self._sizes) - 1],
                np.bincount(row, nth / rank, n) / self._sizes,
                1 / first,
                hits > 0,
            ]
        )

    def areas(self, workers: Workers) -> NDArray[np.float64]:
        """auc, NaN where there is no other item."""
        out = np.empty(len(self._users))
        places, items = np.divmod(self._keys, self._n_items)
        indptr = np.searchsorted(places, np.arange(len(out) + 1))
        relevant = items.astype(np.int32)
        for begin in range(0, len(out), BLOCK):
            end = min(begin + BLOCK, len(out))
            scores = self._scores(self._users[begin:end])
            lists = (self._seen.indptr[begin : end + 1], self._seen.indices)
            mine = (indptr[begin : end + 1], relevant)
            arguments = out[begin:end], scores, self._sizes[begin:end], *lists, *mine
            cuts = np.linspace(0, end - begin, workers.threads + 1).astype(int).tolist()
            workers.map(auc.areas, [(*arguments, a, b) for a, b in itertools.pairwise(cuts)])
        return out

    def _scores(self, users: Codes) -> Floats:
        scorer = self._scorer
        scores: Floats = scorer.base[users, None] + scorer.weights
        if scorer.P.shape[1]:
            scores += scorer.P[users] @ scorer.Q.T
        if (sure := scorer.sure) is not None:
            squares = np.square(scorer.P[users])
            scores -= np.float32(sure.risk) * np.sqrt(sure.bias + squares @ sure.factors.T)
        return scores


def _rows_of(rows: Rows, chosen: Codes) -> Rows:
    """Some rows of a matrix; the row -1 is empty."""
    counts = np.append(rows.counts, 0)[chosen]
    indptr = np.append(0, np.cumsum(counts))
    cells = np.arange(indptr[-1]) + np.repeat(rows.indptr[:-1][chosen] - indptr[:-1], counts)
    return Rows(indptr, rows.indices[cells], rows.values[cells])


def _keys(rows: Rows, n_columns: int) -> NDArray[np.int64]:
    """One number for each cell, in order."""
    keys: NDArray[np.int64] = rows.row_numbers().astype(np.int64) * n_columns + rows.indices
    return keys


def _among(keys: NDArray[Any], ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Which keys are among the ordered ones."""
    places = np.searchsorted(ordered, keys)
    found: NDArray[np.bool_] = np.append(ordered, -1)[places] == keys
    return found
