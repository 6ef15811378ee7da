"""A database with models and installed functions goes where databases go, and still answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import cli
from tests.clients import shell_program

CALLS = [
    "mf_recommend({m}films, 3, k := 4)",
    "mf_recommend({m}films, k := 2)",
    "mf_similar_items({m}films, 5)",
    "mf_popular({m}films)",
    "mf_info({m}films)",
    "mf_predict({m}films, {m}pairs, user_id, item_id)",
    "mf_evaluate({m}films, {m}ratings, user_id, item_id, rating)",
    "mf_evaluate_ranking({m}films, {m}pairs, user_id, item_id)",
    "mf_compare({m}films, {m}films, {m}pairs, user_id, item_id, samples := 10)",
    "mf_explain({m}films, 3, 5)",
    "mf_publish_recommendations({m}films, k := 2)",
    "mf_split({m}pairs, user_id, item_id)",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with ratings, a model and the installed functions, closed."""
    path = tmp_path_factory.mktemp("shop") / "shop.duckdb"
    con = duckmf.connect(path)
    con.execute(
        "create table ratings as select u as user_id, i as item_id, (1 + (u * 7 + i * 3) % 5)::double as rating "
        "from range(30) a(u), range(25) b(i) where (u * 5 + i * 3) % 4 <> 0"
    )
    con.execute("create table pairs as select user_id, item_id from ratings where item_id < 6")
    con.execute(
        "create table films as from mf_fit(ratings, user_id, item_id, rating, n_factors := 4)"
    )
    duckmf.install(con)
    con.close()
    return path


def answers(con: duckdb.DuckDBPyConnection, place: str = "") -> list[object]:
    """What all calls answer, of the functions, the model and the pairs of a place."""
    rows = [con.execute(f"from {place}{call.format(m=place)}").fetchall() for call in CALLS]
    return [sorted(map(repr, part)) for part in rows]


@pytest.fixture(scope="module")
def expected(shop: Path) -> list[object]:
    """What they answer in the file itself."""
    with duckdb.connect(str(shop), read_only=True) as con:
        return answers(con)


def test_an_exported_database_is_imported_whole(shop, expected, tmp_path):
    with duckdb.connect(str(shop), read_only=True) as con:  # functions as the catalogue reads them
        con.execute(f"export database '{tmp_path / 'out'}' (format parquet)")
    with duckdb.connect() as con:
        con.execute(f"import database '{tmp_path / 'out'}'")
        assert answers(con) == expected


@pytest.mark.parametrize("place", ["shop.", "shop.main."])
@pytest.mark.parametrize("option", ["", "(read_only)"])
def test_an_attached_file_answers_qualified_calls(shop, expected, place, option):
    with duckdb.connect() as con:
        con.execute(f"attach '{shop}' as shop {option}")
        assert answers(con, place) == expected


def test_a_copied_database_answers_from_its_new_file(shop, expected, tmp_path):
    with duckdb.connect() as con:
        con.execute(f"attach '{shop}' as shop (read_only)")
        con.execute(f"attach '{tmp_path / 'copy.duckdb'}' as copied")
        con.execute("copy from database shop to copied")
        con.execute("detach shop")
        assert answers(con, "copied.") == expected


def test_functions_may_live_in_a_schema_of_their_own(shop, expected):
    with duckdb.connect() as con:
        con.execute(f"attach '{shop}' as shop (read_only)")
        con.execute("create schema ml; create table ml.films as from shop.films")
        con.execute(
            "create table ml.pairs as from shop.pairs; create table ml.ratings as from shop.ratings"
        )
        con.execute("use memory.ml")
        duckmf.install(con)
        con.execute("use memory.main")
        assert answers(con, "ml.") == expected


def test_the_script_of_duckmf_sql_makes_any_shell_answer(shop, expected, tmp_path, capsys):
    assert cli.main(["sql"]) == 0
    script = tmp_path / "duckmf.sql"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        [shell_program(), "-no-init", "-batch", "-bail", "-csv", "-noheader"],
        input=f"attach '{shop}' as shop (read_only);\n.read {script}\n"
        "select md5(string_agg(r::varchar, '' order by rank)) from mf_recommend(shop.films, 3, k := 4) r;\n",
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    with duckdb.connect(str(shop), read_only=True) as con:
        (row,) = con.execute(
            "select md5(string_agg(r::varchar, '' order by rank)) from mf_recommend(films, 3, k := 4) r"
        ).fetchall()
    assert (done.stderr, done.stdout.strip()) == ("", row[0])
