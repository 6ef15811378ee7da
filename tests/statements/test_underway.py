"""How long what a statement has laid out may stay without being called."""

from __future__ import annotations

import signal
import threading

import pytest

from duckmf.errors import TrainingError
from duckmf.statements import interrupts, underway
from duckmf.statements.run import Run
from duckmf.statements.underway import Entry, Origin, Underway

ORIGIN = Origin("mf_fit", (1, 1))


class Resting(Run):
    """A run that does nothing, between two epochs or not."""

    def __init__(self, between_epochs: bool = False) -> None:
        self._between_epochs, self.closed = between_epochs, 0

    @property
    def between_epochs(self) -> bool:
        return self._between_epochs

    def close(self) -> None:
        self.closed += 1


def looked_at(thing: object, looks: str, is_open: bool = True) -> bool:
    """Whether a thing is over after looks at it: q for one in which the process rested, or b."""
    entry = Entry(ORIGIN, thing, lambda: is_open)
    for look in looks:
        entry.look(quiet=look == "q")
    return entry.is_over


def test_a_run_is_over_when_the_process_has_rested():
    rest = "q" * underway.RESTING
    assert looked_at(Resting(), rest)
    assert not looked_at(Resting(), rest[1:])
    assert not looked_at(Resting(), rest[1:] + "b" + rest[1:]), "DuckDB worked in between"


def test_between_two_epochs_duckdb_has_nothing_to_do():
    busy = "b" * underway.RESTING
    assert looked_at(Resting(between_epochs=True), busy)
    assert not looked_at(Resting(between_epochs=True), busy[1:])
    assert not looked_at(Resting(), busy * 10)


def test_lists_wait_for_the_client_that_fetches_them():
    assert not looked_at(object(), "q" * (underway.FETCHING - 1))
    assert looked_at(object(), "q" * underway.FETCHING)


@pytest.mark.parametrize("thing", [object(), Resting()])
def test_nothing_rests_for_ever_however_busy_the_process_is(thing):
    assert not looked_at(thing, "b" * (underway.IDLE - 1))
    assert looked_at(thing, "b" * underway.IDLE)


def test_nothing_stays_of_a_closed_connection():
    assert looked_at(object(), "", is_open=False)


def test_a_thing_that_is_used_is_never_over():
    entry = Entry(ORIGIN, Resting(between_epochs=True), lambda: False, calls=1)
    entry.look(quiet=True)
    assert not entry.is_over
    entry.calls = 0
    assert entry.is_over


def test_a_statement_takes_the_place_of_the_earlier_ones_of_its_connection():
    held = Underway(lambda connection: lambda: True)
    earlier, other, first, second = Resting(), Resting(), Resting(), object()
    held.add(earlier, ORIGIN)
    held.add(other, Origin("mf_fit", (2, 1)))
    held.add(first, Origin("mf_fit", (1, 2)))
    held.add(second, Origin("mf_recommend", (1, 2)))
    assert held.things(object) == [other, first, second]
    assert (earlier.closed, other.closed, first.closed) == (1, 0, 0)


def test_a_call_that_fails_forgets_its_thing():
    held = Underway(lambda connection: lambda: True)
    number = held.add(Resting(), ORIGIN)
    with pytest.raises(RuntimeError), held.use(number, Resting):
        raise RuntimeError
    assert len(held) == 0
    with pytest.raises(TrainingError, match="given up"), held.use(number, Resting):
        pass


def test_several_threads_notice_the_same_signal():
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        interrupts.listen()
        presses, noticed = interrupts.presses(), []
        waiting = [
            threading.Thread(target=lambda: noticed.append(interrupts.wait(0.5, presses)))
            for _ in range(3)
        ]
        for thread in waiting:
            thread.start()
        signal.raise_signal(signal.SIGINT)
        for thread in waiting:
            thread.join()
        assert noticed == [True] * 3
    finally:
        signal.signal(signal.SIGINT, before)
