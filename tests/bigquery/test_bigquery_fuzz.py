"""The reader of BigQuery ML's SQL on mutated scripts; tests/bench/bigquery_fuzz.py has more of them."""

from __future__ import annotations

import pytest

from tests.bigquery import fuzz

pytestmark = pytest.mark.newest


def test_mutated_scripts_are_read_without_a_crash_and_without_changing_what_is_not_ours():
    counts = fuzz.run(3000, seed=11)
    assert counts["ours"] > 1000
    assert counts["not ours"] > 1000
    assert (
        counts["missed"] < 100
    )  # the two lexers read them differently: DuckDB gets them as they are


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a 'b;''c' d", "a  S_  d"),
        ("a e'b\\'c' d", "a e S_  d"),
        ("a$$b $$ c $$", "a$$b  S_ "),
        ("a -- b\nc /* d /* e */ */ f", "a  \nc   f"),
        ('"a""b" `c;`', " Q_   Q_ "),
    ],
)
def test_the_slow_reader_reads_quotes(text, plain):
    assert fuzz.without_quotes(text) == plain


@pytest.mark.parametrize("text", ["'a", '"a', "`a", "$x$ a $$", "/* /* */", "e'\\'"])
def test_the_slow_reader_misses_the_end_of_quotes(text):
    assert fuzz.without_quotes(text) is None
