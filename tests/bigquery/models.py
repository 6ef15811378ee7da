"""CREATE MODEL in tests, and what it made."""

from __future__ import annotations

import json

import pytest

import duckmf
from duckmf.errors import BigQueryError

MODEL = (
    "create or replace model m options(model_type = 'matrix_factorization', user_col = 'user_id', "
    "item_col = 'item_id', num_factors = 4{}) as select user_id, item_id, rating{} from ratings"
)


def created(con, more="", columns=""):
    assert duckmf.sql(con, MODEL.format(more and f", {more}", columns)) is None
    return info(con)


def info(con, name="m"):
    return json.loads(one(con, f"select info from {name} where kind = 'model'")[0])


def refusal(con, text):
    with pytest.raises(BigQueryError) as caught:
        duckmf.sql(con, text)
    return str(caught.value)


def one(con, text):
    return con.execute(text).fetchall()[0]


def fetch(con, text):
    return duckmf.sql(con, text).fetchall()
