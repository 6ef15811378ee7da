"""An error at any stage of a statement: nothing is written, nothing stays, and the next one works."""

from __future__ import annotations

import duckdb
import pytest

from duckmf.connection.calls import Calls
from tests.conftest import runs_of
from tests.reliability import RATINGS

pytestmark = [pytest.mark.alone, pytest.mark.newest]

FIT = "mf_fit(s, u, i, r, n_factors := 4, epochs := 3)"
STATEMENTS = {
    FIT: ("begin", "gather", "start", "epoch", "user_rows", "item_rows", "finish"),
    "mf_fit(s, u, i, r, warm_start := m)": ("begin", "gather", "stored", "start", "finish"),
    "mf_update(m, news, u, i, r)": ("begin", "gather", "stored", "start", "epoch", "finish"),
    "mf_tune(s, u, i, r, n_factors := [2, 3])": ("begin", "gather", "start", "epoch", "finish"),
    "mf_fit_best(s, u, i, r, n_factors := [2, 3])": ("begin", "epoch", "user_rows", "finish"),
    "mf_cross_validate(s, u, i, r, folds := 2)": ("begin", "gather", "start", "epoch", "finish"),
    "mf_fold_in(m, news, u, i, r)": ("fixed", "solve"),
    "mf_fold_in_items(m, news, u, i, r)": ("fixed", "solve"),
    "mf_project_items(m, content, i, v)": ("project_numbers",),
    "mf_recommend(m)": ("lay_out", "top"),
    "mf_similar_items(m)": ("lay_out", "top"),
}
CASES = [(statement, stage) for statement, stages in STATEMENTS.items() for stage in stages]
ERRORS = {"memory": MemoryError, "defect": RuntimeError, "interrupt": KeyboardInterrupt}


@pytest.fixture
def trained(con):
    con.execute(RATINGS)
    con.execute(f"create table m as from {FIT}")
    con.execute("create table news as from s where u < 100")
    con.execute("create table content as select i, [i % 2, i % 3] as v from range(1200) a(i)")
    return con


def test_faults_at_every_stage(trained, monkeypatch):
    for statement, stage in CASES:
        for when in ("before", "after"):
            for error in ERRORS.values():
                fail(trained, monkeypatch, statement, stage, when, error)


def fail(con, monkeypatch, statement, stage, when, error):
    before = state(con)
    proper = getattr(Calls, stage)

    def call(self, *columns):
        if when == "after":
            proper(self, *columns)
        raise error("planted")

    with monkeypatch.context() as patch:
        patch.setattr(Calls, stage, call)
        with pytest.raises((duckdb.Error, KeyboardInterrupt, RuntimeError)):
            con.execute(f"create table made as from {statement}")
    assert state(con) == before, (statement, stage, when, error)
    con.execute(f"create table made as from {statement}")
    con.execute("drop table made")
    assert len(runs_of(con)) == 0, (statement, stage, when, error)


def state(con):
    return con.execute(
        "select table_name, estimated_size from duckdb_tables() order by all"
    ).fetchall()
