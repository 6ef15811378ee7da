"""A recipe: an algorithm and its options, and the training that they make of ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from duckmf import algorithms
from duckmf.algorithms import Algorithm
from duckmf.checks import check_feedback, check_request
from duckmf.gathering import Gathering, Parts
from duckmf.options import Options
from duckmf.threads import Workers
from duckmf.training import Training


@dataclass(frozen=True)
class Recipe:
    """What to train, whatever the ratings."""

    name: str
    algorithm: type[Algorithm]
    options: Options

    @classmethod
    def parse(cls, name: str | None, given: dict[str, Any], counts: dict[str, Any]) -> Recipe:
        """Read what a user gave; the source's counts tell which algorithm is the default.

        Raises:
            OptionError: something of it cannot be used.
        """
        name = name or ("als" if counts["has_rating"] else "implicit_als")
        algorithm = algorithms.find(name)
        options = algorithm.Options.parse(given, name)
        check_request(options, name, counts["has_validation"], counts["has_ts"])
        return cls(name, algorithm, options)

    def check(self, gathering: Gathering) -> None:
        """Refuse ratings that the algorithm cannot learn from.

        Raises:
            DataError: it cannot.
        """
        feedback = self.algorithm.feedback
        check_feedback(gathering.counts, self.name, feedback, gathering.has_rating)

    def predicts_ratings(self, has_rating: bool) -> bool:
        """Whether the model predicts ratings, and the source has some to compare them with."""
        return self.algorithm.feedback == "explicit" and has_rating

    def training(self, parts: Parts, workers: Workers, exactly: int | None = None) -> Training:
        """A training before its first epoch; of `exactly` so many, or as its options say."""
        algorithm = algorithms.make(self.algorithm, parts.ratings, self.options, workers)
        return Training(algorithm, parts.held_out, workers, exactly)
