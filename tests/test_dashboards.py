"""duckmf.publish: what BI tools and data frames see of a model, without duckmf."""

from __future__ import annotations

import datetime

import duckdb
import pytest

import duckmf
from duckmf import cli

NAMES = [
    f"films_{p}" for p in ("recommendations", "similar_items", "predictions", "model", "training")
]
SHOWN = {"INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "TIMESTAMP"}


@pytest.fixture
def path(tmp_path):
    """A database with a small model and titles; ids of types that BI tools do not show."""
    path = tmp_path / "shop.duckdb"
    con = duckmf.connect(path)
    con.execute(
        "create table ratings as select (i % 40)::utinyint as u, (1 + hash(i) % 9)::double / 2 as r, "
        "('00000000-0000-0000-0000-0000000000' || (10 + hash(i + 7) % 30))::uuid as item "
        "from range(600) t(i)"
    )
    con.execute(
        "create table titles as "
        "select distinct item as id, 'T' || right(item::varchar, 2) as \"the title\" from ratings"
    )
    con.execute(
        "create table films as from mf_fit(ratings, u, item, r, n_factors := 4, epochs := 3, "
        "validation_fraction := 0.2, progress := false)"
    )
    con.close()
    return path


def published(path, *options: str) -> None:
    titles = ("--titles", "titles", "--id", "id", "--title", "the title")
    assert cli.main(["publish", str(path), "films", *titles, "-k", "3", *options]) == 0


def everything(con: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[object, ...]]]:
    return {name: con.execute(f"from {name} order by all").fetchall() for name in NAMES}


def test_every_column_has_a_type_that_bi_tools_show(path, capsys):
    published(path)
    assert ", ".join(NAMES) in capsys.readouterr().out
    con = duckdb.connect(path, read_only=True)
    columns = con.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where starts_with(table_name, 'films_')"
    ).fetchall()
    assert {name for name, _, _ in columns} == set(NAMES)
    assert {kind for _, _, kind in columns} <= SHOWN
    kinds = {(name, column): kind for name, column, kind in columns}
    assert kinds["films_recommendations", "user_id"] == "INTEGER"  # UTINYINT
    assert kinds["films_recommendations", "item_id"] == "VARCHAR"  # UUID
    titled = [name for name, column, _ in columns if column == "title"]
    assert sorted(titled) == ["films_predictions", "films_recommendations", "films_similar_items"]


def test_stored_lists_and_views_agree_and_replace_each_other(path):
    published(path)
    kinds = "select table_name, table_type from information_schema.tables where table_name like 'films!_%' escape '!' order by 1"
    with duckdb.connect(path) as con:
        stored, stored_kinds = everything(con), dict(con.execute(kinds).fetchall())
    published(path, "--views")
    with duckdb.connect(path) as con:
        views, view_kinds = everything(con), dict(con.execute(kinds).fetchall())
    assert stored == views
    assert [len(stored[name]) > 0 for name in NAMES] == [True] * 5
    assert [name for name, kind in stored_kinds.items() if kind == "BASE TABLE"] == (
        ["films_recommendations", "films_similar_items"]
    )
    assert set(view_kinds.values()) == {"VIEW"}


def test_the_numbers_are_those_of_the_macros(path):
    published(path)
    con = duckmf.connect(path)
    lists = con.execute(
        "select r.rank, r.score, r.title from films_recommendations r where r.user_id = 7 order by 1"
    ).fetchall()
    assert (
        lists
        == con.execute(
            'select m.rank, m.score::double, t."the title" from mf_recommend(films, 7, k := 3) m '
            "join titles t on t.id = m.item_id order by 1"
        ).fetchall()
    )


def test_copies_to_parquet_and_needs_no_python(path, tmp_path):
    published(path)
    con = duckdb.connect(path, read_only=True)
    for name in NAMES:
        con.execute(f"copy (from {name}) to '{tmp_path / name}.parquet'").fetchall()
        n = con.execute(f"select count(*) from '{tmp_path / name}.parquet'").fetchone()
        assert n == con.execute(f"select count(*) from {name}").fetchone()


def test_through_sqlalchemy(path):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("duckdb_sqlalchemy")
    published(path)
    engine = sqlalchemy.create_engine(f"duckdb:///{path}")
    found = sqlalchemy.inspect(engine)
    assert set(NAMES) <= {*found.get_table_names(), *found.get_view_names()}
    with engine.connect() as con:
        query = sqlalchemy.text("select title, score from films_recommendations where user_id = :u")
        assert len(con.execute(query, {"u": 7}).fetchall()) == 3
        row = con.execute(sqlalchemy.text("select trained_at, users from films_model")).one()
    assert isinstance(row.trained_at, datetime.datetime)
    assert row.users == 40
    engine.dispose()


def test_as_arrow(path):
    published(path)
    con = duckdb.connect(path, read_only=True)
    for name in NAMES:
        table = con.sql(f"from {name}").to_arrow_table()
        assert {str(kind) for kind in table.schema.types} <= {"int32", "int64", "double", "string", "timestamp[us]"}  # fmt: skip


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_as_a_data_frame(path, library):
    pytest.importorskip(library)
    published(path)
    con = duckdb.connect(path, read_only=True)
    for name in NAMES:
        relation = con.sql(f"from {name}")
        frame = relation.df() if library == "pandas" else relation.pl()
        assert [(len(frame),)] == con.execute(f"select count(*) from {name}").fetchall()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}", "nothing"], "Table with name nothing does not exist"),
        (["{}", "films", "--titles", "titles"], "duckmf publish: titles need all of --titles, --id and --title."),
        (["{}", "films", "--titles", "titles", "--id", "id", "--title", "x"], 'does not have a column named "x"'),
        (["{}x", "films"], "duckmf publish: there is no file"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_an_error_and_nothing_is_left(path, capsys, arguments, message):
    assert cli.main(["publish", *(word.format(path) for word in arguments)]) == 1
    assert message in capsys.readouterr().err
    with duckdb.connect(path) as con:
        assert con.execute("select count(*) from duckdb_tables()").fetchone() == (3,)
        assert con.execute("select count(*) from duckdb_views() where not internal").fetchone() == (
            0,
        )
