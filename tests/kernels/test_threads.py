"""The threads of a process, which all statements share."""

from __future__ import annotations

import os
import threading

import pytest

from duckmf.kernels.threads import Workers


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_results_come_in_the_order_of_the_pieces(threads):
    pieces = [(n, n % 3) for n in range(1000)]
    assert Workers(threads).map(pow, pieces) == [n ** (n % 3) for n in range(1000)]
    assert Workers(threads).map(pow, []) == []


def test_a_piece_may_have_pieces_itself():
    """More of them at once than there are threads: nobody waits for a thread to be free."""

    def inner(depth: int) -> int:
        if not depth:
            return 1
        return sum(Workers(4).map(inner, [(depth - 1,)] * 4))

    assert inner(5) == 4**5


def test_there_are_no_more_helpers_than_processors():
    here = threading.Barrier(9)

    def call() -> None:
        here.wait()
        Workers(50).map(pow, [(n, 2) for n in range(5000)])

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    here.wait()
    for caller in callers:
        caller.join()
    names = [thread.name for thread in threading.enumerate()]
    assert sum(name.startswith("duckmf_") for name in names) <= (os.cpu_count() or 1)


@pytest.mark.parametrize("threads", [1, 3])
def test_after_an_error_nobody_takes_another_piece(threads):
    taken = []

    def fail(n: int) -> None:
        taken.append(n)
        raise ValueError(n)

    with pytest.raises(ValueError, match=r"\d"):
        Workers(threads).map(fail, [(n,) for n in range(100)])
    assert len(taken) <= threads
