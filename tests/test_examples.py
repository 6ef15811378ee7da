"""The examples run as they stand, and stay short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import duckmf
from duckmf import cli
from duckmf.demo import examples
from tests.clients import shell_program

SCRIPTS = sorted([*examples().glob("*.py"), *examples().glob("*.sql")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_an_example_is_under_60_lines(path):
    assert len(path.read_text().splitlines()) < 60


@pytest.mark.parametrize(
    "path", [p for p in SCRIPTS if p.suffix == ".py"], ids=lambda path: path.name
)
def test_a_python_example_runs(path, tmp_path):
    words = []
    if path.name == "item_bias_over_time.py":
        pytest.importorskip("matplotlib")
        words = [str(tmp_path / "picture.png")]
    here = {"PYTHONPATH": str(Path(duckmf.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, str(path), *words],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | here,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout
    assert all(Path(word).read_bytes().startswith(b"\x89PNG") for word in words)


def test_the_shell_example_runs_on_the_demo_database(tmp_path):
    database = tmp_path / "demo.duckdb"
    assert cli.main(["demo", str(database)]) == 0
    done = subprocess.run(
        [shell_program(), "-bail", str(database), "-c", f".read {examples() / 'serve.sql'}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert "under 50" in done.stdout
