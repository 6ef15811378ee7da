"""Many mutated scripts for the reader of BigQuery ML's SQL: python -m tests.bench.bigquery_fuzz [N]"""

from __future__ import annotations

import sys
import time

from tests.bigquery import fuzz

if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    began = time.perf_counter()
    counts = fuzz.run(n, seed=1)
    seconds = time.perf_counter() - began
    print(f"{n:,} scripts in {seconds:.0f} s, none crashed or changed what is not ours:")
    for kind, count in counts.most_common():
        print(f"{kind:10}{count:10,}")
