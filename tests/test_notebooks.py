"""Notebooks: jupysql in a real IPython, a notebook in a real kernel, ibis, and DataFrames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import duckdb
import pytest

import duckmf
from duckmf.errors import DuckMFError
from tests.conftest import MOVIELENS

FIT = (
    "CREATE OR REPLACE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating, epochs := 2)"
)
# what %sql is given, and what its cell makes before
URL, ENGINE, NATIVE = (
    "{url}?plugin=duckmf",
    "from sqlalchemy import create_engine\nengine = create_engine('{url}', plugins=['duckmf'])",
    "con = duckmf.load(duckdb.connect('{path}'))",
)
Run = Callable[[str], Any]


@pytest.fixture
def run(tmp_path, monkeypatch) -> Iterator[Run]:
    """A function that runs a cell in IPython with jupysql, and gives its result or raises."""
    pytest.importorskip("sql.magic", reason="jupysql is not installed")
    from IPython.core.interactiveshell import InteractiveShell
    from sql.connection import ConnectionManager
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))

    def cell(text: str) -> Any:
        result = shell.run_cell(text)
        result.raise_error()
        return result.result

    cell("import duckdb, duckmf")
    cell("%load_ext sql")
    cell("%config SqlMagic.feedback = 0")
    yield cell
    ConnectionManager.close_all()
    ConnectionManager.current = None
    InteractiveShell.clear_instance()


def connected(run: Run, way: str, database: str) -> None:
    """Let %sql work on a database, in one of three ways."""
    if way == NATIVE:
        run(way.format(path=database or ":memory:"))
        run("%sql con --alias here")
        return
    if not any(map(find_spec, ("duckdb_sqlalchemy", "duckdb_engine"))):
        pytest.skip("SQLAlchemy has no dialect for DuckDB here")
    text = way.format(url=f"duckdb:///{database}")
    run(f"%sql {text} --alias here" if way == URL else f"{text}\n%sql engine --alias here")


@pytest.mark.parametrize("way", [NATIVE, URL, ENGINE], ids=["native", "url", "engine"])
@pytest.mark.parametrize("database", ["", "shop.duckdb"], ids=["memory", "file"])
def test_jupysql_trains_and_reads_and_leaves_only_what_was_asked_for(run, way, database, tmp_path):
    path = tmp_path / database
    connected(run, way, str(path) if database else "")
    run(f"%sql CREATE TABLE ratings AS FROM '{MOVIELENS / 'ratings.parquet'}'")
    run(f"%sql {FIT}")
    run("user = 196")
    listed = run(
        "%sql SELECT rank, item_id FROM mf_recommend(films, {{user}}, k := 3) ORDER BY rank"
    )
    assert [rank for rank, _ in listed] == [1, 2, 3]
    assert list(run("%sql SELECT name FROM mf_models()")) == [("films",)]
    tuned = run(
        "%%sql\nSELECT rank FROM mf_tune(\n    ratings, user_id, movie_id, rating,\n"
        "    n_factors := {'min': 4, 'max': 8}, trials := 2, epochs := 1\n) ORDER BY rank"
    )
    assert list(tuned) == [(1,), (2,)]
    if database:
        run("%sql --close here")
        run("con = engine = None")
        with duckdb.connect(str(path)) as plain:
            own = "select function_name from duckdb_functions() where starts_with(function_name, 'mf_')"
            written = "select function_name from duckdb_functions() where not internal and database_name = 'shop'"
            assert plain.execute(own).fetchall() == plain.execute(written).fetchall() == []
            assert plain.execute(
                "select table_name from duckdb_tables() order by 1"
            ).fetchall() == [
                ("films",),
                ("ratings",),
            ]


def test_jupysql_reads_a_read_only_file(run, tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckmf.connect(path) as con:
        con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
        con.execute(FIT)
    run(f"con = duckmf.load(duckdb.connect('{path}', read_only=True))")
    run("%sql con --alias here")
    assert len(run("%sql FROM mf_recommend(films, 196, k := 4)")) == 4
    assert len(run("%sql FROM mf_fit(ratings, user_id, movie_id, rating, epochs := 1)")) > 10_000


@pytest.mark.parametrize("way", [NATIVE, URL], ids=["native", "url"])
def test_jupysql_shows_what_is_wrong(run, way):
    connected(run, way, "")
    run("%sql CREATE TABLE ratings AS SELECT 1 AS u, 2 AS i, 3.0 AS r")
    with pytest.raises(Exception, match=r"mf_fit: n_factors is -1; give a whole number from 1"):
        run("%sql FROM mf_fit(ratings, u, i, r, n_factors := -1)")


def test_a_dataframe_is_a_source_for_jupysql(run):
    pytest.importorskip("pandas")
    run("con = duckmf.load(duckmf.connect(config={'python_scan_all_frames': True}))")
    run("%sql con --alias here")
    run(
        "import pandas as pd\nrated = pd.DataFrame({'u': [1, 1, 2], 'i': [1, 2, 1], 'r': [1.0, 2.0, 3.0]})"
    )
    run("%sql CREATE TABLE m AS FROM mf_fit(rated, u, i, r, epochs := 1)")
    assert run("%sql SELECT users, items FROM mf_info(m)").DataFrame().to_numpy().tolist() == [
        [2, 2]
    ]


def test_jupysql_finds_no_function_through_the_connection_itself(run):
    run("con = duckdb.connect()\nduckmf.load(con)")
    run("%sql con --alias here")
    with pytest.raises(Exception, match="mf_models does not exist"):
        run("%sql FROM mf_models()")


@pytest.mark.alone
def test_what_load_returns_stands_for_the_connection(small):
    shared = duckmf.load(duckmf.load(small))
    assert shared.execute("select 41 + 1").fetchall() == [(42,)]
    cursor = shared.cursor()
    cursor.execute("create table m as from mf_fit(ratings, user_id, item_id, rating, epochs := 1)")
    cursor.close()
    assert shared.cursor().execute("select name from mf_models()").fetchall() == [("m",)]
    with pytest.raises(duckdb.CatalogException):
        small.cursor().execute("from mf_models()")


@pytest.mark.alone
def test_pandas_reads_through_what_load_returns(small):
    pandas = pytest.importorskip("pandas")
    small.execute("create table m as from mf_fit(ratings, user_id, item_id, rating, epochs := 1)")
    with pytest.warns(UserWarning, match="SQLAlchemy"):
        frame = pandas.read_sql("select * from mf_recommend(m, 1, k := 3)", duckmf.load(small))
    assert frame["rank"].tolist() == [1, 2, 3]


def test_the_plugin_refuses_another_database():
    sqlalchemy = pytest.importorskip("sqlalchemy")
    with pytest.raises(DuckMFError, match=r"duckmf.sqlalchemy: the engine is one of sqlite, not"):
        sqlalchemy.create_engine("sqlite://?plugin=duckmf")


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "relation"])
def test_variables_are_sources(con, kind):
    columns = {"u": [1, 1, 2, 2], "i": [1, 2, 1, 3], "r": [1.0, 2.0, 3.0, 4.0]}
    if kind == "arrow":
        rated = pytest.importorskip("pyarrow").table(columns)
    elif kind == "relation":
        rated = con.sql(
            "from (values (1, 1, 1.0), (1, 2, 2.0), (2, 1, 3.0), (2, 3, 4.0)) t(u, i, r)"
        )
    else:
        rated = pytest.importorskip(kind).DataFrame(columns)
    assert len(rated) == 4  # SQL names the variable, which linters do not see
    counts = "select users, items, ratings from mf_info(m)"
    con.sql("from mf_fit(rated, u, i, r)").create("m")
    assert con.execute(counts).fetchall() == [(2, 3, 4)]
    con.execute("create or replace table m as from mf_fit(rated, u, i, r)")
    assert con.execute(counts).fetchall() == [(2, 3, 4)]
    assert con.sql("from mf_recommend(m, 1)").filter("rank = 1").project("item_id").fetchall() == [
        (3,)
    ]


def test_registered_data_and_views_of_relations_are_sources(small):
    small.register("registered", small.table("ratings").filter("rating > 2").to_arrow_table())
    small.table("ratings").filter("rating > 2").create_view("viewed")
    trained = [
        small.sql(
            f"select bias from mf_fit({source}, user_id, item_id, rating) order by all"
        ).fetchall()
        for source in ("registered", "viewed")
    ]
    assert trained[0] == trained[1]
    assert len(trained[0]) > 60


@pytest.fixture
def backend() -> Any:
    """The DuckDB backend of ibis, with duckmf and ratings."""
    ibis = pytest.importorskip("ibis")
    backend = ibis.duckdb.connect()
    duckmf.load(backend.con)
    backend.read_parquet(MOVIELENS / "ratings.parquet", table_name="ratings")
    backend.read_parquet(MOVIELENS / "movies.parquet", table_name="movies")
    backend.raw_sql(FIT)
    return backend


def test_ibis_reads_models_and_lists_that_are_tables(backend):
    films = backend.table("films")
    assert films.filter(films.kind == "user").count().execute() == 610
    backend.raw_sql("CREATE TABLE top AS FROM mf_recommend(films, 196, k := 3)")
    top, movies = backend.table("top"), backend.table("movies")
    titled = top.join(movies, top.item_id == movies.movie_id).order_by("rank").to_pandas()
    assert len(titled["title"].dropna()) == 3


@pytest.mark.skipif(duckdb.__version__ >= "2", reason="ibis 12 asks DuckDB 2.0 for what it has not")
def test_ibis_joins_a_query_and_trains_on_an_expression(backend):
    top, movies = backend.sql("FROM mf_recommend(films, 196, k := 3)"), backend.table("movies")
    titled = top.join(movies, top.item_id == movies.movie_id).select("rank", "title").to_pandas()
    assert sorted(titled["rank"]) == [1, 2, 3]
    ratings = backend.table("ratings")
    likes = ratings.filter(ratings.rating >= 4).alias("likes")
    ranker = likes.sql("SELECT * FROM mf_fit(likes, user_id, movie_id, epochs := 1)")
    stored = backend.create_table("ranker", ranker)
    assert stored.filter(stored.kind == "user").count().execute() == 609


def test_a_notebook_runs_in_a_kernel(tmp_path):
    for package in ("nbclient", "ipykernel", "sql.magic"):
        pytest.importorskip(package)
    import nbclient
    import nbformat

    cells = [
        "import duckmf\ncon = duckmf.load(duckmf.connect('shop.duckdb'))",
        "%load_ext sql\n%sql con --alias shop",
        f"%sql CREATE TABLE ratings AS FROM '{MOVIELENS / 'ratings.parquet'}'",
        f"%sql {FIT}",
        "%%sql\nSELECT rank, item_id\nFROM mf_recommend(films, 196, k := 3)",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    done = nbclient.NotebookClient(made, timeout=120, kernel_name="python3", resources=resources)
    table = done.execute().cells[-1].outputs[-1].data
    assert table["text/html"].count("<tr>") == 4
    assert "item_id" in table["text/plain"]
