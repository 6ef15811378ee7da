"""The shell: its reader of scripts, its output and its commands."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.shell import splitting
from tests.clients import process
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
    assert splitting.split(text) == (complete, rest)


@pytest.mark.parametrize(
    "text", ["", "select 1;", ".tables", "  -- a comment", "select 1; -- and a comment", "/* a */"]
)
def test_what_can_run(text):
    assert splitting.is_complete(text)


@pytest.mark.parametrize("text", ["select 1", "select 1; from", "select 'a;", "/* a", "select $$;"])
def test_what_has_to_go_on(text):
    assert not splitting.is_complete(text)


def test_a_script_is_read_line_by_line():
    lines = iter(
        ["select\n", "1;\n", "  .mode csv \n", "-- why\n", ".tables\n", "from t; .timer on\n"]
    )
    items = splitting.items(lines)
    assert next(items) == "select\n1;"
    assert next(lines) == "  .mode csv \n"  # not read before the statement ran
    assert list(items) == [".tables", "from t;", ".timer on"]


def test_a_dot_within_a_statement_is_no_command():
    assert list(splitting.items(["select $$\n", ".tables\n", "$$\n"])) == [
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


def test_ctrl_c_ends_a_script_with_its_status():
    long = (
        "select count(*) from range(100000000) a, range(100000) b where (a.range * b.range) % 7 = 1"
    )
    command = [sys.executable, "-m", "duckmf.cli", "-c", "select 1", "-c", long]
    with process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shell:
        shell.stdout.readline()
        time.sleep(1)
        shell.send_signal(signal.SIGINT)
        assert shell.wait(timeout=20) == 130
        assert "Interrupted!" in shell.communicate()[1]
