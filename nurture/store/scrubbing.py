"""How do deleted bytes leave the disk? A row that is gone may still lie in a free page or a log.

SQLite: every connection overwrites what it deletes (secure_delete); copies that moved between pages go
with VACUUM, the write-ahead log with a truncating checkpoint. PostgreSQL: the tables with sealed data are
written anew and the old files dropped; its own log keeps former pages until the server recycles them.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from nurture.store.engine import BUSY_SECONDS, StoreError

if TYPE_CHECKING:
    from nurture.store.engine import Store

PATIENCE = 60.0
"""Seconds to wait for others who still need the old pages."""
REWRITE = {
    "identity": "vacuum (full) identity",
    "proof_vault": "vacuum (full) proof_vault",
    "opt_in_request": "vacuum (full) opt_in_request",
    "handover": "vacuum (full) handover",
    "raw_event": "vacuum (full) raw_event",
}
"""Tables with sealed bytes, each written anew: a plain VACUUM leaves the old ones inside a page."""
CLEAN = (
    "vacuum lead", "vacuum event", "vacuum signal", "vacuum points", "vacuum lead_score", "vacuum temperature_change",
    "vacuum decision", "vacuum mail_preference",
)  # fmt: skip
"""Tables that never held personal data in clear."""


def scrub(store: Store, *, patience: float = PATIENCE) -> None:
    """Remove what deleted rows left behind in the files of the database.

    Takes as long as copying it, needs as much free space, and no open transaction of the caller's. Raises
    StoreError when somebody holds the database too long, or it may not be rewritten; it can be repeated.
    """
    raw = store.engine.raw_connection()
    try:
        connection: Any = raw.driver_connection
        if store.dialect == "sqlite":
            _scrub_sqlite(connection, patience)
        else:
            connection.autocommit = True
            try:
                _scrub_postgresql(connection, patience)
            finally:
                connection.autocommit = False
    finally:
        raw.close()


def _scrub_sqlite(connection: Any, patience: float) -> None:  # noqa: ANN401  the driver's own type
    cursor = connection.cursor()
    try:
        # The pragma takes no parameter; a whole number is all that comes in.
        cursor.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
        cursor.execute("VACUUM")
        busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise StoreError(f"the database cannot be copied to clean it ({error}); try again later") from error
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        cursor.close()
    if busy:
        raise StoreError("somebody reads the database for too long: its log cannot be emptied; try again later")


def _scrub_postgresql(connection: Any, patience: float) -> None:  # noqa: ANN401  the driver's own type
    cursor = connection.cursor()
    try:
        cursor.execute("select set_config('lock_timeout', %s, false)", (f"{int(patience * 1000)}ms",))
        for table, statement in REWRITE.items():
            before = _file_of(cursor, table)
            cursor.execute(statement)
            # Without the right to it the server only warns.
            if _file_of(cursor, table) == before:
                raise StoreError(f"table {table} may not be rewritten: this database user does not own it")
        for statement in CLEAN:
            cursor.execute(statement)
    except connection_errors() as error:
        raise StoreError("the database is too busy to be rewritten, try again later") from error
    finally:
        cursor.execute("reset lock_timeout")
        cursor.close()


def connection_errors() -> tuple[type[Exception], ...]:
    """Give what the driver raises where a lock is not to be had."""
    from psycopg import errors  # noqa: PLC0415  only where PostgreSQL is used

    return (errors.LockNotAvailable, errors.QueryCanceled)


def _file_of(cursor: Any, table: str) -> int:  # noqa: ANN401  the driver's own type
    return int(cursor.execute("select pg_relation_filenode(%s::regclass)", (table,)).fetchone()[0])
