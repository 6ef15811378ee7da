"""Forked and spawned processes train like their parent; none of them waits for ever."""

from __future__ import annotations

import os

import pytest

from tests.reliability import RATINGS, amount, lines_of

# The parent has trained, and so has helper threads and compiled kernels; each child trains on a
# connection of its own, and on the one it has inherited.
FORK = f"""
    import os, signal, sys, threading, time
    import duckmf

    TRAIN = "create or replace table m as from mf_fit(s, u, i, r, n_factors := 16, epochs := 5)"
    MODEL = "select md5(string_agg(factors::varchar, '' order by kind, code)) from m"

    def connect():
        con = duckmf.connect(config={{"threads": 2}})
        con.execute("set enable_progress_bar = false")
        con.execute("{RATINGS}")
        return con

    def train(con):
        con.execute(TRAIN)
        assert len(con.execute("from mf_recommend(m, k := 2)").fetchall()) == 4000
        return con.execute(MODEL).fetchall()

    def child(connection):
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)  # a child that waits for ever is killed
            os._exit(0 if train(connection()) == expected else 1)
        print(os.waitpid(pid, 0)[1])

    con = connect()
    expected = train(con)
    if sys.argv[1] == "after":
        child(connect)
        child(lambda: con)
    else:
        going = threading.Event()
        going.set()

        def keep_training():
            other = connect()
            while going.is_set():
                train(other)

        thread = threading.Thread(target=keep_training)
        thread.start()
        for number in range(int(sys.argv[2])):
            time.sleep(0.037 * (number % 7))
            child(connect)
        going.clear()
        thread.join()
    assert train(con) == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_after_a_training_trains_alike():
    assert lines_of(FORK, "after") == ["0", "0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_during_a_training_trains_alike():
    forks = amount(2, 40)
    assert lines_of(FORK, "during", forks, seconds=600) == ["0"] * forks


SPAWN = """
    import multiprocessing
    from tests.reliability.spawned import model

    if __name__ == "__main__":
        expected = model()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(model) == expected)
"""


def test_a_spawned_process_trains_alike():
    assert lines_of(SPAWN) == ["True"]
