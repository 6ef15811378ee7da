"""The examples run as they stand, and stay short; each is in the list of examples/README.md."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.demo import examples
from tests.clients import shell_program

KINDS = {".py", ".sql", ".ipynb", ".md"}
PYTHON = sorted(examples().glob("*.py"))
# those that run on every version of DuckDB, or on older ones alone
OTHERWISE = {
    "with_ibis.py": pytest.mark.skipif(
        duckdb.__version__ >= "2", reason="ibis 12 asks DuckDB 2.0 for what it has not"
    )
}
RUN = [
    pytest.param(path, marks=OTHERWISE.get(path.name, pytest.mark.newest), id=path.name)
    for path in PYTHON
]
SCRIPTS = [*PYTHON, *sorted(examples().glob("*.sql"))]
# what an example needs beside duckmf, and the file that it leaves with how that begins
NEEDS = {
    "dataframes.py": "pandas",
    "item_bias_over_time.py": "matplotlib",
    "report.py": "altair",
    "with_ibis.py": "ibis",
}
WRITES = {
    "item_bias_over_time.py": ("item_bias_over_time.png", b"\x89PNG"),
    "report.py": ("report.html", b"<!DOCTYPE html>"),
}


@pytest.mark.newest
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_an_example_is_under_60_lines(path):
    assert len(path.read_text().splitlines()) < 60


@pytest.mark.parametrize("path", RUN)
def test_a_python_example_runs(path, tmp_path):
    pytest.importorskip(NEEDS.get(path.name, "duckdb"))
    here = {"PYTHONPATH": str(Path(duckmf.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=os.environ | here,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout
    if path.name in WRITES:
        name, beginning = WRITES[path.name]
        assert (tmp_path / name).read_bytes().startswith(beginning)
    else:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.newest
@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_a_python_example_is_cells_that_run_where_there_is_no_file(path):
    text = path.read_text()
    assert text.startswith("# %% [markdown]\n# # ")
    assert "__file__" not in text
    assert "sys.argv" not in text


@pytest.mark.newest
def test_the_notebook_gives_the_results_that_it_shows():
    for package in ("nbclient", "ipykernel", "sql.magic", "pandas"):
        pytest.importorskip(package)
    import nbclient
    import nbformat

    shown = nbformat.read(examples() / "jupysql.ipynb", as_version=4)
    nbformat.validate(shown)
    made = nbclient.NotebookClient(
        copy.deepcopy(shown), timeout=120, resources={"metadata": {"path": str(examples())}}
    ).execute()
    assert results(made) == results(shown)
    assert len(results(shown)) > 5


def results(notebook: Any) -> list[str]:
    """What the cells of a notebook give and print, without what packages say to standard error."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    given = [o.data["text/plain"] for o in outputs if o.output_type == "execute_result"]
    return given + [o.text for o in outputs if o.get("name") == "stdout"]


@pytest.mark.newest
def test_the_list_of_examples_names_them_all():
    listed = re.findall(r"\]\(([^)]+)\)", (examples() / "README.md").read_text())
    names = {path.name for path in examples().iterdir() if path.suffix in KINDS} - {"README.md"}
    assert set(listed) == names | {"dbt/README.md"}


@pytest.mark.newest
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
