"""A process that is killed in the middle of a statement: the file opens, and the model in it is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import duckmf
from tests.reliability import RATINGS, amount

pytestmark = [
    pytest.mark.newest,
    pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal"),
]

KILLS = amount(4, 40)  # of each statement

NEWS = "create or replace table news as select u + 1990 as u, i, r from s where u < 50"
MERGE = (
    "merge into m using (from mf_fold_in(m, news, u, i, r)) as made "
    "on m.kind = 'user' and m.user_id = made.user_id "
    "when matched then update when not matched then insert"
)
# Each may be run again and again; what is made by Python is said so.
STATEMENTS = {
    "fit": "con.execute('create or replace table m as from mf_fit(s, u, i, r, n_factors := 16, epochs := 5)')",
    "update": "con.execute('create or replace table m as from mf_update(m, news, u, i, r)')",
    "merged fold-in": f'con.execute("{MERGE}")',
    "inserted fold-in": """con.execute("begin; delete from m where kind = 'user' and user_id >= 1990; """
    """insert into m from mf_fold_in(m, news, u, i, r); commit")""",
    "publish": "duckmf.publish(con, 'm')",
}

CHILD = """
    import sys, duckmf

    con = duckmf.connect(sys.argv[1], config={"threads": 2})
    con.execute("set enable_progress_bar = false")
    print("begun", flush=True)
    while True:
        exec(sys.argv[2])
        print("done", flush=True)
"""


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_killed_process_leaves_a_whole_model(tmp_path, name):
    path = tmp_path / "m.duckdb"
    with duckmf.connect(path, config={"threads": 2}) as con:
        con.execute(RATINGS)
        con.execute(NEWS)
        con.execute("create table m as from mf_fit(s, u, i, r, n_factors := 16, epochs := 2)")
    moments = random.Random(name)
    for _ in range(KILLS):
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(path), STATEMENTS[name]]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            if moments.random() < 0.5:  # else in the first one, which loads the kernels
                assert child.stdout.readline() == "done\n"
            time.sleep(0.3 * moments.random())
            child.kill()
            assert child.wait() == -signal.SIGKILL
        check_whole(path, name)


def check_whole(path: object, name: str) -> None:
    with duckmf.connect(path, config={"threads": 2}) as con:
        assert con.execute("from mf_check(m)").fetchall() == []
        assert len(con.execute("from mf_recommend(m, 3, k := 10)").fetchall()) == 10
        assert con.execute("select count(*) from m where kind = 'model'").fetchone() == (1,)
        published = con.execute(
            "select count(*) from information_schema.tables where contains(table_name, 'm_')"
        ).fetchone()
        assert published in ([(0,), (7,)] if name == "publish" else [(0,)])
        if published == (7,):
            for table in ("recommendations", "similar_items", "predictions", "model", "training"):
                assert con.execute(f"from m_{table} limit 1").fetchone() is not None
