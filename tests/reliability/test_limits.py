"""Memory, temporary space and disk that run out: an error, and everything is as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import duckdb
import pytest

import duckmf
from tests.conftest import runs_of
from tests.reliability import RATINGS

pytestmark = [pytest.mark.alone, pytest.mark.newest]

STATEMENTS = (
    "create or replace table m as from mf_fit(s, u, i, r, n_factors := 128, epochs := 2)",
    "create or replace table m as from mf_update(m, s, u, i, r)",
    "create table made as from mf_recommend(m, k := 900)",
)


def state(con: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute(
        "select kind, count(*), sum(list_sum(factors)) from m group by kind order by kind"
    ).fetchall()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_full_temporary_folder_leaves_the_model(con, tmp_path, statement):
    con.execute(RATINGS)
    con.execute("create table m as from mf_fit(s, u, i, r, n_factors := 128, epochs := 2)")
    before = state(con)
    con.execute(f"set temp_directory = '{tmp_path}'")
    con.execute("set max_temp_directory_size = '1MB'")
    failed = 0
    for megabytes in (20, 30, 40, 60):
        con.execute(f"set memory_limit = '{megabytes}MB'")
        try:
            con.execute(statement)
        except duckdb.OutOfMemoryException:
            failed += 1
            con.execute("reset memory_limit")
            assert state(con) == before
        con.execute("drop table if exists made")
        con.execute("reset memory_limit")
    assert failed
    con.execute(statement)
    assert len(runs_of(con)) == 0


CHILD = """
    import resource, signal, sys
    import duckdb, duckmf

    path, statement, room = sys.argv[1:]
    con = duckmf.connect(path, config={"threads": 2})
    con.execute("set enable_progress_bar = false; set checkpoint_threshold = '1TB'")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), int(room)))
    try:
        con.execute(statement)
        con.execute("checkpoint")
        print("written")
    except duckdb.Error:
        print("failed")
"""


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize("statement", STATEMENTS[:2])
def test_a_full_disk_leaves_a_whole_model(tmp_path, statement):
    """A file that may not grow stands for a disk that is full."""
    path = tmp_path / "m.duckdb"
    with duckmf.connect(path) as con:
        con.execute(RATINGS)
        con.execute("create table m as from mf_fit(s, u, i, r, n_factors := 64, epochs := 2)")
    size, said = path.stat().st_size, []
    for more in (0, 200_000, 1_000_000, 100_000_000):
        command = [
            sys.executable,
            "-c",
            textwrap.dedent(CHILD),
            str(path),
            statement,
            str(size + more),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode >= 0, done.stderr
        said += done.stdout.splitlines()
        with duckmf.connect(path) as con:
            assert con.execute("from mf_check(m)").fetchall() == []
            assert con.execute("select count(*) from m where kind = 'user'").fetchone() == (2000,)
    assert said[0] == "failed"
    assert said[-1] == "written"
