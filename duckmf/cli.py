"""The `duckmf` command."""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import duckdb

import duckmf
from duckmf.connection import installing
from duckmf.errors import CommandError, DuckMFError

SHELL = """\
A SQL shell in which mf_fit trains and CREATE MODEL of BigQuery ML works. Without -c and -f it reads
standard input; from a terminal that is an interactive shell.
"""


# what the name of a database file ends in; a missing file of another name is taken for a slip
DATABASES = (".duckdb", ".db", ".ddb")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    commands, names = command_parser()
    parser = commands if words[:1] and words[0] in names else shell_parser(names)
    options = parser.parse_args(words)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (duckdb.Error, DuckMFError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupted:
        print(interrupted, file=sys.stderr)
        return 130
    return 0


def shell_parser(commands: Sequence[str]) -> argparse.ArgumentParser:
    """The options of the shell, which are those of DuckDB's."""
    shell = argparse.ArgumentParser(
        prog="duckmf",
        description=SHELL,
        epilog=f"Other commands: {', '.join(commands)}. duckmf COMMAND --help explains them.",
        allow_abbrev=False,
    )
    shell.add_argument("--version", action="version", version=f"duckmf {duckmf.__version__}")
    shell.add_argument(
        "database",
        nargs="?",
        default=":memory:",
        metavar="FILE",
        help="a database; made if missing and named .duckdb, .db or .ddb",
    )
    shell.add_argument("--new", action="store_true", help="make the file whatever its name")
    shell.add_argument("-readonly", action="store_true", help="do not write to the database")
    for mode in ("csv", "json", "jsonlines"):
        shell.add_argument(
            f"-{mode}",
            dest="mode",
            action="store_const",
            const=mode,
            help=f"show results as {mode}",
        )
    for flag, kind, help in (("-c", "SQL", "run statements"), ("-f", "FILE", "run a file of them")):
        shell.add_argument(
            flag,
            dest="inputs",
            metavar=kind,
            type=partial(_input, kind),
            help=help,
            action="append",
            default=[],
        )
    shell.set_defaults(run=_shell, mode="duckbox")
    return shell


def _input(kind: str, text: str) -> tuple[str, str]:
    return kind, text


def command_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The other commands, and their names."""
    top = argparse.ArgumentParser(prog="duckmf", description="Recommendations in DuckDB.")
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
    install.add_argument("--schema", help="where in it; made if missing (main)")
    install.set_defaults(run=_install)
    uninstall = commands.add_parser("uninstall", help="take them out of a database file again")
    uninstall.add_argument("database", metavar="FILE", help="a DuckDB database; its tables stay")
    uninstall.add_argument("--schema", help="where in it (main)")
    uninstall.set_defaults(run=_uninstall)
    info = commands.add_parser("info", help="say which functions and models are in a file")
    info.add_argument("database", metavar="FILE", help="a DuckDB database; it is only read")
    info.set_defaults(run=_info)
    script = commands.add_parser(
        "sql", help="print the functions that need no Python, as a script for `.read` in any shell"
    )
    script.set_defaults(run=_sql)
    _add_serve(commands)
    _add_report(commands)
    package = commands.add_parser(
        "dbt-package", help="copy the dbt package of macros, tests and documentation to a folder"
    )
    package.add_argument("folder", metavar="FOLDER", help="where `local:` in packages.yml points")
    package.set_defaults(run=_dbt_package)
    _add_publish(commands)
    return top, list(commands.choices)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve", help="let DuckDB shells without Python train, over DuckDB's Quack protocol"
    )
    serve.add_argument("database", metavar="FILE", help="a DuckDB database; made if missing")
    serve.add_argument("--host", default="localhost", help="where to listen (this machine only)")
    serve.add_argument("--port", type=int, default=9494, help="(9494)")
    token = serve.add_mutually_exclusive_group()
    token.add_argument(
        "--token", nargs="?", const="", help="ask for the token, or read it from standard input"
    )
    token.add_argument("--token-file", type=Path, metavar="FILE", help="read the token from a file")
    serve.add_argument(
        "--allow-files",
        action="store_true",
        help="let clients read and write files as you can, and change settings",
    )
    serve.set_defaults(run=_serve)


def _add_publish(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    publish = commands.add_parser(
        "publish", help="make tables and views of a model that BI tools can show"
    )
    publish.add_argument("database", metavar="FILE", help="the DuckDB database of the model")
    publish.add_argument(
        "model", metavar="MODEL", help="a table made by mf_fit, such as films or ml.films"
    )
    publish.add_argument("--schema", help="where to, made if missing (that of the model)")
    publish.add_argument("--titles", metavar="TABLE", help="a table with the titles of the items")
    publish.add_argument("--id", metavar="COLUMN", help="its column of item ids")
    publish.add_argument("--title", metavar="COLUMN", help="its column of titles")
    publish.add_argument("-k", type=int, default=10, help="length of the lists (10)")
    publish.add_argument(
        "--views", action="store_true", help="compute lists when they are read; do not store them"
    )
    publish.set_defaults(run=_publish)


def _shell(options: argparse.Namespace) -> None:
    from duckmf.shell import main as shell

    if not options.new:
        _check_file("duckmf", options.database)
    shell.run(options.database, options.readonly, options.mode, options.inputs)


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = commands.add_parser(
        "report",
        help="show a model in one HTML file: curves, errors, coverage, a map of the items, lists",
        description="Show a model in one HTML file, which needs no network to be viewed. EXPR is "
        "an SQL expression over the columns of its relation.",
    )
    report.add_argument("database", metavar="FILE", help="a DuckDB database; it is only read")
    report.add_argument("model", metavar="MODEL", help="a table or view made by mf_fit")
    report.add_argument("-o", "--output", type=Path, default="report.html", metavar="HTML")
    titles = report.add_argument_group("titles of the items")
    titles.add_argument("--titles", metavar="RELATION", help="a table or view, one row an item")
    titles.add_argument("--id", metavar="EXPR", help="the item's id, such as movie_id")
    titles.add_argument("--title", metavar="EXPR", help="its title, such as title")
    titles.add_argument("--color", metavar="EXPR", help="what colours the map, such as genres[1]")
    test = report.add_argument_group("ratings that the model has not seen")
    test.add_argument("--test", metavar="RELATION", help="a table or view")
    test.add_argument("--user", metavar="EXPR", help="the user's id, such as user_id")
    test.add_argument("--item", metavar="EXPR", help="the item's id, such as movie_id")
    test.add_argument("--rating", metavar="EXPR", help="the rating; none for models that rank")
    test.add_argument("--ts", metavar="EXPR", help="its time, for models with time terms")
    report.set_defaults(run=_report)


def _demo(options: argparse.Namespace) -> None:
    from duckmf import demo

    demo.run(options.database)


def _publish(options: argparse.Namespace) -> None:
    from duckmf.dashboards import Titles, publish

    given = (options.titles, options.id, options.title)
    if any(given) and not all(given):
        raise CommandError("duckmf publish: titles need all of --titles, --id and --title.")
    _check_exists("duckmf publish", options.database)
    con = duckmf.connect(options.database)
    titles = Titles(*given) if all(given) else None
    names = publish(
        con, options.model, titles, k=options.k, store=not options.views, schema=options.schema
    )
    con.close()
    print(f"{options.database} has {', '.join(names)} now, for every client.")


def _check_file(command: str, database: str) -> None:
    """Refuse to make a database of a name that looks like something else.

    Raises:
        CommandError: there is no such file, and the name is not one of a database.
    """
    path = Path(database)
    if database == ":memory:" or path.exists():
        return
    if not path.parent.is_dir():
        raise CommandError(f"{command}: there is no folder {path.parent}. Make it first.")
    if path.suffix.lower() not in DATABASES:
        near = get_close_matches(database, [*command_parser()[1], "--version", "--help"], n=1)
        hint = f"Did you mean `duckmf {near[0]}`? " if near else ""
        raise CommandError(
            f"{command}: there is no file {database}, and no command of that name. {hint}"
            f"A new database is made of a name that ends in {', '.join(DATABASES)}, or with --new."
        )


def _install(options: argparse.Namespace) -> None:
    _check_file("duckmf install", options.database)
    con = duckmf.connect(options.database)
    change = duckmf.install(con, options.schema)
    con.close()
    print(f"{options.database}: {change}")


def _uninstall(options: argparse.Namespace) -> None:
    _check_exists("duckmf uninstall", options.database)
    with duckdb.connect(options.database) as con:
        functions, views = duckmf.uninstall(con, options.schema)
    print(f"{options.database}: {len(functions)} functions are gone; models and all else stay.")
    if views:
        print(f"These views call them, and answer after another install: {', '.join(views)}.")


def _info(options: argparse.Namespace) -> None:
    _check_exists("duckmf info", options.database)
    with closing(duckmf.connect(options.database, read_only=True)) as con:
        for line in installing.described(con):
            print(line)


def _check_exists(command: str, database: str) -> None:
    if not Path(database).exists():
        raise CommandError(f"{command}: there is no file {database}.")


def _sql(options: argparse.Namespace) -> None:
    from duckmf.connection import sqlfiles

    print(sqlfiles.script(), end="")


def _serve(options: argparse.Namespace) -> None:
    from duckmf import serve

    _check_file("duckmf serve", options.database)
    serve.run(options.database, options.host, options.port, _token(options), options.allow_files)


def _token(options: argparse.Namespace) -> str | None:
    """The token that the user gives, never in the command itself; None asks for a new one."""
    if options.token is None and options.token_file is None:
        return None
    if options.token:
        raise CommandError(
            "duckmf serve: every user of this machine can read a token in the command. Leave it "
            "out: --token asks for it; or use --token-file."
        )
    token: str
    if options.token_file is not None:
        token = options.token_file.read_text(encoding="utf-8").strip()
    elif sys.stdin.isatty():
        token = getpass.getpass("Token: ")
    else:
        token = sys.stdin.readline().strip()
    if not token:
        raise CommandError("duckmf serve: the token is empty. Give one, or leave the option out.")
    return token


def _report(options: argparse.Namespace) -> None:
    _check_together(options, "titles", ("id", "title"), ("color",))
    _check_together(options, "test", ("user", "item"), ("rating", "ts"))
    try:
        from duckmf import report
    except ModuleNotFoundError as error:
        raise CommandError(
            f"duckmf report: the package {error.name} is missing. pip install 'duckmf[report]'."
        ) from error
    titles = options.titles and report.TitlesAndColors(
        options.titles, options.id, options.title, options.color
    )
    held_out = options.test and report.HeldOut(
        options.test, options.user, options.item, options.rating, options.ts
    )
    report.write(
        report.ReportRequest(options.database, options.model, titles, held_out), options.output
    )
    print(f"{options.output} ({options.output.stat().st_size / 1e6:.1f} MB): open it in a browser.")


def _check_together(
    options: argparse.Namespace, relation: str, needed: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """A relation comes with its expressions, and they with it."""
    if getattr(options, relation) is None:
        for name in (*needed, *more):
            if getattr(options, name) is not None:
                raise CommandError(f"duckmf report: --{name} needs --{relation} RELATION.")
    for name in needed:
        if getattr(options, relation) is not None and getattr(options, name) is None:
            raise CommandError(f"duckmf report: --{relation} needs --{name} EXPR.")


def _dbt_package(options: argparse.Namespace) -> None:
    folder = Path(options.folder)
    if folder.exists() and not (folder / "macros" / "functions.sql").exists():
        raise FileExistsError(f"duckmf dbt-package: {folder} holds something else; name a folder.")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(Path(duckmf.__file__).parent / "dbt" / "package", folder)
    print(f"The dbt package is in {folder}. Name it in packages.yml and run `dbt deps`:")
    print(f"packages:\n  - local: {folder}")


if __name__ == "__main__":
    sys.exit(main())
