"""The interactive session: what it suggests, what keys do, and Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from pathlib import Path

import duckdb
import pytest

from duckmf.shell.completion import Catalog, suggestions
from duckmf.shell.session import Session
from tests.clients import process
from tests.conftest import MOVIELENS
from tests.shell.test_shell import refusal


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


def test_nobody_else_reads_the_history(session, monkeypatch, tmp_path):
    for _ in range(2):
        typed(session, "select 42;\r", monkeypatch, tmp_path)
        assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600
        (tmp_path / "history").chmod(0o644)  # as an earlier version has made it


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
    command = [sys.executable, "-m", "duckmf.cli", str(tmp_path / "t.duckdb")]
    own = {"TERM": "xterm", "DUCKMF_HISTORY": str(tmp_path / "history")}
    terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    with process(
        command, **terminal, preexec_fn=lambda: _control(theirs), env=os.environ | own
    ) as shell:
        os.close(theirs)
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
        assert shell.wait(timeout=20) == 0
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
