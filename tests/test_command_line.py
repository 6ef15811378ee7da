"""The words after `duckmf`: slips are told, and make no files."""

from __future__ import annotations

import pytest

import duckmf
from duckmf import cli

ENDS = "A new database is made of a name that ends in .duckdb, .db, .ddb, or with --new.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["demoo"], "duckmf: there is no file demoo, and no command of that name. Did you mean `duckmf demo`? " + ENDS),
        (["version"], "duckmf: there is no file version, and no command of that name. Did you mean `duckmf --version`? " + ENDS),
        (["x.csv"], "duckmf: there is no file x.csv, and no command of that name. " + ENDS),
        (["none/x.duckdb"], "duckmf: there is no folder none. Make it first.\n"),
        (["install", "x.csv"], "duckmf install: there is no file x.csv, and no command of that name. " + ENDS),
    ],
)  # fmt: skip
def test_a_slip_is_told_and_makes_no_file(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 1
    assert capsys.readouterr().err == message
    assert list(tmp_path.iterdir()) == []


def test_any_name_is_made_if_that_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--new", "shop", "-c", "create table t as select 1 as a"]) == 0
    assert cli.main(["shop", "-c", "from t"]) == 0


def test_loading_a_file_says_what_opens_it():
    with pytest.raises(duckmf.DuckMFError) as refused:
        duckmf.load("x.duckdb")
    assert str(refused.value) == (
        "duckmf.load: 'x.duckdb' is a file. duckmf.connect('x.duckdb') opens it, with duckmf; "
        "load takes a connection."
    )
