"""A file with installed functions and a published model in node and in a browser without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

import duckmf
from tests.clients import process
from tests.conftest import MOVIELENS

pytestmark = pytest.mark.newest

HERE = Path(__file__).parent / "clients_js"
LIST = "select item_id, score, rank, source from mf_recommend(films, 196, k := 10) order by rank"
QUERIES = [
    LIST,
    "select film, prediction, prediction_source from mf_predict(films, wishes, who, film) order by film",
    "select similar_item_id, similarity from mf_similar_items(films, 1, k := 5) order by rank",
    "select rmse, mae, n from mf_evaluate(films, ratings, user_id, movie_id, rating)",
    "select title, score from films_recommendations where user_id = 42 order by rank",
    "select item_id, prediction, title from films_predictions where user_id = 42 order by item_id limit 5",
    "select users, items, algorithm from films_model",
    "select epoch, train_loss from films_training order by epoch",
    "select user_id, count(*) from mf_recommend(films, k := 2) group by user_id order by user_id limit 3",
    "select version, python from mf_version()",
]
NEEDS_PYTHON = "create temp table m as from mf_fit(ratings, user_id, movie_id, rating)"
ROUNDS = 7


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the sample data, its model, installed functions and what is published."""
    path = tmp_path_factory.mktemp("js") / "shop.duckdb"
    with duckmf.connect(path) as con:
        for table in ("ratings", "movies"):
            con.execute(f"create table {table} as from '{MOVIELENS / table}.parquet'")
        con.execute(
            "create table wishes as from (values (196, 1), (196, 2571), (196, -5)) w(who, film)"
        )
        con.execute("create table films as from mf_fit(ratings, user_id, movie_id, rating)")
        duckmf.install(con)
        duckmf.publish(con, "films", duckmf.Titles("movies", "movie_id", "title"))
    return path


@pytest.fixture(scope="module")
def expected(file: Path) -> list[list[tuple[Any, ...]]]:
    with duckdb.connect(file, read_only=True) as con:
        return [con.execute(query).fetchall() for query in QUERIES]


def needed(program: str) -> str:
    """A program, by its path; its absence skips, or fails where it is required."""
    found = shutil.which(program)
    if found and (HERE / "node_modules").exists():
        return found
    missing = f"npm ci --prefix {HERE}, and {program} on the path"
    if os.environ.get("DUCKMF_REQUIRE_JS"):
        pytest.fail(missing)
    pytest.skip(missing)


def in_node(file: Path, queries: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [needed("node"), HERE / "node.mjs"],
        input=json.dumps({"file": str(file), "queries": queries, "rounds": ROUNDS}),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


class Pages(SimpleHTTPRequestHandler):
    """Serves the page, the file and what is asked; takes the answer."""

    def __init__(
        self, file: Path, asked: bytes, answer: Callable[[bytes], None], *about: Any
    ) -> None:
        self.file, self.asked, self.answer = file, asked, answer
        super().__init__(*about, directory=str(HERE))

    def do_GET(self) -> None:
        made = {"/asked": lambda: self.asked, "/shop.duckdb": self.file.read_bytes}.get(self.path)
        if made is None:
            return super().do_GET()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(made())

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *about: Any) -> None:
        pass


def in_browser(file: Path, queries: list[str], profile: Path) -> list[dict[str, Any]]:
    chromium, answered, answers = needed("chromium"), threading.Event(), []

    def answer(body: bytes) -> None:
        answers.append(json.loads(body))
        answered.set()

    asked = json.dumps({"queries": queries, "rounds": ROUNDS}).encode()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, file, asked, answer)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{server.server_port}/browser.html"
        offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        program = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", offline]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with process([*program, f"--user-data-dir={profile}", page], **quiet):
            assert answered.wait(300), "the page has not answered"
        server.shutdown()
    assert answers[0]["online"] is False
    return list(answers[0]["made"])


def check(made: list[dict[str, Any]], expected: list[list[tuple[Any, ...]]]) -> None:
    *read, refused = made
    for query, answer, rows in zip(QUERIES, read, expected, strict=True):
        assert "error" not in answer, (query, answer)
        assert len(answer["rows"]) == len(rows) > 0
        for got, row in zip(answer["rows"], rows, strict=True):
            assert got == [
                pytest.approx(v, rel=1e-5) if isinstance(v, float) else v for v in row
            ], query
    assert "mf_fit: this needs Python" in refused["error"]


def test_node_reads_it(file, expected):
    check(in_node(file, [*QUERIES, NEEDS_PYTHON]), expected)


def test_a_browser_without_a_network_reads_it(file, expected, tmp_path):
    made = in_browser(file, [*QUERIES, NEEDS_PYTHON], tmp_path)
    check(made, expected)
    print(f"one user's list: {min(made[QUERIES.index(LIST)]['times']):.0f} ms at best")
