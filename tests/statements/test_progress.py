"""The progress bar: only where somebody watches, only for long trainings, only if wanted."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from duckmf.algorithms.training import Epoch
from duckmf.statements import progress
from duckmf.statements.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch, stream, wanted=True, delay=0.0) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "DELAY_SECONDS", delay)
    bar = Progress("als", wanted, "mf_fit")
    bar.show(Epoch(1, 0.9, 0.95, 0.1), 10)
    bar.show(Epoch(2, 0.8, 0.94, 0.1), 10)
    bar.close()
    bar.close()
    return stream.getvalue()


def test_a_terminal_sees_epoch_loss_and_validation_loss(monkeypatch):
    text = shown(monkeypatch, Terminal())
    for expected in ("mf_fit als", "2/10", "loss=0.8000", "validation=0.9400"):
        assert expected in text


@pytest.mark.parametrize(
    ("stream", "wanted", "delay"),
    [(io.StringIO(), True, 0.0), (Terminal(), False, 0.0), (Terminal(), True, 60.0)],
    ids=["no terminal", "progress := false", "too short"],
)
def test_nothing_is_shown_to(monkeypatch, stream, wanted, delay):
    assert shown(monkeypatch, stream, wanted, delay) == ""


def test_the_environment_turns_it_off(monkeypatch):
    monkeypatch.setenv("DUCKMF_PROGRESS", "0")
    assert shown(monkeypatch, Terminal()) == ""


def test_a_notebook_without_widgets_gets_a_bar_of_text_and_no_warning(monkeypatch):
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    text = shown(monkeypatch, io.StringIO())
    assert "2/10" in text
    assert "Warning" not in text


def test_mf_fit_shows_it_on_standard_error(movielens, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0.0)
    fit = "create or replace table m as from mf_fit(ratings, user_id, movie_id, rating, epochs := 3"
    movielens.execute(fit + ", progress := false)")
    assert stream.getvalue() == ""
    movielens.execute(fit + ")")
    assert "3/3" in stream.getvalue()
