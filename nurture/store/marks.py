"""Up to where has something been read? A mark per reader, so that nothing is read twice for nothing."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from nurture.store.inserting import insert_or_update
from nurture.store.tables import setting

if TYPE_CHECKING:
    from sqlalchemy import Connection

FORGED = "forged webhook posts"
"""The mark under which posts with a wrong signature are counted."""


def text_mark(conn: Connection, name: str) -> str:
    """Give a mark, empty text before the first."""
    return conn.execute(select(setting.c.value).where(setting.c.name == name)).scalar() or ""


def mark(conn: Connection, name: str) -> int:
    """Give a mark that is a number, 0 before the first."""
    return int(text_mark(conn, name) or 0)


def hold(conn: Connection, name: str) -> None:
    """Wait until no other transaction holds this name, and hold it until the end of this one.

    On SQLite a writing transaction is alone anyway.
    """
    if conn.dialect.name == "postgresql":
        # Not a row's lock: the commit would have to write it to the disk, also where nothing else was written.
        conn.execute(select(func.pg_advisory_xact_lock(zlib.crc32(name.encode()))))


def add_to(conn: Connection, name: str, count: int) -> None:
    """Count something on."""
    hold(conn, name)
    set_mark(conn, name, mark(conn, name) + count)


def set_mark(conn: Connection, name: str, value: int | str) -> None:
    """Move a mark."""
    insert_or_update(conn, setting, [{"name": name, "value": str(value)}])
