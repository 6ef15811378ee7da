"""A session of the shell."""

from __future__ import annotations

import duckdb
import pytest

from duckmf.shell.session import Session


@pytest.fixture
def session(movielens: duckdb.DuckDBPyConnection) -> Session:
    movielens.execute('create schema other; create table other."my movies" as from movies')
    movielens.execute("create view good as from ratings where rating > 4")
    return Session(movielens)
