"""Functions put into a file, over what is there, and taken out again."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.connection import sqlfiles

pytestmark = pytest.mark.newest  # loading takes seconds on DuckDB 1.4

NOW = f"functions of duckmf {duckmf.__version__} now, for every DuckDB client."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a model, in schema ml, and pairs."""
    path = tmp_path / "shop.duckdb"
    with duckmf.connect(path) as con:
        con.execute("create schema ml")
        con.execute(
            "create table ratings as select i % 9 as u, i % 7 as i, i % 5 as r from range(60) t(i)"
        )
        con.execute(
            "create table ml.films as from mf_fit(ratings, u, i, r, n_factors := 2, epochs := 2)"
        )
    return path  # fmt: skip


def command(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert cli.main([*map(str, words)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert cli.main([*map(str, words)]) == 1
    return capsys.readouterr().err


def functions(path: Path, schema: str = "main") -> set[str]:
    with duckdb.connect(path) as con:
        rows = con.execute(
            "select function_name from duckdb_functions() where not internal and schema_name = $1 "
            "and starts_with(function_name, 'mf_')",
            [schema],
        ).fetchall()
    return {name for (name,) in rows}


OURS = {macro.name for macro in sqlfiles.stored()}


def test_installing_twice_changes_nothing_and_says_so(file, capsys):
    assert command(capsys, "install", file) == f"{file}: Schema main has the {NOW}\n"
    assert command(capsys, "install", file) == (
        f"{file}: Schema main has the {NOW} It had them already.\n"
    )
    assert functions(file) == OURS


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("0.0.9", "It had those of duckmf 0.0.9."),
        ("0.10.0", "It had those of duckmf 0.10.0, which is newer: install from that version to have them back."),
    ],
)  # fmt: skip
def test_installing_over_another_version_says_what_changed(file, capsys, version, said):
    command(capsys, "install", file)
    with duckdb.connect(file) as con:
        con.execute(f"create or replace macro mf_version() as table select '{version}' as version")
        con.execute(
            "create macro mf_old(x) as x; create or replace macro mf_help() as table select 'mf_old' as name"
        )
        con.execute("drop macro table mf_popular; create macro mf_mine(x) as x + 1")
    said = f"{said} New: mf_popular. Gone: mf_old.\n"
    assert command(capsys, "install", file) == f"{file}: Schema main has the {NOW} {said}"
    assert functions(file) == OURS | {"mf_mine"}  # whose it is, nobody says


def test_installing_over_a_version_that_says_nothing(file, capsys):
    with duckdb.connect(file) as con:
        con.execute("create macro mf__head(x) as x; create macro mf_info(x) as table select x as x")
    said = command(capsys, "install", file)
    assert "It had some that do not say their version. New: " in said
    assert said.endswith(" more. Gone: mf__head.\n")
    assert functions(file) == OURS


def test_a_schema_of_its_own_twice(file, capsys):
    for schema in ("ml", "tools"):
        words = ("install", file, "--schema", schema)
        assert command(capsys, *words) == f"{file}: Schema {schema} has the {NOW}\n"
        assert functions(file, schema) == OURS
    assert functions(file) == set()
    with duckdb.connect(file) as con:
        one, other = (
            con.execute(
                f"from {schema}.mf_recommend(ml.films, 3, exclude_seen := false)"
            ).fetchall()
            for schema in ("ml", "tools")
        )
        assert one == other
        assert len(one) == 7


def test_uninstall_takes_the_functions_out_and_nothing_else(file, capsys):
    command(capsys, "install", file)
    command(capsys, "install", file, "--schema", "ml")
    with duckdb.connect(file) as con:
        con.execute("create macro mf_mine(x) as x + 1; create macro other(x) as x")
        con.execute("create view top as from mf_recommend(ml.films)")
        con.execute("create view plain as from ml.films")
    assert command(capsys, "uninstall", file) == (
        f"{file}: {len(OURS)} functions are gone; models and all else stay.\n"
        "These views call them, and answer after another install: top.\n"
    )
    assert (functions(file), functions(file, "ml")) == ({"mf_mine"}, OURS)
    with duckdb.connect(file) as con:
        assert con.execute("select mf_mine(1), other(1)").fetchall() == [(2, 1)]
        assert con.execute("select count(*) from plain where kind = 'item'").fetchall() == [(7,)]
    assert command(capsys, "uninstall", file) == (
        f"{file}: 0 functions are gone; models and all else stay.\n"
    )
    command(capsys, "install", file)
    with duckdb.connect(file) as con:
        assert con.execute("select count(*) > 0 from top").fetchall() == [(True,)]


def test_info_says_what_is_there(file, capsys):
    with duckdb.connect(file) as con:
        con.execute("drop schema ml cascade")
    assert command(capsys, "info", file) == "no functions of duckmf, and no models\n"
    with duckmf.connect(file) as con:
        con.execute(
            "create table films as from mf_fit(ratings, u, i, r, n_factors := 2, epochs := 2)"
        )
    command(capsys, "install", file, "--schema", "ml")
    assert command(capsys, "info", file) == (
        f"shop.ml: {len(OURS)} functions of duckmf {duckmf.__version__}\n"
        "shop.main.films: a model, als, 9 users, 7 items, 60 ratings\n"
    )


@pytest.mark.parametrize("word", ["uninstall", "info", "publish"])
def test_a_missing_file_is_told_and_not_made(word, tmp_path, capsys):
    file = tmp_path / "none.duckdb"
    more = ["films"] if word == "publish" else []
    assert refused(capsys, word, file, *more) == f"duckmf {word}: there is no file {file}.\n"
    assert not file.exists()
