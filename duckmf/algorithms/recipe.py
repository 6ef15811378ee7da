"""A recipe: an algorithm and its options, and the training that they make of ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from duckmf import algorithms
from duckmf.algorithms import Algorithm
from duckmf.algorithms.training import Training
from duckmf.errors import DataError, OptionError
from duckmf.kernels.threads import Workers
from duckmf.options import Options
from duckmf.ratings.gathering import Counts, Parts

# Ratings are learnt in float32, of 24 bits. The largest may be so many standard deviations from 0
# that 10 of them are left for the differences; squares of so small a deviation are not 0.
FARTHEST = 2**14
SMALLEST = 1e-15


@dataclass(frozen=True)
class Recipe:
    """What to train, whatever the ratings."""

    name: str
    algorithm: type[Algorithm]
    options: Options

    @classmethod
    def parse(cls, name: str | None, given: dict[str, Any], counts: Counts) -> Recipe:
        """Read what a user gave; the source's counts tell which algorithm is the default.

        Raises:
            OptionError: something of it cannot be used.
        """
        name = name or ("als" if counts.predicts else "implicit_als")
        algorithm = algorithms.find(name)
        options = algorithm.Options.parse(given, name)
        check_request(options, name, counts.has_validation, counts.has_ts)
        return cls(name, algorithm, options)

    def check(self, counts: Counts) -> None:
        """Refuse ratings that the algorithm cannot learn from.

        Raises:
            DataError: it cannot.
        """
        check_feedback(counts, self.name, self.algorithm.feedback)
        if self.predicts_ratings(counts.predicts) and self.name != "popularity":
            _check_differences(counts)

    def predicts_ratings(self, has_rating: bool) -> bool:
        """Whether the model predicts ratings, and the source has some to compare them with."""
        return self.algorithm.feedback == "explicit" and has_rating

    def training(self, parts: Parts, workers: Workers, exactly: int | None = None) -> Training:
        """A training before its first epoch; of `exactly` so many, or as its options say."""
        algorithm = algorithms.make(self.algorithm, parts.ratings, self.options, workers)
        return Training(algorithm, parts.held_out, workers, exactly)


def check_request(options: Options, name: str, has_validation: bool, has_times: bool) -> None:
    """Refuse options that contradict each other.

    Raises:
        OptionError: two ways of validation, or something that needs times without them.
    """
    if has_validation and options.validation_fraction is not None:
        raise OptionError("validation and validation_fraction are both given; choose one of them.")
    if options.duplicates == "last" and not has_times:
        raise OptionError("duplicates is 'last' but ts is not given; add ts := ....")
    if name == "timesvdpp" and not has_times:
        raise OptionError(
            "algorithm 'timesvdpp' learns from times and ts is not given; add ts := ..., "
            "or choose algorithm := 'svdpp'."
        )
    if (parts := getattr(options, "temporal", ())) and not has_times:
        raise OptionError(
            f"temporal is {list(parts)} but ts is not given; add ts := ..., or leave temporal out."
        )


def check_feedback(counts: Counts, name: str, feedback: str) -> None:
    """Refuse ratings that the algorithm cannot learn from.

    Raises:
        DataError: no ratings for one that predicts them, a negative strength for one that ranks.
    """
    if feedback == "explicit" and not counts.has_rating and name != "popularity":
        raise DataError(
            f"algorithm '{name}' learns from ratings and none are given; "
            "add rating, or choose algorithm := 'popularity'."
        )
    if feedback == "explicit" and counts.has_rating:
        _check_spread(counts.largest_rating or 0.0, counts.ratings_std or 0.0)
    if feedback == "explicit" and counts.has_strength:
        raise DataError(
            f"algorithm '{name}' learns from ratings, and strength is given; choose algorithm := "
            "'implicit_als' or 'bpr', or pass rating if the values are ratings."
        )
    if feedback == "implicit" and counts.negative_ratings:
        raise DataError(
            f"{counts.value} is negative in {counts.negative_ratings:,} of "
            f"{counts.n_rows:,} rows; algorithm '{name}' takes strengths of at least 0."
        )
    if feedback == "implicit" and counts.has_rating and counts.largest_rating == 0:
        raise DataError(
            f"{counts.value} is 0 in all {counts.n_rows:,} rows: nothing was chosen. Leave "
            f"{counts.value} out if each row is a choice."
        )


def _check_differences(counts: Counts) -> None:
    """Refuse ratings that are all the same.

    Raises:
        DataError: they are.
    """
    if counts.n_rows > 1 and counts.ratings_std == 0:
        rating = (counts.largest_rating or 0.0) * (-1 if counts.negative_ratings else 1)
        raise DataError(
            f"rating is {rating:.10g} in all {counts.n_rows:,} rows, so that there is nothing to "
            "predict. Leave rating out: each row is then a choice, and users get lists."
        )


def _check_spread(largest: float, std: float) -> None:
    """Refuse ratings whose differences are lost in float32, in which they are learnt.

    Raises:
        DataError: they lie too far from 0 for their spread, or all too near to it.
    """
    if 0 < std < largest / FARTHEST:
        raise DataError(
            f"rating goes up to {largest:.10g}, but its standard deviation is {std:.4g}: "
            "differences so small beside the numbers themselves are lost. Subtract a constant from "
            f"rating, such as {largest:.10g}, and add it to predictions."
        )
    if 0 < std < SMALLEST:
        raise DataError(
            f"the standard deviation of rating is {std:.4g}: differences so small are lost. "
            "Multiply rating by a constant."
        )
