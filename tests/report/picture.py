"""The picture of a report in the README: `python -m tests.report.picture`.

Needs the extra `report`, Pillow and a chromium.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from PIL import Image

import duckmf
from duckmf import cli
from tests.conftest import MOVIELENS
from tests.report.test_report import TITLES, browse

PICTURE = Path(__file__).parent.parent.parent / "examples" / "report.webp"
SHOWN = [
    "header",
    "section.tiles",
    "section:has(#epochs)",
    "section:has(#long_tail)",
    "section:has(#map)",
]
HEIGHT = 2080


def draw(folder: Path) -> None:
    """Train, report, and keep the picture of some sections."""
    con = duckmf.connect(folder / "movies.duckdb")
    for table in ("ratings", "movies"):
        con.execute(f"create table {table} as from '{MOVIELENS / table}.parquet'")
    con.execute(
        "create table films as "
        "from mf_fit(ratings, user_id, movie_id, rating, validation_fraction := 0.1)"
    )
    con.close()
    page = folder / "report.html"
    cli.main(["report", str(folder / "movies.duckdb"), "films", *TITLES, "-o", str(page)])
    style = f"header, section {{ display: none }} {', '.join(SHOWN)} {{ display: revert }}"
    style += " .tiles { display: grid !important }"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</style>", f"{style}</style>", 1), encoding="utf-8")
    shot = folder / "report.png"
    subprocess.run(
        [*browse(folder), f"--window-size=1200,{HEIGHT}", "--hide-scrollbars",
         f"--screenshot={shot}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    Image.open(shot).convert("RGB").save(PICTURE, quality=82, method=6)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
