"""The interactive shell: lines with completion, highlighting and a history."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

import duckmf
from duckmf.errors import DuckMFError
from duckmf.shell import splitting
from duckmf.shell.completion import Catalog, suggestions
from duckmf.shell.session import Session
from duckmf.statements import interrupts

PROMPT = "duckmf> "


def interact(session: Session, database: str) -> None:
    """Read and run until the user leaves; an error ends a statement, not the session."""
    print(f"duckmf {duckmf.__version__} on DuckDB {duckdb.__version__}, {database}")
    print("A statement ends with a semicolon. .help lists commands, Tab completes.")
    lines = prompt_session(session)
    while True:
        try:
            text = lines.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        finally:
            interrupts.listen()  # prompt_toolkit leaves no wakeup descriptor
        run(session, text)


def run(session: Session, text: str) -> None:
    """Run what was typed and show its errors; Ctrl-C ends it."""
    try:
        session.script(text.splitlines(keepends=True))
    except (duckdb.Error, DuckMFError, OSError, KeyboardInterrupt) as error:
        print(error, file=sys.stderr)


def prompt_session(session: Session) -> PromptSession[str]:
    """Where the user types: several lines until a semicolon ends them."""
    return PromptSession(
        PROMPT,
        multiline=True,
        prompt_continuation=" " * (len(PROMPT) - 2) + "> ",
        lexer=PygmentsLexer(SqlLexer),
        history=FileHistory(str(_own(history_file()))),
        completer=SqlCompleter(session),
        complete_while_typing=False,
        key_bindings=_keys(),
    )


def history_file() -> Path:
    """Where the typed statements of all sessions are kept."""
    return Path(os.environ.get("DUCKMF_HISTORY") or Path.home() / ".duckmf_history")


def _own(file: Path) -> Path:
    """The file, which nobody else may read: statements may hold secrets."""
    if not file.exists():
        file.touch(mode=0o600)
    elif file.is_file():
        file.chmod(0o600)
    return file


class SqlCompleter(Completer):
    """Suggests names from the catalog as it is now."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What may stand at the cursor, with a line of documentation."""
        try:
            catalog = Catalog.of(self._session.con)
        except duckdb.TransactionException:  # one that has failed answers nothing more
            return
        for name in suggestions(catalog, document.text_before_cursor, document.text):
            yield Completion(name.text, -name.replaces, display_meta=name.meaning)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @Condition
    def ended() -> bool:
        return splitting.is_complete(get_app().current_buffer.text)

    @keys.add("enter", filter=ended)
    def accept(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return keys
