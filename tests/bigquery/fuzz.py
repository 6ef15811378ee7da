"""Mutated scripts for the reader of BigQuery ML's SQL, and a slow reader of its own to judge it by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np

from duckmf import bigquery
from duckmf.bigquery import Statement, grammar
from duckmf.connection.sqlfiles import folder
from duckmf.errors import BigQueryError
from tests.bigquery.test_bigquery_script import NOT_OURS, OURS
from tests.bigquery.test_bigquery_tutorials import EXPLICIT_MODEL, IMPLICIT_MODEL

HERE = Path(__file__).parent.parent
SNIPPETS = [
    "'", '"', "`", "$$", "$x$", "$ä$", "--", "/*", "*/", ";", "(", ")", "[", "]", "{", "}", ",", ".", "\n", "\r",
    " ", "\t", "\\", "e'", "E'\\'", "x'", "N'", "{#", "#}", "{{", "{%", "%}", "#", "@", "?", ":=", "::", "//", "0x",
    "1_0", "1e", "é", "日本", "🦆", "\u00a0", "\u2028", "\ud800", "\0", "''", '""', "``", "$1", "a$$b", "a$", "$",
    "ml.recommend(model m)", "ML.EVALUATE(MODEL `m`, (select 1))", "create model m options() as ", "drop model m",
    "CREATE OR REPLACE MODEL", "OPTIONS(", "model", "ml.", "ML . WEIGHTS ( MODEL m )", "'ml.recommend(model m)'",
    "-- drop model m\n", "/* drop model m */", "$$ drop model m $$", "struct(1 as trial_id)", ", table t",
]  # fmt: skip


def corpus() -> list[str]:
    """Statements of all kinds: ours, those of the README, of sql/ and of its tests."""
    readme = (HERE.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sql\n(.*?)```", readme, re.DOTALL)
    files = [path.read_text(encoding="utf-8") for path in sorted(folder().glob("*.sql"))]
    macros = [part for text in files for part in text.split("\n\n") if len(part) < 1500]
    golden = [path.read_text(encoding="utf-8") for path in sorted((HERE / "sql").glob("*.test"))]
    queries = [part.partition("----")[0] for text in golden for part in text.split("\n\n")]
    ours = [text for text, _ in OURS] + [EXPLICIT_MODEL, IMPLICIT_MODEL]
    others = [text for text in (*blocks, *macros, *queries, *NOT_OURS) if text.strip()]
    return ours * (len(others) // len(ours)) + others


def scripts(n: int, seed: int) -> Iterator[str]:
    """n scripts: one to three texts of the corpus, cut, joined and sprinkled with snippets."""
    rng, texts = np.random.default_rng(seed), corpus()
    for _ in range(n):
        chosen = [texts[i] for i in rng.integers(len(texts), size=rng.integers(1, 4))]
        text = ";".join(chosen)[: rng.integers(1, 2500)]
        for _ in range(rng.integers(0, 6)):
            text = mutated(text, rng)
        yield text


def mutated(text: str, rng: np.random.Generator) -> str:
    """The text with a snippet put in, a piece left out, doubled or moved, or a case changed."""
    a, b = sorted(rng.integers(len(text) + 1, size=2))
    b = min(b, a + rng.integers(1, 12))
    kind = rng.integers(5)
    if kind <= 1:
        return text[:a] + SNIPPETS[rng.integers(len(SNIPPETS))] + text[a:]
    if kind == 2:
        return text[:a] + text[b:]
    if kind == 3:
        return text[:b] + text[a:]
    return text[:a] + text[a:b].swapcase() + text[b:]


_NAME = r"(?:[^\W\d]|[^\s\x00-\x7f])(?:[\w$]|[^\s\x00-\x7f])*"
_PATH = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_CALL = re.compile(
    rf"(?<![\w$.])(?:\$?\d[\d_.]*)?ml\.{_NAME}\s*\(\s*model(?:\s+|\s*(?=Q_))(?!isnull\b|notnull\b){_PATH}\s*[,)]",
    re.IGNORECASE,
)
_HEAD = re.compile(r"\s*(?:create(?:\s+or\s+replace)?|drop)\s+model(?![\w$])", re.IGNORECASE)


def ours_by_hand(text: str) -> list[bool] | None:
    """Which statements of a script are ours; None for one that ends inside quotes, or is no Unicode.

    A character at a time, by the lexical rules of PostgreSQL and DuckDB.
    """
    plain = without_quotes(text)
    if plain is None or re.search("[\ud800-\udfff]", text):
        return None
    pieces = plain.split(";")
    if not pieces[-1].strip():
        pieces.pop()
    return [bool(_HEAD.match(p) or _CALL.search(re.sub(r"\s*\.\s*", ".", p))) for p in pieces]


def without_quotes(text: str) -> str | None:
    """Constants become S_, quoted names Q_, comments a space."""
    out, i = [], 0
    while i < len(text):
        rest = text[i : i + 2]
        word_before = _ends_in_a_name("".join(out[-40:]))
        if rest == "--":
            end = re.search(r"[\r\n]|$", text[i:])
            i += end.start() if end else 0
            out.append(" ")
        elif rest == "/*":
            stop = _comment_end(text, i)
            if stop is None:
                return None
            i, _ = stop, out.append(" ")
        elif text[i] in "'\"`":
            escapes = text[i] == "'" and bool(re.search(r"(?<![\w$])e$", "".join(out[-2:]), re.I))
            stop = _quote_end(text, i, escapes)
            if stop is None:
                return None
            i, _ = stop, out.append(" S_ " if text[i] == "'" else " Q_ ")
        elif not word_before and (tag := re.match(r"\$(?:[^\W\d]\w*)?\$", text[i:])):
            at = text.find(tag.group(), i + len(tag.group()))
            if at < 0:
                return None
            i, _ = at + len(tag.group()), out.append(" S_ ")
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def _ends_in_a_name(text: str) -> bool:
    """Whether a $ here goes on with a name; behind a number it does not."""
    word = re.search(r"(?:[\w$]|[^\s\x00-\x7f])*\Z", text)
    return bool(word and re.sub(r"^\d[\d_]*", "", word.group()))


def _comment_end(text: str, i: int) -> int | None:
    depth = 0
    for match in re.finditer(r"/\*|\*/", text[i:]):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return i + match.end()
    return None


def _quote_end(text: str, i: int, escapes: bool) -> int | None:
    quote, i = text[i], i + 1
    while i < len(text):
        if escapes and text[i] == "\\":
            i += 2
        elif text[i] != quote:
            i += 1
        elif text[i : i + 2] == quote * 2:
            i += 2
        else:
            return i + 1
    return None


def judged(con: duckdb.DuckDBPyConnection, text: str, translate: bool) -> str:
    """Read a script, or also translate it, and check what comes of it; says what it was.

    Raises:
        AssertionError: the reader lost a byte, or changed what is not ours.
    """
    found = bigquery.statements(text)
    assert "".join(statement.text for statement in found) == text
    by_hand = ours_by_hand(text) or []
    if not any(statement.ours for statement in found):
        assert all(_unchanged(con, statement) for statement in found)
        return "missed" if any(by_hand) else "not ours"
    assert any(by_hand) or "\0" in text, text
    for statement in found:
        if not statement.ours:
            assert _unchanged(con, statement)
        elif translate:
            _check_translation(con, statement)
    return "ours"


def _unchanged(con: duckdb.DuckDBPyConnection, statement: Statement) -> bool:
    marked = "`" in statement.text and statement.words
    return bool(marked) or bigquery.translate(con, statement) == statement.text


def _check_translation(con: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    """What stands around the calls of ours, and the query after AS, is in the translation."""
    try:
        sql = bigquery.translate(con, statement)
        if statement.kind == "query":
            query = grammar.whole(statement)
        elif statement.kind == "create":
            query = grammar.create_model(statement).query
        else:
            return
    except BigQueryError:
        return
    text = query.source.text
    calls = list(grammar.calls(query))
    cuts = [query.begin, *(cut for call in calls for cut in (call.begin, call.end)), query.end]
    if "`" not in text[query.begin : query.end]:
        at = 0
        for begin, end in zip(cuts[::2], cuts[1::2], strict=True):
            at = sql.index(text[begin:end], at) + (end - begin)


def run(n: int, seed: int, each: int = 10) -> Counter[str]:
    """Judge n scripts, one in `each` also by its translation; how many were what."""
    import duckmf

    con = duckmf.connect()
    con.execute(
        "create table t as from (values (1, 1, 5.0), (1, 2, 3.0), (2, 1, 4.0)) t(user, item, rating)"
    )
    con.execute("create table m as from mf_fit(t, user, item, rating, epochs := 1)").fetchall()
    numbered = enumerate(scripts(n, seed))
    return Counter(judged(con, text, translate=i % each == 0) for i, text in numbered)
