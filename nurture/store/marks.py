"""Up to where has something been read? A mark per reader, so that nothing is read twice for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from nurture.store.inserting import insert_or_update
from nurture.store.tables import setting

if TYPE_CHECKING:
    from sqlalchemy import Connection


def text_mark(conn: Connection, name: str) -> str:
    """Give a mark, empty text before the first."""
    return conn.execute(select(setting.c.value).where(setting.c.name == name)).scalar() or ""


def mark(conn: Connection, name: str) -> int:
    """Give a mark that is a number, 0 before the first."""
    return int(text_mark(conn, name) or 0)


def set_mark(conn: Connection, name: str, value: int | str) -> None:
    """Move a mark."""
    insert_or_update(conn, setting, [{"name": name, "value": str(value)}])
