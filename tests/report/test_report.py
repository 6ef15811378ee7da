"""`duckmf report`: one HTML file, whole, safe and small, for every kind of model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import duckmf
from duckmf import cli
from tests.conftest import MOVIELENS

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from duckmf.report.database import ReportDatabase
from duckmf.report.item_map import COLORS, grouped, labelled, principal_components
from duckmf.report.request import ReportRequest

SECTIONS = [
    "Learning",
    "Popularity and the long tail",
    "Map of the items",
    "Nearest neighbours",
    "Time",
    "Sample users",
    "Every option and count",
]
TITLES = ["--titles", "movies", "--id", "movie_id", "--title", "title", "--color", "genres[1]"]
TEST = ["--test", "test", "--user", "user_id", "--item", "movie_id"]
MODELS = {
    "films": "mf_fit(train, user_id, movie_id, rating, validation_fraction := 0.1)",
    "biases": "mf_fit(train, user_id, movie_id, rating, algorithm := 'bias')",
    "popular": "mf_fit(train, user_id, movie_id, algorithm := 'popularity')",
    "clicks": "mf_fit(train, user_id, movie_id, n_factors := 8)",
    "forgetful": "mf_fit(train, user_id, movie_id, rating, n_factors := 1, keep_seen := false)",
    "timed": "mf_fit(train, user_id, movie_id, rating, rated_at, n_factors := 8, temporal := ['item_bins', 'user_drift'], temporal_regularization := 2)",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with MovieLens and a model of each kind."""
    path = tmp_path_factory.mktemp("report") / "movies.duckdb"
    con = duckmf.connect(path)
    for table in ("ratings", "movies"):
        con.execute(f"create table {table} as from '{MOVIELENS / table}.parquet'")
    con.execute("create table parts as from mf_split(ratings, user_id, movie_id)")
    con.execute("create view train as from parts where split = 'train'")
    con.execute("create view test as from parts where split = 'test'")
    for name, call in MODELS.items():
        con.execute(f"create table {name} as from {call}")
    con.execute("""create table "fi""lms" as from films""")
    con.execute("create table twice as from movies union all from movies")
    con.execute(
        "create table odd as select movie_id, '</script><script>alert(1)</script><b>' || title as title, "
        "'<i>' || genres[1] as genre from movies"
    )
    con.close()
    return str(path)


def report(database: str, path: Path, *arguments: str) -> str:
    assert cli.main(["report", database, *arguments, "-o", str(path)]) == 0
    return path.read_text(encoding="utf-8")


def specs(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r"Object\.entries\((\{.*\})\)\) \{$", page, re.MULTILINE)
    assert found
    return json.loads(found[1])


def own(page: str) -> str:
    """The page without the library of the charts."""
    first, _, *rest = page.split("<script>")
    return first + "<script>".join(rest)


@pytest.mark.parametrize("model", MODELS)
def test_a_report_has_every_section_whatever_the_model(database, tmp_path, model):
    page = own(report(database, tmp_path / "r.html", model))
    quality = (
        "Errors" if model in ("films", "biases", "forgetful", "timed") else "Quality of the lists"
    )
    for section in [*SECTIONS, quality]:
        assert f"<h2>{section}</h2>" in page
    charts = specs(page)
    assert set(re.findall(r'class="chart" id="(\w+)"', page)) == set(charts)
    assert ("epochs" in charts) == (model != "popular")
    assert ("map" in charts) == (model not in ("biases", "popular"))
    assert ("error_by_rating" in charts) == (model in ("films", "biases", "timed"))
    assert ("item_bins" in charts) == (model == "timed")


def test_a_report_is_quick_small_and_needs_no_network(database, tmp_path):
    began = time.process_time()
    page = report(database, tmp_path / "r.html", "films", *TITLES, *TEST, "--rating", "rating")
    assert time.process_time() - began < 10
    assert len(page.encode()) < 3_000_000
    assert "default-src 'none'" in page
    assert not re.search(r"<link|<img|<iframe|\bsrc=|\bhref=|@import|url\(", own(page))
    assert "Shawshank Redemption, The (1994)" in own(page)


def test_the_errors_are_those_of_mf_evaluate(database, tmp_path):
    page = report(database, tmp_path / "r.html", "films", *TEST, "--rating", "rating")
    with duckmf.connect(database, read_only=True) as con:
        rmse, mae, n = con.execute(
            "select rmse, mae, n from mf_evaluate(films, test, user_id, movie_id, rating)"
        ).fetchone()
        (train,) = con.execute(
            "select rmse from mf_evaluate(films, train, user_id, movie_id, rating)"
        ).fetchone()
    row = f"<tr><th>held out</th><td>{rmse:.4f}</td><td>{mae:.4f}</td><td>{n:,}</td></tr>"
    assert row in page
    (training,) = re.findall(r"<th>training</th><td>([\d.]+)", page)
    assert float(training) < train  # which has the rows held out of training too
    bars = specs(page)["error_by_rating"]["data"]["values"]
    held_out = [bar for bar in bars if bar["part"] == "held out"]
    total = sum(bar["n"] * bar["rmse"] ** 2 for bar in held_out)
    assert np.sqrt(total / sum(bar["n"] for bar in held_out)) == pytest.approx(rmse, rel=1e-5)


def test_a_model_that_ranks_is_judged_by_its_lists(database, tmp_path):
    page = report(database, tmp_path / "r.html", "clicks", *TEST)
    with duckmf.connect(database, read_only=True) as con:
        (ndcg,) = con.execute(
            "select ndcg from mf_evaluate_ranking(clicks, test, user_id, movie_id)"
        ).fetchone()
    assert f"<td>{ndcg:.3f}</td>" in page
    bars = specs(page)["ranking_by_activity"]["data"]["values"]
    mean = sum(bar["ndcg"] * bar["users"] for bar in bars) / sum(bar["users"] for bar in bars)
    assert mean == pytest.approx(ndcg)


def test_held_out_ratings_are_predicted_for_their_times(database, tmp_path):
    rated = [*TEST, "--rating", "rating", "--ts", "rated_at"]
    page = report(database, tmp_path / "r.html", "timed", *rated)
    with duckmf.connect(database, read_only=True) as con:
        (rmse,) = con.execute(
            "select rmse from mf_evaluate(timed, test, user_id, movie_id, rating, ts := rated_at)"
        ).fetchone()
    assert f"<th>held out</th><td>{rmse:.4f}</td>" in page


def test_titles_are_text_whatever_they_hold(database, tmp_path):
    page = report(
        database, tmp_path / "r.html", "films",
        "--titles", "odd", "--id", "movie_id", "--title", "title", "--color", "genre",
    )  # fmt: skip
    assert "<script>alert" not in page
    assert "<b>" not in own(page)
    assert "&lt;script&gt;alert(1)" in page
    point = specs(page)["map"]["layer"][0]
    assert "</script><script>alert(1)</script><b>" in json.dumps(point) + json.dumps(specs(page))


def test_a_name_with_quotes_is_a_name(database, tmp_path):
    if duckmf.connect().execute("select version() < 'v2'").fetchone() == (True,):
        pytest.skip("query_table of DuckDB 1 takes no name with a double quote")
    assert "<h1>&#34;fi&#34;&#34;lms&#34;</h1>" in report(
        database, tmp_path / "r.html", '"fi""lms"'
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["films", "--titles", "movies"], "duckmf report: --titles needs --id EXPR."),
        (["films", "--color", "genres"], "duckmf report: --color needs --titles RELATION."),
        (["films", "--test", "test", "--user", "user_id"], "duckmf report: --test needs --item EXPR."),
        (["films", *TEST], "duckmf report: films predicts ratings, and --test comes without them. Give --rating."),
        (
            ["films", "--titles", "movies", "--id", "-movie_id", "--title", "title"],
            "duckmf report: no item of films is in movies. --id is -movie_id; give the ids that the model was trained on.",
        ),
        (
            ["films", "--titles", "(values (1))", "--id", "movie_id", "--title", "title"],
            "does not exist",
        ),
        (["movies"], "mf_info: this relation is not a model: it has 0 rows of kind 'model', not 1."),
        (["films", "--titles", "twice", "--id", "movie_id", "--title", "title"], "duckmf report: twice has several rows for the item"),
        (["films", "--titles", "movies", "--id", "movie_id); drop table movies; --", "--title", "1"], "syntax error"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_refused(database, tmp_path, capsys, arguments, message):
    path = tmp_path / "r.html"
    parsed = [f"{a}={b}" for a, b in zip(arguments[1::2], arguments[2::2], strict=True)]
    assert cli.main(["report", database, arguments[0], *parsed, "-o", str(path)]) == 1
    assert message in capsys.readouterr().err
    assert not path.exists()


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("duckmf.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(duckmf, "report", raising=False)
    monkeypatch.setitem(sys.modules, "altair", None)
    assert cli.main(["report", "a.duckdb", "films"]) == 1
    assert capsys.readouterr().err == (
        "duckmf report: the package altair is missing. pip install 'duckmf[report]'.\n"
    )


def test_of_many_users_a_sample_is_shown(database, monkeypatch, tmp_path):
    monkeypatch.setattr("duckmf.report.database.USERS", 50)
    monkeypatch.setattr("duckmf.report.writer.USERS", 50)
    opened = ReportDatabase(ReportRequest(database, "films"))
    lists = opened.con.sql("select count(distinct user_id) from mf__report_lists").fetchall()
    opened.close()
    assert lists == [(50,)]
    assert "a sample of 50 of the 610 users" in report(database, tmp_path / "r.html", "films")


def test_the_map_is_that_of_the_principal_components():
    rng = np.random.default_rng(3)
    factors = rng.normal(size=(50, 5)) * [5, 3, 1, 0.5, 0.1]
    places, shares = principal_components(factors)
    values, vectors = np.linalg.eigh(np.cov(factors.T, bias=True))
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum())
    expected = (factors - factors.mean(axis=0)) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(places), np.abs(expected))
    again, _ = principal_components(-factors[:, ::-1])
    np.testing.assert_allclose(again, places)
    single, one = principal_components(factors[:, :1])
    assert (single[:, 1].tolist(), one.tolist()) == ([0.0] * 50, [1.0, 0.0])


def test_rare_colours_are_grouped_and_labels_stay_apart():
    colors = [letter for letter in "abcdefghijkl" for _ in range(ord(letter))]
    assert len(set(grouped(colors))) == COLORS
    assert grouped(["x", "y"]) == ["x", "y"]
    places = np.array([[0, 0], [0.01, 0.01], [0, 1], [1, 0.01], [1, 0.0]])
    assert labelled(places).tolist() == [True, False, True, True, False]


def browse(folder: Path) -> list[str]:
    """The command of a browser without a window; DUCKMF_REQUIRE_CHROMIUM forbids to skip."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None and not os.environ.get("DUCKMF_REQUIRE_CHROMIUM"):
        pytest.skip("no chromium")
    assert program, "DUCKMF_REQUIRE_CHROMIUM is set, and there is no chromium"
    return [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=8000",
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["films", "timed"])
def test_a_browser_draws_every_chart(database, tmp_path, model):
    page = report(
        database, tmp_path / "r.html", model,
        "--titles", "odd", "--id", "movie_id", "--title", "title", "--color", "genre",
    )  # fmt: skip
    shown = ["--enable-logging=stderr", "--window-size=1200,3000", "--dump-dom"]
    done = subprocess.run(
        [*browse(tmp_path), *shown, (tmp_path / "r.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    charts = dict(
        re.findall(
            r'<div class="chart[^"]*" id="(\w+)"[^>]*>(.*?)</figure>', done.stdout, re.DOTALL
        )
    )
    assert set(charts) == set(specs(page))
    for name, drawn in charts.items():
        assert "<svg" in drawn, name
        assert re.search(r"<path[^>]* d=\"M", drawn), name
