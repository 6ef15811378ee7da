"""The `duckmf` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import duckdb

import duckmf


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (duckdb.Error, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    top = argparse.ArgumentParser(prog="duckmf", description="Recommendations in DuckDB.")
    top.add_argument("--version", action="version", version=f"duckmf {duckmf.__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="train on MovieLens and recommend films, showing the SQL that does it"
    )
    demo.add_argument("database", nargs="?", metavar="FILE", help="keep the database in a new file")
    demo.set_defaults(run=_demo)
    install = commands.add_parser(
        "install", help="put the functions that need no Python into a database file"
    )
    install.add_argument("database", metavar="FILE", help="a DuckDB database; made if missing")
    install.set_defaults(run=_install)
    return top


def _demo(options: argparse.Namespace) -> None:
    from duckmf import demo

    demo.run(options.database)


def _install(options: argparse.Namespace) -> None:
    con = duckmf.connect(options.database)
    duckmf.install(con)
    con.close()
    print(f"{options.database} has the mf_ functions now, for every DuckDB client.")


if __name__ == "__main__":
    sys.exit(main())
