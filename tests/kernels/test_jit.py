"""Machine code on disk: it serves the next process, and never outlives a change of any kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import duckmf
from duckmf.connection import sqlfiles

PROGRAM = """
from duckmf.kernels import implicit_als as kernels
from duckmf.kernels.als import layout
from duckmf.kernels.tiles import TILE, aligned

*_, matrix, end = layout(1)
row, scratch = aligned(TILE), aligned(end)
row[:] = 2
kernels.add_gram(0, 1, row, scratch, 1)
stats = getattr(kernels.add_gram, "stats", None)
print(scratch[matrix], *(sum(n.values()) for n in stats[1:]) if stats else ())
"""


class Copy:
    """A copy of the package, whose kernels may be edited, and the machine code that it keeps."""

    def __init__(self, at: Path) -> None:
        self.at = at
        skipped = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(duckmf.__file__).parent, at / "duckmf", ignore=skipped)
        shutil.copytree(sqlfiles.folder(), at / "sql")
        self.kernels = at / "duckmf" / "kernels"
        self.home = at / "home"
        kept = {name: text for name, text in os.environ.items() if not name.startswith("NUMBA_")}
        self.environ = kept | {"PYTHONPATH": str(at), "XDG_CACHE_HOME": str(self.home)}

    def block_pycache(self) -> None:
        """Let no process write beside the kernels, whoever runs it."""
        (self.kernels / "__pycache__").write_text("no folder")

    def double_products(self) -> None:
        """Change what the kernel calls in another file, not the kernel."""
        tiles = self.kernels / "tiles.py"
        source = tiles.read_text()
        line = "emit.store(emit.multiply_add(emit.everywhere(sign), total, old), c, place)"
        assert source.count(line) == 1
        tiles.write_text(source.replace(line, line.replace("total, old", "total, total")))

    def run(self) -> list[str]:
        """2 x 2 as a new process finds it; how often code came from disk, and how often not."""
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, cwd=self.at, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def files(self) -> list[str]:
        """What is kept on disk, wherever."""
        return sorted(path.name for path in self.at.rglob("*.nb*"))


@pytest.fixture
def package(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.mark.parametrize("place", ["the package", "NUMBA_CACHE_DIR", "the user's cache"])
def test_code_serves_the_next_process_until_a_called_kernel_changes(package, place):
    folder = package.kernels
    if place == "NUMBA_CACHE_DIR":
        folder = package.at / "elsewhere"
        package.environ[place] = str(folder)
    elif place == "the user's cache":
        folder = package.home
        package.block_pycache()
    assert package.run() == ["4.0", "0", "1"]
    before = package.files()
    assert [name.split(".")[-1] for name in before] == ["nbc", "nbi"]
    assert len(list(folder.rglob("*.nbi"))) == 1
    assert package.run() == ["4.0", "1", "0"]
    package.double_products()
    assert package.run() == ["8.0", "0", "1"]
    after = package.files()
    assert len(after) == len(before), "code of other sources is removed"
    assert not set(after) & set(before)


def test_where_nothing_can_be_written_kernels_are_compiled_anew(package):
    package.block_pycache()
    package.home.write_text("no folder")
    assert package.run() == ["4.0", "0", "1"]
    assert package.files() == []


def test_without_the_jit_kernels_run_as_python(package):
    package.environ["NUMBA_DISABLE_JIT"] = "1"
    assert package.run() == ["4.0"]
    assert package.files() == []
