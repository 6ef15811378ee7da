"""Statements that end at a random moment: they write nothing, and nothing of them stays."""

from __future__ import annotations

import os
import random
import threading
import time

import duckdb
import pytest

import duckmf
from duckmf.connection.plugin import calls_of
from duckmf.statements import underway
from duckmf.statements.run import Run
from tests.conftest import runs_of
from tests.reliability import RATINGS, amount, lines_of, wait_until

pytestmark = pytest.mark.alone

TIMES = amount(4, 50)  # that each statement is interrupted
PRESSES = amount(6, 200)  # of Ctrl-C

FIT = "from mf_fit(s, u, i, r, n_factors := 16, epochs := 5)"
STATEMENTS = {
    "fit": FIT,
    "fit_best": "from mf_fit_best(s, u, i, r, n_factors := [4, 8], epochs := 3)",
    "tune": "from mf_tune(s, u, i, r, n_factors := [4, 8], epochs := 3)",
    "cross_validate": "from mf_cross_validate(s, u, i, r, folds := 2, epochs := 2)",
    "update": "from mf_update(m, news, u, i, r)",
    "fold_in": "from mf_fold_in(m, news, u, i, r, complete := false)",
    "recommend": "from mf_recommend(m, k := 50)",
}


@pytest.fixture
def trained(con, monkeypatch):
    monkeypatch.setattr(underway, "SECOND", 0.2)
    monkeypatch.setattr(underway, "RESTING", 3)
    con.execute(RATINGS)
    con.execute("create table news as from s where u < 500")
    con.execute(f"create table m as {FIT}")
    return con


def seconds_of(con: duckdb.DuckDBPyConnection, statement: str) -> float:
    """How long it takes once all is compiled."""
    con.execute(f"create or replace table made as {statement}")
    began = time.monotonic()
    con.execute(f"create or replace table made as {statement}")
    con.execute("drop table made")
    return time.monotonic() - began


def none_under_way(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether soon no run is under way; asking for it once, since DuckDB must rest meanwhile."""
    held = calls_of(con).underway
    return wait_until(lambda: not held.things(Run))


def tables(con: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute(
        "select table_name, estimated_size from duckdb_tables() order by all"
    ).fetchall()


@pytest.mark.parametrize("name", STATEMENTS)
def test_an_interrupt_at_a_random_moment_leaves_nothing(trained, name):
    statement = STATEMENTS[name]
    seconds, before = seconds_of(trained, statement), tables(trained)
    moments = random.Random(name)
    interrupted = 0
    for _ in range(TIMES):
        timer = threading.Timer(seconds * moments.random(), trained.interrupt)
        timer.start()
        try:
            trained.execute(f"create table made as {statement}")
            timer.join()
            trained.execute("drop table made")
        except duckdb.InterruptException:
            interrupted += 1
        timer.join()
        assert tables(trained) == before
    assert interrupted or TIMES < 10
    assert none_under_way(trained)
    trained.execute(f"create table made as {statement}")


CTRL_C = f"""
    import os, random, signal, sys, threading, time
    import duckdb, duckmf
    from duckmf.connection.plugin import calls_of
    from duckmf.statements import underway

    underway.SECOND, underway.RESTING = 0.2, 3
    con = duckmf.connect(config={{"threads": 2}})
    con.execute("set enable_progress_bar = false")
    con.execute("{RATINGS}")
    for _ in range(2):
        began = time.monotonic()
        con.execute("create or replace table m as {FIT}")
        seconds = time.monotonic() - began
    moments = random.Random(13)

    def press(moment):
        time.sleep(moment)
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(int(sys.argv[1])):
        pressing = threading.Thread(target=press, args=[seconds * moments.random()])
        try:
            pressing.start()
            try:
                con.execute("create table made as {FIT}")
                con.execute("drop table made")
            except (RuntimeError, duckdb.Error):
                pass
            pressing.join()
            time.sleep(0.05)  # Python's own handler may be next
        except KeyboardInterrupt:
            pressing.join()
        con.execute("drop table if exists made")

    held, end = calls_of(con).underway, time.monotonic() + 10
    while len(held) and time.monotonic() < end:
        time.sleep(0.05)
    con.execute("create table made as {FIT}")
    print(len(held), "under way,", len(con.execute("from duckdb_tables()").fetchall()), "tables")
"""


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_at_a_random_moment_leaves_nothing():
    assert lines_of(CTRL_C, PRESSES, seconds=600) == ["0 under way, 3 tables"]


def test_a_statement_without_memory_leaves_nothing(trained):
    trained.execute("set temp_directory = ''")
    failed = 0
    for megabytes in range(20, 130, amount(30, 2)):
        trained.execute(f"set memory_limit = '{megabytes}MB'")
        try:
            trained.execute(f"create table made as {FIT.replace('16', '128')}")
            trained.execute("drop table made")
        except duckdb.OutOfMemoryException:
            failed += 1
    trained.execute("reset memory_limit")
    assert failed
    assert none_under_way(trained)
    trained.execute(f"create table made as {FIT}")


def test_a_connection_that_is_closed_leaves_nothing(trained, monkeypatch):
    """Lists that were not fetched to their end, of a connection that is closed or dropped."""
    cursors = [trained.cursor() for _ in range(3)]
    for cursor in cursors:
        duckmf.load(cursor)
        cursor.execute("from mf_recommend(m)").fetchone()
    held = calls_of(trained).underway
    assert len(held) == 3
    assert len({id(thing) for thing in held.things(object)}) == 1, "the same items, laid out once"
    cursors[0].close()
    assert wait_until(lambda: len(held) == 2)
    del cursor, cursors[1:]
    assert wait_until(lambda: len(held) == 0)


def test_what_a_connection_left_behind_goes_with_its_next_statement(trained, monkeypatch):
    monkeypatch.setattr(underway, "SECOND", 60.0)
    seconds, left = seconds_of(trained, FIT), 0
    for _ in range(20):
        timer = threading.Timer(seconds * 0.7, trained.interrupt)
        timer.start()
        try:
            trained.execute(f"create or replace table made as {FIT}")
        except duckdb.InterruptException:
            left += len(runs_of(trained))
        timer.join()
        trained.execute("from mf_recommend(m)").fetchall()
        assert len(runs_of(trained)) == 0
        if left:
            break
    assert left, "an interrupt between two calls cannot be seen, so that the run stays for a while"
