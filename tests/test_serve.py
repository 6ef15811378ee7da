"""`duckmf serve` for real: a server process, and the DuckDB shell without Python as its client."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import cli, serve
from duckmf.connection import sqlfiles
from duckmf.errors import CommandError
from tests.clients import SQL, process, shell_program
from tests.conftest import MOVIELENS

TRAIN = "mf_fit(ratings, user_id, movie_id, rating, epochs := 2)"
LONG = "create table films as from mf_fit(ratings, user_id, movie_id, rating, epochs := 10000)"


def wheels() -> list[Path]:
    """The files of the extensions; their absence skips, or fails where they are required."""
    found = [serve.wheel_of(name) for name in ("httpfs", "quack")]
    if None in found and os.environ.get("DUCKMF_REQUIRE_QUACK"):
        pytest.fail("no Quack for this DuckDB: pip install 'duckmf[serve]'")
    if None in found:
        pytest.skip("no Quack for this DuckDB: pip install 'duckmf[serve]'")
    return [file for file in found if file]


@dataclass
class Server:
    process: subprocess.Popen[str]
    welcome: str
    uri: str
    token: str

    def ask(self, *statements: str) -> list[dict[str, object]]:
        """What the last statement gives in a new shell; an error is raised with its text."""
        knows = [f"load '{file}';" for file in wheels()]
        secret = f"create secret (type quack, token '{self.token}');"
        program = [shell_program(), "-no-init", "-bail"]
        done = subprocess.run(
            program,
            input="\n".join([*knows, secret, *statements[:-1], ".mode json", statements[-1]]),
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode or done.stderr:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout[done.stdout.rindex("[{") :])

    def query(self, sql: str) -> list[dict[str, object]]:
        return self.ask(f"from quack_query('{self.uri}', $$ {sql} $$);")

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def serving(path: Path, *options: str, token: str | None = None) -> Iterator[Server]:
    wheels()
    port = free_port()
    command = [sys.executable, "-m", "duckmf.cli", "serve", str(path), "--port", str(port)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if token:
        pipes["stdin"] = subprocess.PIPE
    with process([*command, *options], **pipes) as server:
        if token:
            server.stdin.write(f"{token}\n")
            server.stdin.flush()
        welcome = "".join(iter(server.stdout.readline, "\n")) + "".join(
            server.stdout.readline() for _ in range(3)
        )
        shown = re.search(r"TOKEN '(.*)'", welcome)
        assert shown, server.stderr.read()
        yield Server(server, welcome, f"quack:localhost:{port}", token or shown[1])


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database with ratings, and no functions in it."""
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    return path


def functions(path: Path) -> set[str]:
    with duckdb.connect(str(path)) as con:
        rows = con.execute(
            "select function_name from duckdb_functions() where starts_with(function_name, 'mf_')"
        ).fetchall()
    return {name for (name,) in rows}


def test_a_shell_without_python_trains_recommends_and_evaluates(shop):
    with serving(shop) as server:
        assert server.query(f"create table films as from {TRAIN}")[0]["Count"] > 9000
        assert len(server.query("from mf_recommend(films, 196, k := 3)")) == 3
        attach = f"attach '{server.uri}' as shop;"
        (measured,) = server.ask(
            attach,
            "from shop.query($$ select rmse, n "
            "from mf_evaluate(films, ratings, user_id, movie_id, rating) $$);",
        )
        assert measured["n"] == 100836
        assert 0.3 < measured["rmse"] < 0.9
        kinds = server.ask(attach, "select distinct kind from shop.films order by kind;")
        assert [row["kind"] for row in kinds] == ["epoch", "item", "model", "user"]
        with pytest.raises(RuntimeError, match=r"mf_fit: n_factors is 0; give a whole number"):
            server.query(TRAIN.replace("epochs := 2", "n_factors := 0").join(["from ", ""]))
        assert server.stop() == 0
    with duckdb.connect(str(shop)) as con:
        assert con.execute("select count(*) from mf_recommend(films, 196)").fetchone() == (10,)


def test_the_functions_of_the_client(shop, tmp_path):
    script = tmp_path / "duckmf.sql"
    script.write_text(sqlfiles.script())
    with serving(shop) as server:
        here = f"server := '{server.uri}'"
        read = f".read {SQL / 'remote.sql'}"
        arguments = f"'ratings', 'user_id', 'movie_id', 'rating', options := 'epochs := 2', {here}"
        (info,) = server.ask(read, f"from mf_remote_train('my films', {arguments});")
        assert (info["algorithm"], info["epochs"], info["users"]) == ("als", 2, 610)
        model = server.ask(
            read,
            f"create table films as from mf_remote_fit({arguments});",
            f".read {script}",
            "from mf_recommend(films, 196, k := 3);",
        )
        there = server.ask(read, f"from mf_remote_recommend('my films', 196, k := 3, {here});")
        assert there == model
        everyone = server.ask(
            read, f"select count(*) as n from mf_remote_recommend('my films', k := 2, {here});"
        )
        assert everyone == [{"n": 2 * 610}]
        (measured,) = server.ask(
            read,
            "from mf_remote_evaluate("
            f"'my films', 'ratings', 'user_id', 'movie_id', 'rating', {here});",
        )
        assert measured["n"] == 100836


def test_what_needs_python_is_only_in_the_file_while_it_is_served(shop, tmp_path):
    installed = tmp_path / "installed.duckdb"
    with duckmf.connect(installed) as con:
        duckmf.install(con)
    with serving(shop) as server:
        served = server.query(
            "select function_name from duckdb_functions() where function_name = 'mf_fit'"
        )
        assert served == [{"function_name": "mf_fit"}]
        assert server.stop() == 0
    assert functions(shop) == functions(installed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_gives_a_training_up_and_leaves_nothing_behind(shop, number):
    with serving(shop) as server:
        call = f"from quack_query('{server.uri}', '{LONG}', token := '{server.token}')"
        knows = [word for file in wheels() for word in ("-cmd", f"load '{file}'")]
        command = [shell_program(), "-no-init", "-bail", *knows, "-c", call]
        with process(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
            active = f"select count(*) as n from quack_active_connections() where query = '{LONG}'"
            while server.query(active) == [{"n": 0}]:
                assert client.poll() is None, client.stderr.read()
            time.sleep(1)  # into the training
            assert server.stop(number) == 0
            assert server.process.stderr.read() == ""
            message = client.communicate()[1]
        assert re.search(r"mf_fit: this statement was (interrupted|given up)", message), message
        assert "Nothing was written" in message
    with duckdb.connect(str(shop)) as con:
        assert con.execute("show tables").fetchall() == [("ratings",)]


def test_a_killed_server_leaves_a_file_that_opens(shop):
    with serving(shop) as server:
        server.query("create table t as select 42 as i")
        server.stop(signal.SIGKILL)
    with duckdb.connect(str(shop)) as con:
        assert con.execute("from t").fetchall() == [(42,)]
        with pytest.raises(
            duckdb.Error, match="mf_fit: this needs Python, and here is only the SQL"
        ):
            con.execute(f"from {TRAIN}")
    with serving(shop) as server:
        assert server.query("from t") == [{"i": 42}]
        assert server.stop() == 0
    with duckdb.connect(str(shop)) as con, pytest.raises(duckdb.Error, match="needs Python"):
        con.execute(f"from {TRAIN}")


@pytest.mark.parametrize(
    "statement",
    [
        "from read_text('{}')",
        "copy t to '{}'",
        "attach '{}.duckdb' as other",
        "set enable_external_access = true",
        "set threads = 1",
        "load '{}'",
        "create persistent secret s (type quack, token 'x')",
    ],
)
def test_clients_reach_the_database_and_no_files(shop, tmp_path, statement):
    secret = tmp_path / "secret.txt"
    secret.write_text("of the machine")
    before = sorted(tmp_path.iterdir())
    with serving(shop) as server:
        server.query("create table t as select 42 as i")
        with pytest.raises(RuntimeError, match=r"disabled|locked|cannot|Cannot|external access"):
            server.query(statement.format(secret))
        assert secret.read_text() == "of the machine"
        assert server.query(f"create table films as from {TRAIN}")[0]["Count"] > 9000
        assert server.stop() == 0
    assert sorted(tmp_path.iterdir()) == before
    with duckdb.connect(str(shop)) as con:
        assert con.execute("select count(*) from films where kind = 'model'").fetchall() == [(1,)]


def test_clients_reach_files_where_that_is_asked_for(shop, tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("of the machine")
    with serving(shop, "--allow-files") as server:
        assert server.query(f"select content from read_text('{file}')") == [
            {"content": "of the machine"}
        ]
        (written,) = server.query(f"copy (select 42 as i) to '{tmp_path / 'written.csv'}'")
        assert written == {"Count": 1}


def test_only_who_has_the_token_gets_in(shop, tmp_path):
    with serving(shop) as server:
        assert len(server.token) == 32
        stranger = Server(server.process, "", server.uri, "wrong")
        with pytest.raises(RuntimeError, match="Authentication failed"):
            stranger.query("select 1 as one")
        command = Path(f"/proc/{server.process.pid}/cmdline")
        if command.exists():
            assert server.token not in command.read_text()
    with serving(shop, "--token", token="from standard input") as server:
        assert "standard" not in server.welcome
        assert server.query("select 1 as one") == [{"one": 1}]
    secret = tmp_path / "token"
    secret.write_text("from a file\n")
    with serving(shop, "--token-file", str(secret)) as server:
        assert "from a file" not in server.welcome
        server.token = "from a file"
        assert server.query("select 1 as one") == [{"one": 1}]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["serve", *arguments]) == 1
    return capsys.readouterr().err


def test_other_machines_are_served_only_with_a_token(shop, capsys):
    for host in ("0.0.0.0", "::", "192.168.1.2", "shop.example"):
        assert refusal(capsys, str(shop), "--host", host) == (
            f"duckmf serve: other machines can reach {host}, so the server needs a token of your "
            "own. Give one with --token-file or --token.\n"
        )
    assert all(map(serve.is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1")))


def test_a_token_in_the_command_is_refused(shop, capsys):
    message = refusal(capsys, str(shop), "--token", "secret")
    assert message == (
        "duckmf serve: every user of this machine can read a token in the command. Leave it out: "
        "--token asks for it; or use --token-file.\n"
    )


def test_an_empty_token_is_refused(shop, capsys, tmp_path):
    (tmp_path / "empty").write_text(" \n")
    assert refusal(capsys, str(shop), "--token-file", str(tmp_path / "empty")) == (
        "duckmf serve: the token is empty. Give one, or leave the option out.\n"
    )


def test_a_duckdb_without_quack_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(serve, "wheel_of", lambda name: None)
    with duckdb.connect() as con:
        con.execute("set extension_directory = '/nonexistent'")
        with pytest.raises(CommandError) as refused:
            serve.load_extensions(con)
    assert str(refused.value) == (
        f"duckmf serve: DuckDB {duckdb.__version__} has no extension httpfs here. Run INSTALL "
        "httpfs in it, or pip install 'duckmf[serve]', which has DuckDB 1.5.5 and the extension."
    )


def test_every_function_for_clients_has_a_comment():
    text = (SQL / f"{sqlfiles.CLIENT}.sql").read_text()
    made = re.findall(r"^create or replace macro (\w+)", text, re.MULTILINE)
    said = re.findall(r"^comment on macro (?:table )?(\w+)", text, re.MULTILINE)
    assert made == said
