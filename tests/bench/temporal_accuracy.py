"""What time terms are worth on MovieLens latest-small: RMSE, clipped, over splits of mf_split.

Random splits hold out a fifth of the pairs. Forward in time the last ratings of all are held out,
most of them by users that training does not know; 'known' is the RMSE of the others. Parts chosen by
validation: those with the lowest RMSE on the last fifth of the training rows, trained again on all.
Run: python -m tests.bench.temporal_accuracy
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import duckmf
from duckmf import algorithms
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Triples, canonical
from tests.conftest import MOVIELENS

BIASES = ("item_bins", "user_drift", "user_day")
ALL = (*BIASES, "factor_drift")
MODELS: list[tuple[str, tuple[str, ...]]] = [
    ("bias", ()),
    ("bias", BIASES),
    ("als", ()),
    ("als", BIASES),
    ("svdpp", ()),
    ("timesvdpp", ALL),
]
CHOICES = [(), *((part,) for part in ALL), *(ALL[:n] for n in (2, 3, 4))]


@dataclass
class Split:
    """Training and test rows in codes."""

    train: Triples
    test: Triples
    shape: tuple[int, int]

    @classmethod
    def make(cls, con, options: str) -> Split:
        """By mf_split with these options."""
        columns = con.sql(
            "select (dense_rank() over (order by user_id) - 1)::int as u, "
            "(dense_rank() over (order by movie_id) - 1)::int as i, rating::float as r, "
            "epoch(rated_at) as t, split = 'test' as test "
            f"from mf_split(ratings, user_id, movie_id, ts := rated_at, {options}) order by u, i"
        ).fetchnumpy()
        u, i, r, t = (np.asarray(columns[name]) for name in "uirt")
        return cls.of(
            Triples(u, i, r, None, t), np.asarray(columns["test"]), (u.max() + 1, i.max() + 1)
        )

    @classmethod
    def of(cls, rows: Triples, test: np.ndarray, shape: tuple[int, int]) -> Split:
        """By a mark for each row."""
        return cls(rows.select(~test), rows.select(test), shape)

    def validated(self) -> Split:
        """The training rows alone, their last fifth being the test rows."""
        times = self.train.times
        return Split.of(self.train, times > np.quantile(times, 0.8), self.shape)

    def rmse(self, name: str, parts: tuple[str, ...]) -> tuple[float, float]:
        """Of all test rows, and of those of known users."""
        workers = Workers(1)
        ratings, _ = canonical(self.train, *self.shape, "mean", workers)
        algorithm = algorithms.find(name)
        training = algorithms.make(algorithm, ratings, algorithm.Options(temporal=parts), workers)
        for number in range(1, training.epochs + 1):
            training.epoch(number)
        test = self.test
        predicted = training.factors().predict(test.users, test.items, test.times)
        squares = np.square(np.clip(predicted, 0.5, 5) - test.values)
        known = ratings.by_user.counts[test.users] > 0
        return float(np.sqrt(squares.mean())), float(np.sqrt(squares[known].mean()))


def named(name: str, parts: tuple[str, ...]) -> str:
    return f"{name:9} {' '.join(parts) or '-'}"


def main() -> None:
    """Print the table of random splits, then that of splits by time."""
    con = duckmf.connect()
    con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    splits = [Split.make(con, f"seed := {seed}") for seed in range(1, 6)]
    rmse = np.array([[split.rmse(*model)[0] for model in MODELS] for split in splits])
    print("random, 5 splits                                   mean    difference to the line above")
    for n, model in enumerate(MODELS):
        gains = "" if n == 0 else np.array2string(rmse[:, n] - rmse[:, n - 1], precision=4)
        print(f"{named(*model):48} {rmse[:, n].mean():.4f}  {gains}")
    print("timesvdpp - als:", np.array2string(rmse[:, 5] - rmse[:, 2], precision=4))
    forward = [f"method := 'time', fraction := {f}" for f in (0.1, 0.2, 0.3, 0.5)]
    for options in (*forward, "method := 'last', n := 5"):
        split = Split.make(con, options)
        print(f"\n{options:48}  all    known users")
        als = split.rmse("als", ())
        for model in MODELS:
            print(f"{named(*model):48} {split.rmse(*model)[0]:.4f}  {split.rmse(*model)[1]:.4f}")
        earlier = split.validated()
        chosen = min(CHOICES, key=lambda parts: earlier.rmse("timesvdpp", parts)[0])
        found = split.rmse("timesvdpp", chosen)
        print(f"chosen by validation: {named('timesvdpp', chosen)}: {found[0]:.4f}  {found[1]:.4f}")
        print(f"  minus als: {found[0] - als[0]:+.4f}  {found[1] - als[1]:+.4f}")


if __name__ == "__main__":
    main()
