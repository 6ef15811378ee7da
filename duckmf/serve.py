"""`duckmf serve`: a database over DuckDB's Quack protocol, with duckmf in it.

A client's statements run in sessions of their own, which see no temp macros: so all macros go into
the served database. Those that train need this process, and are taken out again when it stops.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from duckmf.connection import plugin, sqlfiles
from duckmf.errors import CommandError

WELCOME = """\
Serving {database} at {address}; Ctrl-C stops it. From another DuckDB shell:

    LOAD httpfs; LOAD quack;
    CREATE SECRET (TYPE quack, TOKEN '{token}');
    FROM quack_query('{address}', $$ SHOW TABLES $$);
"""

PATIENCE_SECONDS = 5.0  # for statements under way when the server is stopped


def run(database: str, host: str, port: int, token: str | None, allow_files: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM; trainings under way are then given up.

    Args:
        database: a file, made if missing.
        host: a name or an address of this machine.
        port: where to listen.
        token: what clients have to show; None for a new one, which is printed.
        allow_files: whether their statements may read and write files and URLs, attach other
            databases, load extensions and change settings.

    Raises:
        CommandError: other machines could connect, and no token was given; or DuckDB has no Quack.
        duckdb.Error: the file cannot be written, or nothing can listen there.
    """
    if token is None and not is_loopback(host):
        raise CommandError(
            f"duckmf serve: other machines can reach {host}, so the server needs a token of your "
            "own. Give one with --token-file or --token."
        )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    config = {"custom_user_agent": sqlfiles.SERVER, "allow_persistent_secrets": False}
    with closing(plugin.connect(database, config=config)) as con:
        load_extensions(con)
        secret = token or secrets.token_hex(16)
        with _macros(con), _listening(con, host, port, secret) as address:
            if not allow_files:
                con.execute("set enable_external_access = false; set lock_configuration = true")
            shown = "..." if token else secret
            print(WELCOME.format(database=database, address=address, token=shown), flush=True)
            stopped.wait()


def uri(host: str, port: int) -> str:
    """What clients connect to."""
    return f"quack:[{host}]:{port}" if ":" in host else f"quack:{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_extensions(con: duckdb.DuckDBPyConnection) -> None:
    """Load Quack, and httpfs that it speaks HTTP through: from their wheels, or DuckDB's folder.

    Raises:
        CommandError: neither has them for this version of DuckDB.
    """
    for name in ("httpfs", "quack"):
        wheel = wheel_of(name)
        try:
            con.load_extension(name if wheel is None else str(wheel))
        except duckdb.IOException as missing:
            raise CommandError(
                f"duckmf serve: DuckDB {duckdb.__version__} has no extension {name} here. Run "
                f"INSTALL {name} in it, or pip install 'duckmf[serve]', which has DuckDB 1.5.5 and "
                "the extension."
            ) from missing


def wheel_of(name: str) -> Path | None:
    """The extension in its package from PyPI, if that is one for this version of DuckDB."""
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    return file if file.exists() else None


@contextmanager
def _macros(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All macros in the database; afterwards only those that need no Python."""
    with closing(con.cursor()) as cursor:  # it has no temp macros of the same names
        _in_one_transaction(cursor, sqlfiles.served())
        try:
            yield
        finally:
            _in_one_transaction(cursor, sqlfiles.withdrawn())


def _in_one_transaction(con: duckdb.DuckDBPyConnection, statements: str) -> None:
    con.begin()
    con.execute(statements)
    con.commit()


@contextmanager
def _listening(con: duckdb.DuckDBPyConnection, host: str, port: int, token: str) -> Iterator[str]:
    """The server, by its address; afterwards it is gone, and no training is under way."""
    address = uri(host, port)
    con.execute(
        "from quack_serve($1, token := $2, allow_other_hostname := $3)",
        [address, token, not is_loopback(host)],
    ).fetchall()
    try:
        yield address
    finally:
        _give_up_statements(con)
        con.execute("from quack_stop($1)", [address]).fetchall()


def _give_up_statements(con: duckdb.DuckDBPyConnection) -> None:
    """Interrupt the trainings of clients, and wait a while for what else they run."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    active = "select count(*) > 0 from quack_active_connections() where state = 'active'"
    while con.execute(active).fetchone() == (True,) and time.monotonic() < deadline:
        signal.raise_signal(signal.SIGINT)  # each ends at the end of its epoch
        time.sleep(0.05)
