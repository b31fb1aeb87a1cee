"""How do a million rows pass at the driver's own price? Values as the driver has them, times converted once each.

SQLAlchemy turns every value of every row by itself, which costs more than the database takes for the
row. The rows of a chunk share a handful of times: here each is turned once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, type_coerce
from sqlalchemy.types import NullType

from consent.bulk import copy_rows
from consent.schema import UtcTime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Dialect, Table


def raw(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Select a column as the driver gives it; its name stays."""
    return type_coerce(column, NullType()).label(column.name)


class Times:
    """Times as the driver has them and as we have them; both ways, each value once."""

    def __init__(self, dialect: Dialect) -> None:
        """Take the conversions of the type that all time columns have."""
        kind = UtcTime().dialect_impl(dialect)
        self._bind, self._result = kind.bind_processor(dialect), kind.result_processor(dialect, None)
        self._ours: dict[Any, datetime] = {}
        self._drivers: dict[datetime, Any] = {}

    def ours(self, value: Any) -> datetime:  # noqa: ANN401  the driver's own type
        """Give an aware UTC time."""
        if value not in self._ours:
            ours: Any = value if self._result is None else self._result(value)
            self._ours[value] = ours
        return self._ours[value]

    def drivers(self, moment: datetime) -> Any:  # noqa: ANN401  the driver's own type
        """Give what the driver takes for an aware time."""
        if moment not in self._drivers:
            self._drivers[moment] = moment if self._bind is None else self._bind(moment)
        return self._drivers[moment]


def new_ids(conn: Connection, table: Table, count: int) -> list[int]:
    """Take numbers for rows to be inserted, in order, in a transaction that writes: so that other rows can name them.

    Raises what the database raises.
    """
    if conn.dialect.name == "postgresql":
        taken = select(func.nextval(func.pg_get_serial_sequence(table.name, "id"))).select_from(
            func.generate_series(1, count)
        )
        return sorted(conn.execute(taken).scalars())
    # SQLite's one writer is us.
    last: int = conn.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    return list(range(last + 1, last + 1 + count))


def insert_tuples(conn: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of driver values as one statement: COPY on PostgreSQL, else one prepared INSERT.

    `names` stand in the order of the table's columns.

    What the database refuses is raised as by any other statement, without the values. Defaults that
    Python would compute do not apply.
    """
    if not rows:
        return
    if conn.dialect.name == "postgresql":
        copy_rows(conn, table, names, rows)
        return
    compiled: Any = insert(table).compile(dialect=conn.dialect, column_keys=list(names))
    if tuple(compiled.positiontup) != tuple(names):
        raise ValueError("columns must be named in the order of the table")
    sql: str = compiled.string
    conn.exec_driver_sql(sql, list(rows))
