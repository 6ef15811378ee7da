"""dbt: the plugin, the package that comes with it, and the example project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.demo import examples
from tests.dbt.project import GUIDE, PACKAGE, RATINGS, Project, invoke, yaml
from tests.test_serve import serving, wheels

README = Path(__file__).parent.parent.parent / "README.md"


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The example project, built as its README says, by the command line."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(examples(), folder / "examples")
    shutil.copytree(PACKAGE, folder / "duckmf" / "dbt" / "package")
    for command in ("deps", "build"):
        run = [str(Path(sys.executable).parent / "dbt"), command]
        here = os.environ | {"PYTHONPATH": str(Path(duckmf.__file__).parent.parent)}
        done = subprocess.run(
            run, cwd=folder / "examples" / "dbt", capture_output=True, text=True, env=here
        )
        assert done.returncode == 0, done.stdout
        assert "WARN" not in done.stdout.replace("WARN=0", ""), done.stdout
        assert "eprecat" not in done.stdout, done.stdout
    return folder / "examples" / "dbt"


def test_the_example_recommends_what_is_offered_to_everyone(example):
    with duckdb.connect(str(example / "movies.duckdb"), read_only=True) as plain:
        lists = plain.execute(
            "select count(distinct user_id), max(rank), count(*) filter (title is null) from top10"
        ).fetchone()
        assert lists == (610, 10, 0)
        assert plain.execute("select rmse < 0.9, ndcg > 0.05 from evaluation").fetchone() == (
            True,
            True,
        )


def test_every_column_of_a_model_is_documented(example):
    with duckdb.connect(str(example / "movies.duckdb"), read_only=True) as plain:
        columns = plain.execute(
            "select column_name, comment from duckdb_columns() where table_name = 'films'"
        ).fetchall()
        assert len(columns) == 18
        assert [name for name, comment in columns if comment is None] == []


MODELS = {
    "ratings.sql": RATINGS,
    "films.sql": "select * from mf_fit({{ ref('ratings') }}, user_id, item_id, rating, n_factors := 8)",
    "top3.sql": "select * from mf_recommend({{ ref('films') }}, k := 3)",  # a view, as dbt's default is
    "through_macros.sql": "{{ duckmf.fit(ref('ratings'), 'user_id', 'item_id', 'rating', n_factors=8) }}",
    "models.yml": {
        "models": [
            {"name": name, "config": {"materialized": "table"}}
            for name in ("ratings", "films", "through_macros")
        ]
    },
}


LEARNT = "select kind, user_id, item_id, bias, factors, epoch from {} order by all"


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("shop"), MODELS)
    project.dbt("build", "--threads", "4")
    return project


def test_a_select_is_a_trained_model_with_any_number_of_threads(shop):
    four = shop.query(LEARNT.format("films"))
    assert shop.query(LEARNT.format("through_macros")) == four
    shop.dbt("build", "--threads", "1")
    assert shop.query(LEARNT.format("films")) == four


def test_a_view_over_a_model_is_read_without_python(shop):
    assert shop.query("select count(*), max(rank) from top3") == [(120, 3)]


def test_lineage_goes_from_ratings_to_recommendations(shop):
    manifest = json.loads((shop.folder / "target" / "manifest.json").read_text())
    assert manifest["parent_map"]["model.shop.films"] == ["model.shop.ratings"]
    assert manifest["parent_map"]["model.shop.top3"] == ["model.shop.films"]


def test_defer_reads_the_model_of_another_target(shop, tmp_path):
    shop.dbt("compile")
    shutil.copytree(shop.folder / "target", tmp_path / "prod")
    state = ["--defer", "--state", str(tmp_path / "prod"), "--target", "dev"]
    assert shop.dbt("run", "--select", "top3", *state) == {"top3": "success"}
    assert shop.query("from mine.top3 order by all") == shop.query("from main.top3 order by all")
    tables = shop.query("select table_name from duckdb_tables() where schema_name = 'mine'")
    assert tables == []


def test_the_docs_hold_the_columns_of_a_model_and_the_macros(shop):
    shop.dbt("docs", "generate")
    catalog = json.loads((shop.folder / "target" / "catalog.json").read_text())
    assert "factors" in catalog["nodes"]["model.shop.films"]["columns"]
    manifest = json.loads((shop.folder / "target" / "manifest.json").read_text())
    macros = [m for m in manifest["macros"].values() if m["package_name"] == "duckmf"]
    assert [m["name"] for m in macros if not m["description"]] == []
    assert len(macros) >= 13
    documented = {d["name"] for d in manifest["docs"].values() if d["package_name"] == "duckmf"}
    columns = {name for (name,) in shop.query("select column_name from (describe films)")}
    assert documented == columns | {"model"}


def test_empty_gives_every_relation_its_columns_and_no_rows(example, tmp_path, monkeypatch):
    shutil.copytree(examples() / "data", tmp_path / "data")
    project = shutil.copytree(example, tmp_path / "dbt", symlinks=True)
    (project / "movies.duckdb").unlink()
    monkeypatch.chdir(project)  # the source is a file, and dbt-duckdb reads it from here
    done, statuses = invoke(project, "build", "--empty")
    assert done.success, statuses
    assert set(statuses.values()) == {"success", "pass"}
    columns = (
        "select table_name, column_name, data_type from duckdb_columns() "
        "where schema_name = 'main' order by all"
    )
    with duckdb.connect(str(example / "movies.duckdb"), read_only=True) as plain:
        full = plain.execute(columns).fetchall()
    with duckdb.connect(str(project / "movies.duckdb"), read_only=True) as plain:
        assert plain.execute(columns).fetchall() == full
        for table in ("films", "trial", "offered_films", "top10", "evaluation"):
            assert plain.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_generic_tests_fail_where_a_model_is_not_good_enough(tmp_path):
    held_out = {"held_out": "ref('ratings')", "user_id": "user_id", "item_id": "item_id"}

    def tests(rmse: float, ndcg: float, age: str) -> list[object]:
        return [
            {
                "duckmf.rmse_below": {
                    "name": f"rmse_{rmse}",
                    "arguments": held_out | {"rating": "rating", "max": rmse},
                }
            },
            {"duckmf.ndcg_above": {"name": f"ndcg_{ndcg}", "arguments": held_out | {"min": ndcg}}},
            {
                "duckmf.model_is_fresh": {
                    "name": f"age_{age}".replace(" ", "_"),
                    "arguments": {"max_age": age},
                }
            },
        ]

    films = {"name": "films", "config": {"materialized": "table"}}
    films["data_tests"] = tests(5.0, -0.1, "1 hour") + tests(0.001, 0.999, "-1 hours")
    project = Project(
        tmp_path,
        {
            "ratings.sql": RATINGS,
            "films.sql": MODELS["films.sql"],
            "models.yml": {"models": [films]},
        },
    )
    done, statuses = project.invoke("build")
    assert not done.success
    assert statuses == {
        "ratings": "success",
        "films": "success",
        "rmse_5.0": "pass",
        "ndcg_-0.1": "pass",
        "age_1_hour": "pass",
        "rmse_0.001": "fail",
        "ndcg_0.999": "fail",
        "age_-1_hours": "fail",
    }


def test_a_failed_training_leaves_the_model_of_before(tmp_path):
    project = Project(tmp_path, MODELS)
    project.dbt("run")
    before = project.query("select * from films order by all")
    project.write(
        "models/ratings.sql",
        "select 1 as user_id, i as item_id, null::int as rating from range(3) as r(i)",
    )
    done, statuses = project.invoke("build")
    assert statuses["films"] == "error"
    (message,) = [r.message for r in done.result.results if r.node.name == "films"]
    assert "mf_fit: rating is NULL in 3 of 3 rows" in message
    assert project.query("select * from films order by all") == before


@pytest.mark.parametrize("install", [True, False])
def test_the_profile_says_whether_macros_are_written_to_the_database(tmp_path, install):
    project = Project(tmp_path, {"one.sql": "select 1 as one"})
    project.profile({"plugins": [{"module": "duckmf.dbt", "config": {"install": install}}]})
    project.dbt("run")
    (found,) = project.query(
        "select count(*) > 0 from duckdb_functions() where function_name = 'mf_recommend'"
    )
    assert found == (install,)


def test_a_profile_that_says_something_else_is_refused(tmp_path):
    project = Project(tmp_path, {"one.sql": "select 1 as one"})
    project.profile({"plugins": [{"module": "duckmf.dbt", "config": {"install": "maybe"}}]})
    done, _ = project.invoke("run")
    assert "duckmf.dbt: install is 'maybe'. Give true or false in profiles.yml." in str(
        done.exception
    )


def test_without_the_plugin_a_model_that_the_command_trained_is_a_source(tmp_path):
    """The route for a dbt that loads no plugins: the duckmf command trains between two runs."""
    project = Project(
        tmp_path,
        {
            "ratings.sql": RATINGS,
            "top3.sql": "{{ duckmf.recommend(source('trained', 'films'), k=3) }}",
            "models.yml": {
                "models": [{"name": "ratings", "config": {"materialized": "table"}}],
                "sources": [{"name": "trained", "schema": "main", "tables": [{"name": "films"}]}],
            },
        },
        plugin=False,
    )
    project.dbt("run", "--select", "ratings")
    assert cli.main(["install", str(tmp_path / "shop.duckdb")]) == 0
    (script,) = re.findall(r'python -c "(.*)"', GUIDE.read_text(encoding="utf-8"))
    here = os.environ | {"PYTHONPATH": str(Path(duckmf.__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env=here)
    assert project.dbt("run", "--exclude", "ratings") == {"top3": "success"}
    assert project.query("select count(*) from top3") == [(120,)]


def test_the_command_takes_the_place_of_its_own_package_only(tmp_path, capsys):
    folder = tmp_path / "packages" / "duckmf"
    assert cli.main(["dbt-package", str(folder)]) == 0
    (folder / "macros" / "old.sql").touch()
    assert cli.main(["dbt-package", str(folder)]) == 0
    assert not (folder / "macros" / "old.sql").exists()
    assert f"- local: {folder}" in capsys.readouterr().out
    assert cli.main(["dbt-package", str(tmp_path)]) == 1
    assert f"duckmf dbt-package: {tmp_path} holds something else" in capsys.readouterr().err


def test_the_package_has_the_version_of_duckmf():
    assert (
        yaml.safe_load((PACKAGE / "dbt_project.yml").read_text())["version"] == duckmf.__version__
    )


def test_the_project_of_the_readme_builds(tmp_path):
    text = README.read_text(encoding="utf-8")
    files = re.findall(r"```(?:jinja|yaml)\n((?:--|#) (\S+)\n.*?)```", text, re.DOTALL)
    assert {name for _, name in files} == {
        "profiles.yml",
        "models/films.sql",
        "models/top10.sql",
        "models/models.yml",
    }
    project = Project(
        tmp_path, {"ratings.sql": RATINGS, "held_out.sql": "select * from {{ ref('ratings') }}"}
    )
    for content, name in files:
        project.write(name, content.replace("shop.duckdb", str(tmp_path / "shop.duckdb")))
    _, statuses = project.invoke("build")
    assert statuses["top10"] == "success"
    assert sum(status in ("pass", "fail") for status in statuses.values()) == 3
    assert project.query("select count(*), max(rank) from top10") == [(400, 10)]


def test_an_incremental_model_folds_in_who_is_new_or_changed(tmp_path):
    blocks = re.findall(r"```jinja\n([^`]*)```", GUIDE.read_text(encoding="utf-8"))
    (films,) = [block for block in blocks if "incremental_fit" in block]
    known = f"with known as ({RATINGS}) select * from known"
    project = Project(tmp_path, {"ratings.sql": known, "films.sql": films})
    project.dbt("build")
    trained = project.query("from films order by all")
    project.dbt("build")
    assert project.query("from films order by all") == trained

    # 1000 is new, 0 has another item, and of the item of 1001 the model knows nothing
    more = "union all values (1000, 1, 5), (1000, 2, 1), (0, 0, 5), (0, 777, 5), (1001, 777, 5)"
    project.write("models/ratings.sql", f"{known} {more}")
    project.dbt("build")
    rated = dict(project.query("select user_id, ratings from films where kind = 'user'"))
    assert (rated.get(0), rated.get(1000), rated.get(1001)) == (21, 2, None)
    others = "from films where kind <> 'user' or user_id not in (0, 1000) order by all"
    assert project.query(others) == [row for row in trained if row[1] != 0]

    project.dbt("build", "--full-refresh")
    assert project.query("select count(*) from films where item_id = 777") == [(1,)]


def test_a_served_database_trains_for_a_dbt_without_plugins(tmp_path):
    extensions = [f"load '{file}'" for file in wheels()]
    with duckmf.connect(tmp_path / "warehouse.duckdb") as con:
        con.execute(f"create table ratings as {RATINGS}")
    with serving(tmp_path / "warehouse.duckdb") as server:
        training = "from mf_fit(ratings, user_id, item_id, rating, epochs := 2)"
        project = Project(
            tmp_path,
            {
                "films.sql": "{{ config(materialized='table') }}"
                f" select * from quack_query('{server.uri}', $$ {training} $$)",
                "top3.sql": "{{ duckmf.recommend(ref('films'), k=3) }}",
            },
            plugin=False,
        )
        assert cli.main(["install", str(tmp_path / "shop.duckdb")]) == 0
        secret = f"create or replace secret (type quack, token '{server.token}')"
        settings = {"name": "shop", "profile": "shop", "on-run-start": [*extensions, secret]}
        project.write("dbt_project.yml", settings)
        statuses = project.dbt("run")
        assert (statuses["films"], statuses["top3"]) == ("success", "success")
    assert project.query("select count(*) from top3") == [(120,)]


def test_the_macros_take_options_and_expressions(tmp_path):
    project = Project(
        tmp_path,
        {
            "ratings.sql": f"select *, date '2024-01-01' + (user_id % 20)::int as day from ({RATINGS})",
            "ratings.yml": {"models": [{"name": "ratings", "config": {"event_time": "day"}}]},
            "films.sql": "{{ config(materialized='table') }}"
            "{{ duckmf.fit(ref('ratings'), 'user_id', 'item_id * 2', 'rating', ts='day',"
            " validation='user_id = 1', n_factors=3, algorithm='svd', keep_seen=false, seed=none) }}",
            "literals.sql": """select {{ duckmf.literal(["it's", "two"]) }}, {{ duckmf.literal(1.5) }}""",
        },
    )
    project.dbt("run")
    info = "algorithm, n_factors, held_out, options::json->>'keep_seen', users"
    assert project.query(f"select {info} from mf_info(films)") == [("svd", 3, 20, "false", 40)]
    assert project.query("select max(item_id) from films") == [(58,)]
    assert project.query("from literals") == [(["it's", "two"], 1.5)]

    project.dbt("run", "--sample", "{'start': '2024-01-01', 'end': '2024-01-06'}")
    assert project.query("select users from mf_info(films)") == [(10,)]


def test_a_model_starts_from_another_or_learns_from_new_ratings(tmp_path):
    table = "{{ config(materialized='table') }}"
    columns = "'user_id', 'item_id', 'rating'"
    project = Project(
        tmp_path,
        {
            "ratings.sql": f"select * from ({RATINGS})",
            "today.sql": "select 1000 as user_id, 1 as item_id, 5 as rating",
            "films.sql": f"{table}{{{{ duckmf.fit(ref('ratings'), {columns}, n_factors=3) }}}}",
            "warm.sql": f"{table}{{{{ duckmf.fit(ref('ratings'), {columns}, warm_start=ref('films'), epochs=1) }}}}",
            "next.sql": f"{table}{{{{ duckmf.update_model(ref('films'), ref('today'), {columns}) }}}}",
        },
    )
    for flags in ((), ("--empty",), ()):
        statuses = project.dbt("run", *flags)
        assert statuses == dict.fromkeys(statuses, "success")
    assert project.query("select n_factors, epochs, users from mf_info(warm)") == [(3, 1, 40)]
    assert project.query("select users from mf_info(next)") == [(41,)]
