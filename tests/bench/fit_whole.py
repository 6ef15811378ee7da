"""A whole mf_fit on 20 M ratings: seconds by phase, and memory over the database's own.

MovieLens-20M shape, 64 factors, two threads, one process for each algorithm. The database's own
memory is what the process has in use after it has read the table once. Run:
python -m tests.bench.fit_whole [ratings]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckmf
from tests.bench.read_vs_fetchnumpy import write

EPOCHS = 3


def peak_gigabytes() -> float:
    """The most resident memory this process ever had, on Linux (a fork's ru_maxrss is inherited)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


def fit(path: str, algorithm: str) -> None:
    """Train once and print the figures."""
    with duckmf.connect(path, config={"threads": 2}) as con:
        con.execute("select sum(user_id), sum(item_id), sum(rating) from ratings").fetchall()
        own = peak_gigabytes()
        began = time.perf_counter()
        con.execute(
            "create or replace table model as from mf_fit(ratings, user_id, item_id, rating, "
            f"algorithm := '{algorithm}', n_factors := 64, epochs := {EPOCHS})"
        )
        seconds = time.perf_counter() - began
        read, train = con.execute(
            "select (info->>'read_seconds')::double, (info->>'train_seconds')::double from model "
            "where kind = 'model'"
        ).fetchone()
        print(
            f"{algorithm}: {seconds:.1f} s in all, of which gathering and layout {read:.1f} s and "
            f"{train / EPOCHS:.2f} s an epoch; {peak_gigabytes() - own:.2f} GB over {own:.2f} GB"
        )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        fit(*sys.argv[1:])
    else:
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder) / "ratings.duckdb"
            write(database, int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000, "integer")
            for name in ("als", "svd"):
                subprocess.run(
                    [sys.executable, "-m", "tests.bench.fit_whole", str(database), name], check=True
                )
