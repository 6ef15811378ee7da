"""load, connect, install and the command line, on every kind of database."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.connection import sqlfiles
from tests.conftest import MOVIELENS


def macros(con: duckdb.DuckDBPyConnection, temporary: bool) -> set[str]:
    rows = con.execute(
        "select distinct function_name from duckdb_functions() where function_name like 'mf\\_%' escape '\\' "
        f"and function_type like '%macro' and (database_name = 'temp') = {temporary}"
    ).fetchall()
    return {name for (name,) in rows}


@pytest.mark.alone
def test_loading_twice_is_harmless(con):
    before = macros(con, temporary=True)
    duckmf.load(con)
    assert macros(con, temporary=True) == before
    assert "mf_fit" in before
    assert macros(con, temporary=False) == set()


@pytest.mark.alone
def test_a_cursor_needs_a_load_of_its_own(small):
    cursor = small.cursor()
    with pytest.raises(duckdb.CatalogException):
        cursor.execute("from mf_fit(ratings, user_id, item_id, rating)")
    duckmf.load(cursor)
    cursor.execute("create table m as from mf_fit(ratings, user_id, item_id, rating, epochs := 1)")
    assert small.execute("select count(*) > 0 from mf_recommend(m)").fetchone() == (True,)


def test_a_read_only_database_trains_into_a_temp_table(tmp_path):
    path = tmp_path / "r.duckdb"
    with duckmf.connect(path) as con:
        con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    with duckmf.connect(path, read_only=True) as con:
        con.execute(
            "create temp table m as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)"
        )
        assert len(con.execute("from mf_recommend(m, 1)").fetchall()) == 10


def test_connect_passes_its_arguments_on_and_makes_files_that_old_clients_open(tmp_path):
    path = tmp_path / "new.duckdb"
    with duckmf.connect(path, config={"threads": 1}) as con:
        assert con.execute("select current_setting('threads')").fetchone() == (1,)
        tags = con.execute(
            "select tags from duckdb_databases() where database_name = 'new'"
        ).fetchone()
        assert tags == ({"storage_version": "v1.4.0+"},)


def test_install_persists_the_pure_macros_and_replaces_older_ones(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckmf.connect(path) as con:
        con.execute("create macro mf_recommend(x) as table select 'old' as old")
        con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
        con.execute(
            "create table films as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)"
        )
        expected = con.execute("from mf_recommend(films, 1)").fetchall()
        duckmf.install(con)
        duckmf.install(con)
    with duckdb.connect(str(path)) as plain:
        assert plain.execute("from mf_recommend(films, 1)").fetchall() == expected
        installed = macros(plain, temporary=False)
        assert "mf_recommend" in installed
        with pytest.raises(duckdb.InvalidInputException, match="mf_fit: this needs Python"):
            plain.execute("from mf_fit(ratings, user_id, movie_id, rating)")
        described = plain.execute(
            "select count(*) from duckdb_functions() where function_name = 'mf_recommend' "
            "and comment is not null"
        ).fetchone()
        assert described == (1,)


def test_every_macro_has_a_catalog_comment(con):
    n, without = con.execute(
        "select count(*), list(function_name) filter (comment is null) from duckdb_functions() "
        "where function_type like '%macro' and starts_with(function_name, 'mf_')"
    ).fetchone()
    assert n >= 40
    assert without is None


def test_loading_leaves_the_heavy_modules_for_the_first_training():
    script = """
        import sys
        import duckmf
        con = duckmf.connect()
        heavy = [name for name in ("numba", "scipy", "pyarrow", "tqdm") if name in sys.modules]
        print(heavy)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_training_leaves_scipy_for_the_functions_that_use_it(tmp_path):
    text = """
        import sys
        import duckmf
        con = duckmf.connect()
        con.execute("create table r as select i % 9 u, i % 7 i, i % 5 v from range(99) t(i)")
        con.execute("create table m as from mf_fit(r, u, i, v, epochs := 1, progress := false)")
        # numba itself looks for scipy.linalg
        ours = ("scipy.sparse", "scipy.stats", "duckmf.algorithms.projection")
        print([name for name in ours if name in sys.modules])
        con.execute("create table content as from (values (1, [1, 2]), (8, [3, 4])) t(i, v)")
        con.execute("from mf_project_items(m, content, i, v)").fetchall()
        print([name for name in ours if name in sys.modules])
    """
    script = tmp_path / "script.py"  # of `python -c` DuckDB would show its bar
    script.write_text(textwrap.dedent(text))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    loaded = "[]\n['scipy.sparse', 'duckmf.algorithms.projection']\n"
    assert (done.stdout, done.stderr) == (loaded, "")


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "con.close()",
        "cursor = con.cursor()",
        "relation = con.sql('from m')",
        "raise SystemExit(0)",
    ],
)
def test_the_interpreter_exits_without_noise(ending, tmp_path):
    script = (
        tmp_path / "script.py"
    )  # DuckDB takes `python -c` for a session, and shows its bar there
    text = f"""
        import duckmf
        con = duckmf.connect()
        con.execute("create table r(u int, i int, r float)")
        con.execute("insert into r values (1, 1, 1), (1, 2, 2), (2, 1, 3)")
        con.execute("create table m as from mf_fit(r, u, i, r)")
        {ending}
    """
    script.write_text(textwrap.dedent(text))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_demo_keeps_a_file_that_any_client_reads(tmp_path, capsys):
    path = tmp_path / "demo.duckdb"
    assert cli.main(["demo", str(path)]) == 0
    shown = capsys.readouterr().out
    for expected in (
        "mf_fit(train, user_id, movie_id, rating)",
        "rmse",
        "biases",
        "recommended",
        "(19",
    ):
        assert expected in shown
    with duckdb.connect(str(path)) as plain:
        assert len(plain.execute("from mf_recommend(films, 1)").fetchall()) == 10
    assert cli.main(["demo", str(path)]) == 1
    assert f"{path} exists; name a new file." in capsys.readouterr().err


def test_install_command_makes_the_macros_available(tmp_path, capsys):
    path = tmp_path / "shop.duckdb"
    assert cli.main(["install", str(path)]) == 0
    with duckdb.connect(str(path)) as plain:
        assert "mf_recommend" in macros(plain, temporary=False)
    assert str(path) in capsys.readouterr().out


def test_sql_files_are_found():
    assert {path.stem for path in sqlfiles.folder().glob("*.sql")} >= {
        "fit",
        "predict",
        "recommend",
    }
