"""The shell: its reader of scripts, its output, its commands, and the interactive session."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.shell import statements
from duckmf.shell.completion import Catalog, suggestions
from duckmf.shell.session import Session
from tests.conftest import MOVIELENS


@pytest.mark.parametrize(
    ("text", "complete", "rest"),
    [
        ("select 1; select 2", ["select 1;"], " select 2"),
        ("select ';'; ", ["select ';';"], " "),
        ('select ";" -- ;\n;', ['select ";" -- ;\n;'], ""),
        ("select $$ ; $$; /* ; */ from t;", ["select $$ ; $$;", " /* ; */ from t;"], ""),
        ("select 'é;€'; from ü;", ["select 'é;€';", " from ü;"], ""),
        ("select 'open; from t;", [], "select 'open; from t;"),
        ("/* open ; ", [], "/* open ; "),
        (";; select 1;", [" select 1;"], ""),
        ("create model m options(a = ';') as from t; from m;",
         ["create model m options(a = ';') as from t;", " from m;"], ""),
    ],
)  # fmt: skip
def test_statements_end_where_duckdb_says(text, complete, rest):
    assert statements.split(text) == (complete, rest)


@pytest.mark.parametrize(
    "text", ["", "select 1;", ".tables", "  -- a comment", "select 1; -- and a comment", "/* a */"]
)
def test_what_can_run(text):
    assert statements.is_complete(text)


@pytest.mark.parametrize("text", ["select 1", "select 1; from", "select 'a;", "/* a", "select $$;"])
def test_what_has_to_go_on(text):
    assert not statements.is_complete(text)


def test_a_script_is_read_line_by_line():
    lines = iter(
        ["select\n", "1;\n", "  .mode csv \n", "-- why\n", ".tables\n", "from t; .timer on\n"]
    )
    items = statements.items(lines)
    assert next(items) == "select\n1;"
    assert next(lines) == "  .mode csv \n"  # not read before the statement ran
    assert list(items) == [".tables", "from t;", ".timer on"]


def test_a_dot_within_a_statement_is_no_command():
    assert list(statements.items(["select $$\n", ".tables\n", "$$\n"])) == [
        "select $$\n.tables\n$$\n"
    ]


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command writes; it has to succeed."""
    assert cli.main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says where it fails."""
    assert cli.main(arguments) == 1
    return capsys.readouterr().err


VALUES = (
    "select 1 as i, 1.50::decimal(4,2) as d, null as n, true as b, 'x,\"y\"' as s, "
    "[1, 2] as l, {'k': date '2020-01-02'} as t, 170141183460469231731687303715884105727 as h"
)


def test_boxes_are_duckdbs(capsys):
    query = "select 1 as i, 'x' as s"
    assert output(capsys, "-c", query).strip() == str(duckdb.sql(query)).strip()


def test_csv_is_what_duckdbs_shell_writes(capsys):
    assert output(capsys, "-csv", "-c", VALUES) == (
        "i,d,n,b,s,l,t,h\n"
        '1,1.50,NULL,true,"x,""y""","[1, 2]",{\'k\': 2020-01-02},'
        "170141183460469231731687303715884105727\n"
    )


def test_json_keeps_types(capsys):
    assert output(capsys, "-json", "-c", VALUES) == (
        '[{"i":1,"d":1.5,"n":null,"b":true,"s":"x,\\"y\\"","l":[1,2],"t":{"k":"2020-01-02"},'
        '"h":170141183460469231731687303715884105727}]\n'
    )


def test_json_of_any_number_of_rows(capsys):
    assert output(capsys, "-json", "-c", "select 1 as a where false") == "[]\n"
    rows = json.loads(output(capsys, "-json", "-c", "select range as i from range(5000)"))
    assert rows == [{"i": i} for i in range(5000)]
    lines = output(capsys, "-jsonlines", "-c", "select range as i from range(3)")
    assert lines == '{"i":0}\n{"i":1}\n{"i":2}\n'


@pytest.mark.parametrize(
    "statement",
    ["show tables", "describe t", "summarize t", "from t", "insert into t values (2) returning i",
     "pragma version", "call pragma_version()", "explain from t", "pivot t on i using count(*)"],
)  # fmt: skip
def test_every_kind_of_result_in_every_mode(capsys, statement):
    make = ("-c", "create table t(i int); insert into t values (1)")
    assert output(capsys, *make, "-c", statement)
    assert len(output(capsys, "-csv", *make, "-c", statement).splitlines()) >= 2
    assert json.loads(output(capsys, "-json", *make, "-c", statement))


def test_a_statement_without_a_result_shows_nothing(capsys):
    script = "create table t(i int); insert into t values (1); set threads = 2; begin; rollback"
    for mode in ("-csv", "-json", "-jsonlines"):
        assert output(capsys, mode, "-c", script) == ""
    assert output(capsys, "-c", script) == ""


def test_statements_and_files_run_in_order(capsys, tmp_path):
    script = tmp_path / "script.sql"
    script.write_text("insert into t values (2);\n.read " + str(tmp_path / "inner.sql") + "\n")
    (tmp_path / "inner.sql").write_text("insert into t values (3)")
    shown = output(
        capsys, str(tmp_path / "new.duckdb"), "-csv",
        "-c", "create table t(i int); insert into t values (1)", "-f", str(script), "-c", "from t",
    )  # fmt: skip
    assert shown == "i\n1\n2\n3\n"


def test_standard_input_is_a_script(capsys, monkeypatch):
    script = ".mode csv\nselect 1 as a;\n.exit\nselect 2 as b;\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(script))
    with pytest.raises(SystemExit) as left:
        cli.main([])
    assert left.value.code == 0
    assert capsys.readouterr().out == "a\n1\n"


def test_the_first_error_ends_a_script(capsys):
    assert cli.main(["-csv", "-c", "select 1 as a; selec 2; select 3", "-c", "select 4"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "a\n1\n"
    assert 'syntax error at or near "selec"' in shown.err
    assert "Table with name capsys does not exist" in refusal(capsys, "-c", "from capsys")
    assert "No such file" in refusal(capsys, "-f", "/nonexistent")


def test_read_only(capsys, tmp_path):
    path = str(tmp_path / "shop.duckdb")
    assert "does not exist" in refusal(capsys, path, "-readonly", "-c", "select 1")
    output(capsys, path, "-c", "create table t(i int)")
    assert "read-only" in refusal(capsys, path, "-readonly", "-c", "insert into t values (1)")
    assert output(capsys, path, "-readonly", "-csv", "-c", "from t") == "i\n"


def test_it_trains_in_sql_and_in_bigquery_mls(capsys):
    shown = output(
        capsys,
        "-jsonlines",
        "-c",
        f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}';"
        "create table films as from mf_fit(ratings, user_id, movie_id, rating, epochs := 2);"
        "create model plans options(model_type = 'matrix_factorization', user_col = 'user_id',"
        "  item_col = 'movie_id', rating_col = 'rating', max_iterations = 2, num_factors = 4,"
        "  data_split_method = 'no_split', early_stop = false)"
        "  as select user_id, movie_id, rating from ratings;"
        "select count(*) as n from mf_recommend(films, 196);"
        "select count(*) as n from ml.recommend(model plans, (select 196 as user_id));",
    )
    first, second = map(json.loads, shown.splitlines())
    assert first == {"n": 10}
    assert second["n"] > 9000


def test_duckdbs_progress_bar_is_not_among_the_results_of_a_script(capsys):
    asked = "select current_setting('enable_progress_bar') as bar"
    assert output(capsys, "-csv", "-c", asked) == "bar\nfalse\n"


def test_the_reader_that_has_enough_is_no_error():
    command = f"{sys.executable} -m duckmf.cli -csv -c 'from range(1000000)' | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("range\n0\n", "")


@pytest.fixture
def session(movielens: duckdb.DuckDBPyConnection) -> Session:
    movielens.execute('create schema other; create table other."my movies" as from movies')
    movielens.execute("create view good as from ratings where rating > 4")
    return Session(movielens)


def test_commands(session, capsys):
    session.script([".tables\n", ".tables g%\n", ".mode\n", ".timer on\n", ".schema movies\n"])
    assert capsys.readouterr().out.splitlines() == [
        *("movies", "other.my movies", "ratings", "good", "good", "duckbox"),
        "CREATE TABLE movies(movie_id INTEGER, title VARCHAR, genres VARCHAR[]);",
    ]
    session.script([".mode csv\n", "select 1 as a;\n"])
    first, second, timing = capsys.readouterr().out.splitlines()
    assert (first, second) == ("a", "1")
    assert re.fullmatch(r"Run Time \(s\): real \d+\.\d{3} user \d+\.\d{3} sys \d+\.\d{3}", timing)
    session.script([".help\n"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [
        *(".exit", ".help", ".mode", ".quit", ".read", ".schema", ".tables", ".timer")
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (".tabels", "duckmf: there is no command .tabels. Did you mean .tables?"),
        (".x", "duckmf: there is no command .x. .help lists all."),
        (".read", "duckmf: .read is not understood. Write .read FILE"),
        (".tables a b", "duckmf: .tables a b is not understood. Write .tables [PATTERN]"),
        (".timer maybe", "duckmf: .timer is maybe. Give on or off."),
        (".read 'a", "duckmf: .read 'a is not understood: No closing quotation."),
        (".mode x",
         "duckmf: there is no mode x. There are duckbox, csv, json, jsonlines."),
    ],
)  # fmt: skip
def test_commands_that_are_wrong(session, line, message):
    with pytest.raises(duckmf.DuckMFError) as refused:
        session.run(line)
    assert str(refused.value) == message


def suggested(session: Session, before: str, after: str = "") -> list[str]:
    return [name.text for name in suggestions(Catalog.of(session.con), before, before + after)]


def test_suggestions(session):
    assert suggested(session, "select * from ra")[0] == "ratings"
    assert suggested(session, "from my")[0] == '"my movies"'
    assert suggested(session, 'from "my m') == ['"my movies"']
    assert suggested(session, "select us", " from ratings")[0] == "user_id"
    assert suggested(session, "select us")[0] == "user_id"
    assert suggested(session, "from ratings r where r.") == [
        "user_id",
        "movie_id",
        "rating",
        "rated_at",
    ]
    assert suggested(session, "from ratings where ratings.u") == ["user_id"]
    assert suggested(session, 'from other."my movies" as m where m.ti') == ["title"]
    assert suggested(session, "SELE")[0] == "SELECT"
    assert "mf_recommend(" in suggested(session, "from mf_rec")
    assert not [name for name in suggested(session, "from mf_") if name.startswith("mf__")]
    assert suggested(session, "from mf_fit(ratings, f(1), n_fa")[0] == "n_factors := "
    assert "n_factors := " not in suggested(session, "from mf_fit(ratings) where n_fa")
    assert suggested(session, "select 'it\"s ") == []


def test_suggestions_come_with_documentation(session):
    names = suggestions(Catalog.of(session.con), "from mf_f", "from mf_f")
    meanings = {name.text: name.meaning for name in names}
    assert meanings["mf_fit("].startswith("Train a model on ratings")


def test_without_its_packages_the_interactive_shell_says_what_to_install(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    monkeypatch.delitem(sys.modules, "duckmf.shell.prompt", raising=False)
    assert refusal(capsys) == (
        "duckmf: the interactive shell needs prompt_toolkit. Run pip install 'duckmf[shell]'; "
        "-c, -f and standard input work without.\n"
    )


def typed(session: Session, keys: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A session in which a user types these keys and leaves."""
    pytest.importorskip("prompt_toolkit")
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    from duckmf.shell import prompt

    monkeypatch.setenv("DUCKMF_HISTORY", str(tmp_path / "history"))
    with create_pipe_input() as terminal, create_app_session(terminal, DummyOutput()):
        terminal.send_text(keys + "\x04")
        prompt.interact(session, "test")


def test_typed_lines_run_when_a_semicolon_ends_them(session, monkeypatch, tmp_path, capsys):
    typed(
        session,
        ".mode csv\rselect 40\r+ 2 as\ranswer;\rselect nothing;\r.tabels\r",
        monkeypatch,
        tmp_path,
    )
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-2:] == ["answer", "42"]
    assert 'Referenced column "nothing"' in shown.err
    assert "Did you mean .tables?" in shown.err
    assert "+ 2 as" in (tmp_path / "history").read_text()


def test_ctrl_c_at_the_prompt_drops_what_is_typed(session, monkeypatch, tmp_path, capsys):
    typed(session, ".mode csv\rselect 43\x03select 42 as answer;\r", monkeypatch, tmp_path)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-2:] == ["answer", "42"]
    assert shown.err == ""


def test_tab_asks_for_suggestions(session):
    pytest.importorskip("prompt_toolkit")
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from duckmf.shell.prompt import SqlCompleter

    completer = SqlCompleter(session)

    def completions(text: str) -> list[tuple[str, int, str]]:
        found = completer.get_completions(Document(text), CompleteEvent())
        return [(one.text, one.start_position, one.display_meta_text) for one in found]

    assert completions("select title from movi") == [("movies", -4, "table or view")]
    session.con.execute("create table moviegoers(i int)")
    assert len(completions("select title from movi")) == 2
    session.con.execute("begin")
    with pytest.raises(duckdb.Error):
        session.con.execute("select error('no')")
    assert completions("select title from movi") == []
    session.con.execute("rollback")


def test_leaving_with_a_command(session, monkeypatch, tmp_path):
    with pytest.raises(SystemExit) as left:
        typed(session, ".quit\rselect 1;\r", monkeypatch, tmp_path)
    assert left.value.code == 0


def test_ctrl_c_ends_a_training_and_not_the_session(tmp_path):
    """In a terminal of its own, as a user sees it."""
    pytest.importorskip("prompt_toolkit")
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    con = duckdb.connect(str(tmp_path / "t.duckdb"))
    con.execute(f"create table ratings as from '{MOVIELENS / 'ratings.parquet'}'")
    con.close()
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = subprocess.Popen(
        [sys.executable, "-m", "duckmf.cli", str(tmp_path / "t.duckdb")],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: _control(theirs),
        env={**os.environ, "TERM": "xterm", "DUCKMF_HISTORY": str(tmp_path / "history")},
    )  # fmt: skip
    os.close(theirs)
    try:
        read_until(ours, "Tab completes")
        train = (
            "create table m as from mf_fit(ratings, user_id, movie_id, rating, epochs := 10000);"
        )
        os.write(ours, train.encode() + b"\r")
        read_until(ours, "loss=")
        os.write(ours, b"\x03")
        read_until(ours, "nterrupted")
        os.write(ours, b".mode csv\r.tables\rselect 40 + 2 as answer;\r")
        shown = read_until(ours, "42\r\n")
        assert "ratings" in shown
        assert "\nm\r\n" not in shown
        os.write(
            ours,
            b"select count(*) from range(100000000) a, range(100000) b where (a.range*b.range)%7=1;\r",
        )
        time.sleep(1.5)
        os.write(ours, b"\x03")
        read_until(ours, "Interrupted!")
        os.write(ours, b".exit\r")
        with contextlib.suppress(OSError):  # the terminal goes with its process
            read_until(ours, "never")
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _control(terminal: int) -> None:
    """Make a terminal the one that Ctrl-C comes from."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def read_until(terminal: int, text: str) -> str:
    shown = ""
    deadline = time.monotonic() + 40
    while text not in shown:
        assert time.monotonic() < deadline, shown
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def test_ctrl_c_ends_a_script_with_its_status():
    long = (
        "select count(*) from range(100000000) a, range(100000) b where (a.range * b.range) % 7 = 1"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "duckmf.cli", "-c", "select 1", "-c", long],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert "Interrupted!" in process.communicate()[1]
