"""A failed, interrupted or concurrent training leaves nothing behind but what was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

import duckdb
import pytest

import duckmf
from duckmf.connection.plugin import calls_of
from duckmf.statements import underway
from tests.clients import hearing_ctrl_c
from tests.conftest import MOVIELENS, model_of, runs_of
from tests.reliability import wait_until

pytestmark = pytest.mark.alone

LONG = "create table m as from mf_fit(ratings, user_id, movie_id, rating, n_factors := 64, epochs := 10000)"


def assert_nothing_left(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute(
        "select count(*) from duckdb_tables() where table_name = 'm'"
    ).fetchone() == (0,)
    con.execute("create table m as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)")


def test_a_failing_epoch_leaves_nothing(movielens, monkeypatch):
    from duckmf.algorithms import bias

    def fail(self, number):
        raise RuntimeError("boom")

    monkeypatch.setattr(bias.Bias, "epoch", fail)
    with pytest.raises(duckdb.Error, match="boom"):
        movielens.execute(
            "create table m as from mf_fit(ratings, user_id, movie_id, rating, algorithm := 'bias')"
        )
    assert len(runs_of(movielens)) == 0
    assert_nothing_left(movielens)


def test_an_interrupt_ends_the_statement_within_an_epoch(movielens):
    movielens.execute(
        "create table warm as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)"
    )
    timer = threading.Timer(0.5, movielens.interrupt)
    timer.start()
    began = time.monotonic()
    with pytest.raises(duckdb.InterruptException):
        movielens.execute(LONG)
    assert time.monotonic() - began < 5
    assert_nothing_left(movielens)
    assert len(runs_of(movielens)) == 0, "the next training of the connection forgets the old one"


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_ctrl_c_ends_the_statement_and_the_run(threads):
    script = f"""
        import time, threading, os, signal, duckdb, duckmf
        con = duckmf.connect(config={{"threads": {threads}}})
        con.execute("set enable_progress_bar = false")
        con.execute("create table ratings as from '{MOVIELENS / "ratings"}.parquet'")
        con.execute("create table warm as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)")
        def press():
            global pressed
            time.sleep(1)
            pressed = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=press).start()
        try:
            try:
                con.execute("{LONG}")
                print("finished")
            except (RuntimeError, duckdb.Error):
                time.sleep(0.1)  # if a thread of DuckDB's saw it first, Python's own handler is next
        except KeyboardInterrupt:
            pass
        assert time.monotonic() - pressed < 5
        from duckmf.connection.plugin import calls_of
        underway, end = calls_of(con).underway, time.monotonic() + 15
        while len(underway) and time.monotonic() < end:
            time.sleep(0.1)
        print(len(underway), "runs,", len(con.execute("from duckdb_tables()").fetchall()), "tables")
    """
    with hearing_ctrl_c():
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.stdout, done.stderr, done.returncode) == ("0 runs, 2 tables\n", "", 0)


def test_two_connections_train_at_once(tmp_path):
    con = duckmf.connect(tmp_path / "r.duckdb")
    con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    cursors = [con.cursor() for _ in range(3)]
    fit = "mf_fit(ratings, user_id, movie_id, rating, n_factors := 8, epochs := 3, seed := {})"
    models: dict[int, list[tuple[object, ...]]] = {}

    def train(number: int) -> None:
        duckmf.load(cursors[number])
        cursors[number].execute(f"create table m{number} as from {fit.format(number)}")
        models[number] = model_of(cursors[number], f"m{number}")

    threads = [threading.Thread(target=train, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        assert models[number] == model_of(con, fit.format(number))
    con.close()


def test_the_first_two_trainings_of_a_process_start_at_once():
    script = f"""
        import threading, duckmf
        con = duckmf.connect()
        con.execute("create table ratings as from '{MOVIELENS / "ratings.parquet"}'")
        start = threading.Barrier(2)
        def train(cursor, name):
            duckmf.load(cursor)
            start.wait()
            cursor.execute(f"create table {{name}} as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)")
        threads = [threading.Thread(target=train, args=(con.cursor(), name)) for name in "ab"]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(con.execute("select (select count(*) from a), (select count(*) from b)").fetchall())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[(10336, 10336)]\n", "")


def test_a_run_whose_statement_is_gone_is_given_up(movielens, monkeypatch):
    monkeypatch.setattr(underway, "SECOND", 0.02)
    threading.Timer(0.5, movielens.interrupt).start()
    with pytest.raises(duckdb.InterruptException):
        movielens.execute(LONG)
    held = calls_of(movielens).underway
    assert wait_until(lambda: len(held) == 0)
