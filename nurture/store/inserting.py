"""How do many rows come in at once, where some may be there already? Same answer on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Column, Connection, Row, Table

CHUNK = 1000
"""Rows or values per statement: SQLite allows 32,766 bound variables, PostgreSQL plans long lists slowly."""

T = TypeVar("T")


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Cut a sequence into parts that fit one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def insert_new(
    conn: Connection, table: Table, rows: Sequence[dict[str, Any]], *, returning: Sequence[Column[Any]] | None = None
) -> list[Row[Any]]:
    """Insert the rows that break no unique constraint, skip the others; give those that came in.

    Of each it gives the columns `returning`, by default the primary key.
    """
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    wanted = returning or list(table.primary_key.columns)
    statement = dialect.insert(table).on_conflict_do_nothing().returning(*wanted)
    found: list[Row[Any]] = []
    for part in chunks(rows):
        found += conn.execute(statement, list(part)).all()
    return found


def insert_earliest(conn: Connection, table: Table, rows: Sequence[dict[str, Any]], *, when: Column[Any]) -> None:
    """Insert rows; where the primary key is there already, the row with the earlier time `when` stays.

    No two of the rows may bear the same primary key.
    """
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    keys = [column.name for column in table.primary_key.columns]
    for part in chunks(rows):
        statement = dialect.insert(table)
        changed = {name: statement.excluded[name] for name in part[0] if name not in keys}
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=keys, set_=changed, where=statement.excluded[when.name] < when
            ),
            list(part),
        )


def insert_or_update(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; where the primary key is there already, the new values take its place.

    No two of the rows may bear the same primary key.
    """
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    keys = [column.name for column in table.primary_key.columns]
    for part in chunks(rows):
        statement = dialect.insert(table)
        changed = {name: statement.excluded[name] for name in part[0] if name not in keys}
        conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(part))
