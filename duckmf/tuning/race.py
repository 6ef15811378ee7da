"""When a trial is hopeless: trials are compared where they have come equally far.

A loss that falls steadily falls the more slowly, the lower it is. If a trial, going on until its
last epoch as fast as it did of late, would not come to where the best trial is already, it will
hardly come first. This is asked at every tenth of the epochs, from the second one on: at first the
losses of some models stand still for an epoch or two.

An objective that the training does not bring down itself may become worse and better again, as
lists do that begin with what is popular. Once a trial has shown that, how fast it moves tells
nothing: from then on a tenth of the trials, the worst, leaves at each tenth after the second one.

Sources: Domhan, Springenberg and Hutter 2015, "Speeding up automatic hyperparameter optimization of
deep neural networks by extrapolation of learning curves", with a straight line in place of their
curves; for the rest Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and
hyperparameter optimization", where the worst ones leave as the others go on.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

TENTHS = 10
FIRST = 2  # the tenth from which trials are stopped
SPAN = 2  # the tenths over which a trial's pace is taken


@dataclass
class Course:
    """What a trial has shown on its way."""

    kind: Hashable  # only trials of one kind are compared
    epochs: int  # the most that it may take
    marks: list[tuple[int, float]] = field(default_factory=list)  # epochs and loss, at each tenth

    def goal(self, tenth: int) -> int:
        """The epochs that make so many tenths."""
        return -(-self.epochs * tenth // TENTHS)

    @property
    def loss(self) -> float:
        """Where it is."""
        return self.marks[-1][1]

    @property
    def worse(self) -> bool:
        """Whether it is worse than a tenth before."""
        return len(self.marks) > 1 and self.loss > self.marks[-2][1]

    @property
    def prospect(self) -> float:
        """Where it would end at the pace of its last tenths; anywhere, if it has just begun."""
        done, loss = self.marks[-1]
        before, loss_before = self.marks[max(0, len(self.marks) - 1 - SPAN)]
        if before == done:
            return -math.inf
        return loss - (loss_before - loss) / (done - before) * (self.epochs - done)


class Race:
    """The trials of one study, as far as they have come."""

    def __init__(self) -> None:
        self._entered: Counter[Hashable] = Counter()
        self._losses: dict[tuple[Hashable, int], list[float]] = defaultdict(list)
        self._unsteady: set[Hashable] = set()

    def enter(self, courses: Iterable[Course]) -> None:
        """Some trials begin."""
        self._entered.update(course.kind for course in courses)

    def pass_by(self, courses: Iterable[Course], tenth: int) -> None:
        """Some trials have come so far, or ended before."""
        for course in courses:
            self._losses[course.kind, tenth].append(course.loss)
            if course.worse:
                self._unsteady.add(course.kind)

    def is_hopeless(self, course: Course, tenth: int) -> bool:
        """Whether a trial that has come so far should end."""
        if tenth < FIRST:
            return False
        losses = sorted(self._losses[course.kind, tenth])
        if course.kind not in self._unsteady:
            return course.prospect > losses[0]
        stay = -(-self._entered[course.kind] * (TENTHS - (tenth - FIRST)) // TENTHS)
        return course.loss > losses[min(stay, len(losses)) - 1]
