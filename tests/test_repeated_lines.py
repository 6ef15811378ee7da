"""The SQL files say each thing once."""

from __future__ import annotations

from tests.repeated_lines import SQL, repeated

LIMIT = 0.04


def test_few_lines_of_the_sql_files_stand_in_them_twice() -> None:
    found, n_lines = repeated({path.stem: path.read_text() for path in SQL.glob("*.sql")})
    assert sum(found.values()) / n_lines < LIMIT, found


def test_a_repeated_window_is_found_in_any_file_and_indentation() -> None:
    lines = [f"select {n}," for n in range(20)]
    text = "\n".join(lines)
    other = "\n".join(
        ["-- a comment", "begin", *(f"    {line} -- why" for line in lines[3:9]), "end"]
    )
    assert repeated({"one": text}) == ({"one": 0}, 20)
    assert repeated({"one": text, "other": other}) == ({"one": 6, "other": 6}, 28)
    assert repeated({"twice": text + "\n" + "\n".join(lines[:7])}) == ({"twice": 14}, 27)
    assert repeated({"one": text, "short": "\n".join(lines[:5])}) == ({"one": 0, "short": 0}, 25)
