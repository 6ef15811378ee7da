"""Memory and processor time of a projection: 20,000 items with ten of 2,000 tags each, 32 factors.

Run: python -m tests.bench.project_content [rows] [texts] [lambda]
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from duckmf.algorithms import projection  # noqa: F401  # what it loads is not measured
from duckmf.statements.project import projected

PER_ROW, N_FACTORS, PAGE = 10, 32, 4096


def lists(values: pa.Array, length: int) -> pa.Array:
    """Values as lists of a length."""
    return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, length, dtype=np.int32), values)


def column(values: pa.Array) -> pa.ChunkedArray:
    """One row that holds them all."""
    return pa.chunked_array([lists(values, len(values))])


def tags(rng: np.random.Generator, n_rows: int, n_texts: int) -> pa.Array:
    """Tags of each row, few of them frequent; every tag stands somewhere."""
    shares = 1 / np.arange(1, n_texts + 1) ** 0.7
    drawn = rng.choice(n_texts, n_rows * PER_ROW, p=shares / shares.sum())
    drawn[:n_texts] = np.arange(n_texts)
    return lists(pa.array([f"tag {text}" for text in drawn]), PER_ROW)


class Memory(threading.Thread):
    """Watches how far the resident memory rises."""

    def __init__(self) -> None:
        super().__init__()
        self.began = self.peak = self._now()
        self.over = False

    def run(self) -> None:
        """Look every two milliseconds."""
        while not self.over:
            self.peak = max(self.peak, self._now())
            time.sleep(0.002)

    def _now(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    n_texts = int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
    penalty = float(sys.argv[3]) if len(sys.argv) > 3 else None
    rng = np.random.default_rng(1)
    n = pa.array(rng.integers(1, 100, n_rows))
    bias = pa.array(rng.normal(size=n_rows).astype(np.float32))
    factors = lists(pa.array(rng.normal(size=n_rows * N_FACTORS).astype(np.float32)), N_FACTORS)
    known, new = tags(rng, n_rows, n_texts), tags(rng, 2_000, n_texts)
    arguments = column(n), (column(bias), column(factors)), column(known), column(new), penalty
    memory = Memory()
    memory.start()
    wall, processor = time.perf_counter(), time.process_time()
    projected(*arguments)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory.over = True
    memory.join()
    grown = (memory.peak - memory.began) / 1e6
    print(f"{grown:.0f} MB more, {processor:.1f} processor seconds in {wall:.1f} s")
