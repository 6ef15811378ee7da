"""The statements that tune: `mf_tune`, and `mf_fit_best`, which then trains with the winner."""

from __future__ import annotations

import time
from typing import Any

from duckmf.algorithms.training import Epoch
from duckmf.ratings.matrix import Triples
from duckmf.statements.fit import Fitting
from duckmf.statements.progress import Progress
from duckmf.statements.requests import TuningRequest
from duckmf.statements.run import Outcome, Run
from duckmf.tuning.study import Study
from duckmf.tuning.trial import Trial, row


class Trials:
    """The trials of a run, an epoch at a time, and the bar that shows how far they are."""

    def __init__(self, request: TuningRequest) -> None:
        """Check what was asked for.

        Raises:
            OptionError: something of it cannot be used.
        """
        recipe = request.algorithm, request.options
        self.study = Study(request.wanted, *recipe, request.counts, request.fused)
        names = ", ".join(recipe.name for recipe in self.study.examples)
        self.progress = Progress(names, request.progress, request.function)
        self.started = False
        self.more = True  # steps, once it has started
        self._done = 0

    @property
    def threads(self) -> int | None:
        """The threads that all trials share; None for DuckDB's own."""
        return self.study.examples[0].options.threads

    def start(self, rows: Triples, shape: tuple[int, int], run: Run) -> None:
        """Lay out the first trial."""
        self._steps = self.study.steps(rows, shape, run.workers)
        self.started = True

    def step(self) -> None:
        """One more epoch of a trial; the step after the last one tells that there is none."""
        trial = next(self._steps, None)
        self.more = trial is not None
        if trial is not None:
            self._done += 1
            self._show(trial)

    def _show(self, trial: Trial) -> None:
        study = self.study
        notes = {"trial": f"{trial.number}/{study.n_trials}"}
        best = study.ranked()[0].value
        if best is not None:
            notes[study.objective.name] = f"{best:.4f}"
        self.progress.move(self._done, self._done + study.left, notes)

    def rows(self, run: Run) -> list[dict[str, Any]]:
        """All trials as `mf_tune` returns them, the best first."""
        ranked, objective = self.study.ranked(), self.study.objective.name
        rows = [row(trial, rank, objective, run.threads) for rank, trial in enumerate(ranked, 1)]
        return [
            one if one["error"] is None else one | {"error": f"{run.function}: {one['error']}"}
            for one in rows
        ]


class Tune(Run):
    """Runs all trials and tells what came of them."""

    def __init__(self, request: TuningRequest) -> None:
        """Check what was asked for.

        Raises:
            DuckMFError: an option or a count of the source is not as it should be.
        """
        self._trials = Trials(request)
        super().__init__(request, self._trials.threads)
        self._trials.study.check(request.counts)

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        return self._trials.started and self._trials.more

    def start(self, n_rows: int, n_users: int, n_items: int) -> None:
        """Take all rows.

        Raises:
            DataError: the rows cannot be trained on.
        """
        self._trials.start(self.gathering.complete(n_rows, n_items), (n_users, n_items), self)

    def epoch(self) -> None:
        """One more epoch of a trial."""
        self._trials.step()

    def finish(self) -> Outcome:
        """All trials."""
        self._trials.progress.close()
        return Outcome({"trials": self._trials.rows(self)})

    def close(self) -> None:
        """Take the progress bar away."""
        self._trials.progress.close()


class FitBest(Fitting):
    """Runs all trials, then trains on all rows with the options of the best, as long as it did."""

    def __init__(self, request: TuningRequest) -> None:
        """Check what was asked for.

        Raises:
            DuckMFError: an option or a count of the source is not as it should be.
        """
        self._trials = Trials(request)
        self._wanted = request.progress
        super().__init__(request, self._trials.threads, self._trials.progress)
        self._trials.study.check(request.counts)

    @property
    def between_epochs(self) -> bool:
        """Whether the next call can only be the next epoch."""
        if self.training is None:
            return self._trials.started
        return self.training.more

    def start(self, n_rows: int, n_users: int, n_items: int) -> None:
        """Take all rows.

        Raises:
            DataError: the rows cannot be trained on.
        """
        self._rows = self.gathering.complete(n_rows, n_items)
        self._shape = n_users, n_items
        self._trials.start(self._rows, self._shape, self)
        self._read_seconds = time.perf_counter() - self.began

    def epoch(self) -> Epoch | None:
        """One more epoch of a trial, or of the model."""
        if self.training is not None:
            return super().epoch()
        self._trials.step()
        if not self._trials.more:
            self._train_the_best()
        return None

    def _train_the_best(self) -> None:
        study = self._trials.study
        best = study.best
        self._tuned = {
            "objective": study.objective.name,
            "value": best.value,
            "trials": self._trials.rows(self),
            "seconds": sum(trial.seconds for trial in study.trials),
        }
        self._progress.close()
        self._progress = Progress(best.recipe.name, self._wanted, self.function)
        self._train(best.recipe, (self._rows, None), self._shape, best.best_epoch)
        del self._rows, self._trials  # the matrices of the trials

    def _info(self) -> dict[str, Any]:
        return super()._info() | {"tuning": self._tuned}
