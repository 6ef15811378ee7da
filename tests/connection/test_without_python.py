"""A file without Python: what is installed in it, and what it says of functions that need more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf.connection import sqlfiles
from duckmf.connection.expand import Macro, macros
from tests.clients import Shell, StatementError

NEEDS = (
    "{}: this needs Python, and here is only the SQL of duckmf. Open the database with 'duckmf FILE' "
    "or, in Python, duckmf.load(con), or ask a server of 'duckmf serve FILE'."
)
TRAINED = "mf_fit(ratings, user_id, movie_id, rating, epochs := 1)"
CALLS = [
    "create table m as from mf_fit(ratings, user_id, movie_id, rating, n_factors := 64)",
    "from mf_fit('ratings', user_id, movie_id, ln(1 + plays), rated_at, validation := held_out)",
    "from mf_fit(ratings, user_id || 'x', movie_id, temporal := ['item_bins'], warm_start := films)",
    "with few as (from ratings limit 9) from mf_fit(few, user_id, movie_id)",
    "select kind, factors from mf_fit(main.ratings, user_id, movie_id, seed := 1) where kind = 'user'",
    "create view v as from mf_fit(ratings, user_id, movie_id, rating)",
    "from (describe from mf_fit(ratings, user_id, movie_id))",
    "from mf_tune(ratings, user_id, movie_id, n_factors := [8, 16], alpha := {'min': 1, 'max': 9})",
    "from mf_fit_best(ratings, user_id, movie_id, rating, relevant := rating >= 4)",
    "from mf_cross_validate(ratings, user_id, movie_id, rating, folds := 3)",
    "insert into films from mf_fold_in(films, ratings, user_id, movie_id, rating, complete := false)",
    "from mf_fold_in_items(films, ratings, user_id, movie_id, rating)",
    "from mf_update(films, ratings, user_id, movie_id, rating)",
    "from mf_project_items(films, ratings, movie_id, [plays, 1])",
    "from mf_project_users(films, ratings, user_id, vector := [plays, 1])",
    "select name from mf_models() where users > 3",
]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with ratings and the functions of `duckmf install`."""
    path = tmp_path_factory.mktemp("installed") / "shop.duckdb"
    with duckmf.connect(path) as con:
        con.execute(
            "create table ratings as select u as user_id, i as movie_id, 1.0 + (u * 7 + i * 3) % 5 as rating, "
            "u as plays, u % 2 = 0 as held_out, date '2020-01-01' as rated_at from range(9) a(u), range(8) b(i)"
        )
        con.execute("create table films as select 'model' as kind")
        duckmf.install(con)
    return path


@pytest.fixture(scope="module")
def shell(file: Path) -> Iterator[Shell]:
    """DuckDB's own shell on the file."""
    shell = Shell(file, installed=True)
    yield shell
    shell.close()


def needing() -> dict[str, Macro]:
    """The functions that need Python, as a connection with it has them."""
    plain = sqlfiles.public(sqlfiles.NEED_PYTHON - {sqlfiles.BATCH})
    return {macro.name: macro for macro in plain}


@pytest.mark.parametrize("call", CALLS)
def test_the_shell_names_the_ways_to_python(shell, call):
    with pytest.raises(StatementError) as refused:
        shell.run(call)
    name = next(word for word in call.split() if "mf_" in word).partition("(")[0]
    assert str(refused.value).partition("\n\nLINE")[0] == NEEDS.format(name)


def test_every_function_that_needs_python_is_called_above():
    assert all(any(f" {name}(" in call for call in CALLS) for name in needing())


def test_what_stands_in_for_a_function_takes_its_arguments():
    stored = macros(sqlfiles.pure())
    for name, macro in needing().items():
        missing = stored[name]
        *parameters, last = missing.parameters
        assert parameters == list(macro.parameters), name
        assert last == "mf__python"
        assert (missing.is_table, missing.comment) == (macro.is_table, macro.comment)


def test_a_connection_with_python_trains_on_the_same_file(file, tmp_path):
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(file.read_bytes())
    with duckmf.connect(copy) as con:
        con.execute(f"create or replace table films as from {TRAINED}")
        assert con.execute("select python from mf_version()").fetchall() == [(True,)]
    with duckdb.connect(copy) as plain:
        assert (
            len(plain.execute("from mf_recommend(films, 3, exclude_seen := false)").fetchall()) == 8
        )
        assert plain.execute("select python from mf_version()").fetchall() == [(False,)]


def test_what_is_served_takes_the_place_of_what_is_missing_and_gives_it_back():
    con = duckmf.connect(config={"custom_user_agent": sqlfiles.SERVER})
    con.execute(
        "create table ratings as select u as user_id, i as movie_id, (u + i) % 3 as rating from range(9) a(u), range(8) b(i)"
    )
    duckmf.install(con)
    cursor = con.cursor()  # without temp macros, as the sessions of a server
    refused = pytest.raises(duckdb.InvalidInputException, match="mf_fit: this needs Python")
    with refused:
        cursor.execute(f"from {TRAINED}")
    cursor.execute(sqlfiles.served())
    assert len(cursor.execute(f"from {TRAINED}").fetchall()) == 1 + 1 + 9 + 8
    cursor.execute(sqlfiles.withdrawn())
    with refused:
        cursor.execute(f"from {TRAINED}")
    con.close()


def test_a_file_that_a_killed_server_has_left_says_that_python_is_missing(file, tmp_path):
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(file.read_bytes())
    with duckmf.connect(copy) as con:
        con.cursor().execute(sqlfiles.served())
    with duckdb.connect(copy) as plain:
        for call in CALLS:
            name = next(word for word in call.split() if "mf_" in word).partition("(")[0]
            with pytest.raises(duckdb.InvalidInputException) as refused:
                plain.execute(call)
            assert NEEDS.format(name) in str(refused.value)
        plain.execute(f"export database '{tmp_path / 'exported'}' (format parquet)")
    with duckdb.connect() as imported:
        imported.execute(f"import database '{tmp_path / 'exported'}'")
    with duckmf.connect(copy) as con:
        assert len(con.execute(f"from {TRAINED}").fetchall()) == 1 + 1 + 9 + 8
        duckmf.install(con)
    with duckdb.connect(copy) as plain:
        definitions = (
            "select count(*) from duckdb_functions() where contains(macro_definition, 'mf__begin(')"
        )
        assert plain.execute(definitions).fetchall() == [(0,)]


def test_the_manual_of_a_function_is_the_comment_in_its_file(con):
    listed = con.execute("select name, what, needs_python from mf_help()").fetchall()
    assert len(listed) > 30
    for name, what, needs_python in listed:
        lines = con.execute(f"from mf_help('{name}')").fetchall()
        text = "\n".join(f"-- {line}".rstrip() for (line,) in lines)
        (stem,) = [
            path.stem
            for path in sqlfiles.files()
            if f" {name}(" in path.read_text() and path.stem != sqlfiles.BATCH
            and f"\ncreate or replace macro {name}(" in path.read_text()
        ]  # fmt: skip
        source = (sqlfiles.folder() / f"{stem}.sql").read_text()
        assert f"{text}\n" in source
        assert name in text
        assert len(lines) > 8
        assert needs_python == (stem in sqlfiles.NEED_PYTHON)
        assert what.replace("'", "''") in source


def test_the_version_is_that_of_the_package(con):
    rows = con.execute("select version, format, duckdb, python from mf_version()").fetchall()
    assert rows == [(duckmf.__version__, 2, f"v{duckdb.__version__}", True)]
