"""What a spawned process imports and runs."""

from __future__ import annotations

import duckmf
from tests.reliability import RATINGS


def model() -> list[tuple[object, ...]]:
    """A model that is trained here, as a check sum."""
    with duckmf.connect(config={"threads": 2}) as con:
        con.execute("set enable_progress_bar = false")
        con.execute(RATINGS)
        con.execute("create table m as from mf_fit(s, u, i, r, n_factors := 16, epochs := 5)")
        return con.execute(
            "select md5(string_agg(factors::varchar, '' order by kind, code)) from m"
        ).fetchall()
