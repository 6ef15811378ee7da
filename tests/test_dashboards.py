"""duckmf.publish: what BI tools and data frames see of a model, without duckmf."""

from __future__ import annotations

import contextlib
import datetime

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.connection.relations import quoted
from tests.clients import Shell

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


def test_through_adbc(path):
    pytest.importorskip("adbc_driver_manager")
    from adbc_driver_duckdb import dbapi

    published(path)
    with dbapi.connect(str(path)) as con, con.cursor() as cursor:
        cursor.execute("select title, score from films_recommendations where user_id = 7")
        assert len(cursor.fetchall()) == 3
        cursor.execute("select count(*) from mf_recommend(films, 7, k := 3)")
        assert cursor.fetchall() == [(3,)]


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
        (["{}", "nothing"], "publish: there is no table or view nothing for shop.main. Give the name of one that SHOW ALL TABLES lists"),
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


TYPES = {  # of ids, and what BI tools see of them
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "varchar": "VARCHAR",
    "uuid": "VARCHAR",
    "hugeint": "VARCHAR",
    "date": "VARCHAR",
    "utinyint": "INTEGER",
    "decimal(9, 2)": "VARCHAR",
}
IDS = {
    "uuid": "('00000000-0000-0000-0000-0000000000' || (10 + {}))::uuid",
    "date": "date '2026-01-01' + ({})::integer",
}


@pytest.fixture
def con():
    con = duckmf.connect()
    yield con
    con.close()


def trained(con: duckdb.DuckDBPyConnection, kind: str, model: str, options: str = "") -> None:
    """A model with ids of a type, and a table of titles."""
    user, item = (IDS.get(kind, "({})::" + kind).format(code) for code in ("i % 20", "i % 31"))
    con.execute(
        f"create or replace table ratings as select {user} as u, {item} as i, "
        "(1 + hash(i) % 9)::double / 2 as r, timestamp '2020-01-01' + interval (i) day as t "
        "from range(300) t(i)"
    )
    con.execute("create or replace table titles as select distinct i as id, 'T' || i::varchar as title from ratings")  # fmt: skip
    con.execute(
        f"create or replace table {model} as from mf_fit(ratings, u, i, r, n_factors := 4, "
        f"epochs := 2, progress := false{options})"
    )


def seen(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """The type of each column."""
    return dict(
        con.execute(f"select column_name, column_type from (describe {relation})").fetchall()
    )


@pytest.mark.parametrize("store", [True, False], ids=["stored", "views"])
@pytest.mark.parametrize("kind", TYPES)
def test_ids_of_any_type_are_shown(con, kind, store):
    trained(con, kind, "films")
    titles = duckmf.Titles("titles", "id", "title")
    assert duckmf.publish(con, "films", titles, k=3, store=store) == NAMES
    types = {name: seen(con, name) for name in NAMES}
    assert {shown for columns in types.values() for shown in columns.values()} <= SHOWN
    for name in ("films_recommendations", "films_predictions"):
        assert types[name]["user_id"] == types[name]["item_id"] == TYPES[kind]
        user, item, title = con.execute(f"select user_id, item_id, title from {name} limit 1").fetchone()  # fmt: skip
        assert title == f"T{item}"
        found = con.execute(f"select count(*) from {name} where user_id = $1", [user]).fetchone()
        assert found == ((3,) if name == "films_recommendations" else (31,))
    assert types["films_similar_items"]["similar_item_id"] == TYPES[kind]


@pytest.mark.parametrize("store", [True, False], ids=["stored", "views"])
@pytest.mark.parametrize("kind", ["with rows that came later", "with time terms"])
def test_predictions_are_those_of_mf_predict(con, kind, store):
    if kind == "with time terms":
        trained(con, "integer", "films", ", ts := t, algorithm := 'timesvdpp'")
        n_pairs, all_sources = 20 * 31, ["model"]
    else:
        trained(con, "integer", "films")
        con.execute("create table late as from (values (77, 3, 4.0), (77, 5, 1.5)) n(u, i, r)")
        con.execute("insert into films from mf_fold_in(films, late, u, i, r)")
        con.execute("create table features as select i, [i % 3, i % 5]::float[] as v from range(40) t(i)")  # fmt: skip
        con.execute("insert into films from mf_project_items(films, features, i, v)")
        n_pairs, all_sources = 21 * 40, ["content", "model"]
    duckmf.publish(con, "films", store=store)
    con.execute(
        "create table pairs as select a.user_id, b.item_id from films a, films b "
        "where a.kind = 'user' and b.kind = 'item'"
    )
    n, same, difference, sources = con.execute(
        "select count(*), count(*) filter (where p.prediction_source = q.prediction_source), "
        "max(abs(p.prediction - q.prediction)), list(distinct p.prediction_source) "
        "from films_predictions p "
        "join mf_predict(films, pairs, user_id, item_id) q using (user_id, item_id)"
    ).fetchone()
    assert n == same == n_pairs
    assert difference < 1e-5
    assert sorted(sources) == all_sources


@pytest.mark.parametrize("name", ["my films", "film's", "film.s", "Füme 1"])
def test_any_name_in_any_schema(con, name):
    con.execute('create schema "the ""shop"""; use "the ""shop"""')
    trained(con, "integer", quoted(name))
    con.execute('alter table titles rename to "the ""titles"""')
    titles = duckmf.Titles('the "titles"', "id", "title")
    for store in (True, False):
        names = duckmf.publish(con, name, titles, store=store)
        assert names[2] == f"{name}_predictions"
        query = f"select count(title) from {quoted(names[2])} where user_id = 3"
        assert con.execute(query).fetchone() == (31,)


def test_a_name_that_duckdb_reads_in_two_ways_is_refused(con):
    trained(con, "integer", quoted('my "films"'))
    with pytest.raises(
        duckmf.DuckMFError, match=r'publish: the model is named my "films"; .* Give'
    ):
        duckmf.publish(con, 'my "films"')


@pytest.mark.parametrize("name", ["ml.films", "ML.Films", '"ml"."films"', "memory.ml.films"])
@pytest.mark.parametrize("store", [True, False], ids=["stored", "views"])
def test_a_model_of_another_schema_is_published_beside_it(con, name, store):
    con.execute("create schema ml")
    trained(con, "integer", "ml.films")
    con.execute("create schema staging; create table staging.titles as from titles")
    con.execute("drop table titles")
    titles = duckmf.Titles("staging.titles", "id", "title")
    for schema, place in ((None, "ml"), ("marts", "marts")):
        assert duckmf.publish(con, name, titles, store=store, schema=schema) == NAMES
        found = con.execute(
            "select table_name from information_schema.tables where table_schema = $1", [place]
        ).fetchall()
        assert {*NAMES} <= {table for (table,) in found}
        plain = con.cursor()  # in schema main, where no function of duckmf is
        for relation in NAMES:
            assert plain.execute(f"from {place}.{relation} limit 1").fetchall()
        titled = f"select count(title) from {place}.films_predictions where user_id = 3"
        assert plain.execute(titled).fetchone() == (31,)
    assert con.execute(
        "select count(*) from duckdb_tables() where schema_name = 'main'"
    ).fetchone() == (1,)


@pytest.mark.parametrize("store", [True, False], ids=["stored", "views"])
def test_a_published_schema_is_read_from_an_attached_file_under_another_name(tmp_path, store):
    path = tmp_path / "shop.duckdb"
    with duckmf.connect(path) as con:
        con.execute("create schema ml")
        trained(con, "integer", "ml.films")
        duckmf.publish(
            con, "ml.films", duckmf.Titles("titles", "id", "title"), store=store, schema="marts"
        )
    with duckdb.connect() as con:
        con.execute(f"attach '{path}' as other (read_only)")
        for relation in NAMES:
            assert con.execute(f"from other.marts.{relation} limit 1").fetchall()


def test_a_model_of_another_database_is_published_there(con, tmp_path):
    con.execute(f"attach '{tmp_path / 'lake.duckdb'}' as lake")
    trained(con, "integer", "lake.films")
    assert duckmf.publish(con, "lake.films") == NAMES
    assert con.execute("select count(*) > 0 from lake.films_recommendations").fetchone() == (True,)


def test_what_was_not_published_is_not_replaced(con):
    trained(con, "integer", "films")
    con.execute("create table Films_Training as select 42 as mine")
    message = (
        "publish: there is a table Films_Training, which publish has not made and does not replace. "
        "Rename or drop it, or publish to another schema (--schema)."
    )
    with pytest.raises(duckmf.DuckMFError) as refused:
        duckmf.publish(con, "films")
    assert str(refused.value) == message
    assert con.execute("from films_training").fetchall() == [(42,)]
    assert con.execute("select count(*) from duckdb_views() where not internal").fetchone() == (0,)
    assert len(duckmf.publish(con, "films", schema="marts")) == 5


def test_names_that_differ_in_case_are_one(con):
    trained(con, "integer", '"MixedCase"')
    first = duckmf.publish(con, "MixedCase")
    assert (
        duckmf.publish(con, "mixedcase")
        == first
        == [n.replace("films", "MixedCase") for n in NAMES]
    )


def test_stored_predictions_stay_as_they_were_until_they_are_published_again(con):
    trained(con, "integer", "films")
    duckmf.publish(con, "films")
    best = "select max(prediction) from films_predictions"
    before = con.execute(best).fetchone()
    con.execute("update films set bias = -9 where kind = 'item'")
    assert con.execute(best).fetchone() == before
    duckmf.publish(con, "films")
    assert con.execute(best).fetchone() == (0.5,)
    halves = "select count(*) from duckdb_tables() where starts_with(table_name, 'mf__films_')"
    assert con.execute(halves).fetchone() == (2,)
    duckmf.publish(con, "films", store=False)
    assert con.execute(halves).fetchone() == (0,)


def test_the_shell_and_an_attached_database_read_it(path, tmp_path):
    published(path)
    with contextlib.closing(Shell(path, installed=True)) as shell:
        for name in NAMES:
            shell.run(f"copy (from {name}) to '{tmp_path / name}.csv'")
            assert (tmp_path / f"{name}.csv").stat().st_size > 0
    with duckdb.connect() as con:
        con.execute(f"attach '{path}' as other (read_only)")
        for name in NAMES:
            assert con.execute(f"from other.{name} limit 1").fetchall()
