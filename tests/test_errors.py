"""Errors that leave in the name of the function that was called."""

from __future__ import annotations

import pytest

from duckmf.errors import DataError, named

pytestmark = pytest.mark.newest


def test_an_error_takes_the_name_of_the_function():
    error = named(DataError("mf_fit: ts is NULL; correct it."), "mf_tune")
    assert isinstance(error, DataError)
    assert str(error) == "mf_tune: ts is NULL; correct it."


def test_other_texts_stay():
    assert str(named(DataError("users have 3 factors and mf_fit: 4"), "mf_tune")) == (
        "users have 3 factors and mf_fit: 4"
    )
