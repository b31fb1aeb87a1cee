"""How do we talk to the database? One way to read, one way to write, on SQLite and PostgreSQL."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError

from nurture import NurtureError
from nurture.clock import stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.pool import ConnectionPoolEntry

NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "ncpfs", "glusterfs", "ceph"}
BUSY_SECONDS = 120
"""How long a SQLite writer waits for another: one big import holds the database for 20 to 28 seconds on two busy
cores, and must not make the web or a flow fail, also not on a slower machine or when two imports queue up."""
WRITES = "nurture_writes"
SCANS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material")
"""What PostgreSQL may not do while it is held to the indexes: read a table whole, or once for all and compare."""
_BY_INDEX = select(*(func.set_config(switch, "off", True) for switch in SCANS))
RESTING = "nurture_resting_since"
TRUSTED_SECONDS = 5.0
"""A connection that was in use so recently is taken to stand: whoever stops a server does not start it so fast."""


class StoreError(NurtureError):
    """The database cannot be used as it is; the message says why and what to do."""


class TransactionLostError(StoreError):
    """The database has undone a transaction while it was open: nothing that was written in it stands."""


class Store:
    """A database with exactly two doors: `read()` and `write()`."""

    def __init__(self, engine: Engine) -> None:
        """Wrap an engine made by `open_store`."""
        self.engine = engine
        self.dialect = engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; whatever is written through it is rolled back."""
        # PostgreSQL's default gives every statement a view of its own; SQLite's WAL holds one per transaction.
        options = {} if self.dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with self.engine.connect().execution_options(**options) as connection, connection.begin() as transaction:
            yield connection
            transaction.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        SQLite begins IMMEDIATE: a writer that first reads and then upgrades would fail with
        "database is locked" instead of waiting, and two writers could decide on the same past.
        Raises TransactionLostError where an error that the block outlived has undone the transaction.
        """
        with self.engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
            yield connection
            require_transaction(connection)

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def open_store(url: str) -> Store:
    """Open the database at a SQLAlchemy address.

    Raises StoreError for a network file system (SQLite's locks do not hold there) or an unknown database.
    """
    parsed = make_url(url)
    name = parsed.get_backend_name()
    if name == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            path = Path(parsed.database).resolve()
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            refuse_network_file_system(path.parent)
            if not parsed.database.startswith("file:"):
                _make_private(path)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return Store(engine)
    if name == "postgresql":
        engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_size=5, hide_parameters=True)
        event.listen(engine, "handle_error", _drop_detail)
        event.listen(engine, "checkin", _note_rest)
        event.listen(engine, "checkout", partial(_ask_rested, engine.dialect))
        return Store(engine)
    message = f"database {name!r} is not supported; use sqlite:///FILE or postgresql://..."
    raise StoreError(message)


def _make_private(path: Path) -> None:
    """Make a file that is not there yet, for its owner alone; SQLite gives the same mode to its log beside it."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def require_transaction(connection: Connection) -> None:
    """Raise TransactionLostError unless what was written so far can still be committed.

    For whoever goes on after an error. SQLite undoes the whole transaction, not the statement, when the disk is
    full or fails; PostgreSQL turns the commit of a failed transaction into a rollback. Both then take
    the commit without a word.
    """
    if not connection.invalidated:
        driver: Any = connection.connection.driver_connection
        if connection.engine.dialect.name == "sqlite":
            stands = driver.in_transaction
        else:
            # Idle is well: the driver begins with the first statement.
            stands = driver.info.transaction_status.name in {"IDLE", "INTRANS"}
        if stands:
            return
    raise TransactionLostError(
        "the database has undone the transaction (is the disk full?); nothing was written, try again"
    )


def by_index(conn: Connection) -> None:
    """Hold PostgreSQL to the indexes until the end of the transaction.

    It takes a few hundred rows out of a million for a reason to read all of them, and more so while its
    statistics are old, as after an import. SQLite has no such mind.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(_BY_INDEX)


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's own type
    """Set what durability and erasure rest on, for each new connection."""
    # The driver's own transaction handling would begin DEFERRED behind our back.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # NORMAL loses the last commits at a power cut, and with them the memory of what was sent.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute("PRAGMA trusted_schema=OFF")
    # REPLACE fires delete triggers only with this: the ledger's guards rely on it.
    cursor.execute("PRAGMA recursive_triggers=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _note_rest(_connection: object, record: ConnectionPoolEntry) -> None:
    """Remember since when a connection rests."""
    record.info[RESTING] = stopwatch()


def _ask_rested(dialect: Any, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401  the library's own types
    """Ask a connection that rested whether it still stands; else the pool ends it and makes another.

    Asking each time would cost one more way to the server and back for each transaction.
    """
    if stopwatch() - record.info.get(RESTING, inf) < TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.dbapi.Error as error:
        raise DisconnectionError from error


def _drop_detail(context: ExceptionContext) -> None:
    """Keep only the first line of a PostgreSQL error: its DETAIL quotes the key or the whole row."""
    raised, error = context.sqlalchemy_exception, context.original_exception
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if raised is not None and primary:
        raised.args = (f"({type(error).__name__}) {primary}",)
        error.args = (primary,)


def refuse_network_file_system(folder: Path, mounts: str = "/proc/mounts") -> None:
    """Refuse a folder on a network file system, where the system tells (Linux)."""
    try:
        lines = Path(mounts).read_text("utf-8").splitlines()
    except OSError:
        return
    best = ("", "")
    for line in lines:
        fields = line.split()
        if len(fields) < 3:  # noqa: PLR2004  device, mount point, type
            continue
        point = fields[1].replace("\\040", " ")
        inside = point == "/" or str(folder) == point or str(folder).startswith(point.rstrip("/") + os.sep)
        if inside and len(point) >= len(best[0]):
            best = (point, fields[2])
    if best[1] in NETWORK_FILE_SYSTEMS:
        message = (
            f"the database folder lies on a network file system ({best[1]}), where SQLite's locks do not hold; "
            "choose a local folder or PostgreSQL (NURTURE_DATABASE_URL)"
        )
        raise StoreError(message)
