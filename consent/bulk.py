"""How do many rows go in at little more than the database's own price? One statement, compiled once.

SQLAlchemy prepares every value of every row by itself, which costs three times what SQLite takes for
the row. Here the statement is Core's, compiled for the dialect, and a column's type is asked once per
distinct value: the times of a batch are all the same one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, insert
from sqlalchemy.exc import DBAPIError, StatementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Insert, Table, Update
    from sqlalchemy.sql.compiler import SQLCompiler


def write_many(conn: Connection, statement: Insert | Update, rows: Sequence[dict[str, Any]]) -> int:
    """Execute an insert or update for each row of values; give how many rows the database wrote.

    Every row names the same columns (of an update: its bind parameters) and holds hashable values.
    What a column or the database refuses is raised as by any other statement. Defaults that Python
    would compute do not apply; those of the database do.
    """
    if not rows:
        return 0
    return _execute(conn, statement.compile(dialect=conn.dialect, column_keys=list(rows[0])), _columns(rows))


def insert_all(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows as one statement; see `insert_columns`. Every row names the same columns."""
    if rows:
        insert_columns(conn, table, _columns(rows))


def insert_columns(conn: Connection, table: Table, columns: Mapping[str, Sequence[Any]]) -> None:
    """Insert rows told column by column, as one statement: COPY on PostgreSQL, else one execution for each row.

    What the database refuses is raised as by any other statement.
    """
    if conn.dialect.name != "postgresql":
        _execute(conn, _insert(table, conn.dialect, tuple(columns)), columns)
        return
    copy_rows(conn, table, list(columns), zip(*columns.values(), strict=True))


def copy_rows(conn: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of the driver's own values by COPY; PostgreSQL only. A refusal is raised without quoting the row."""
    quoted = ", ".join(f'"{name}"' for name in names)
    statement = f"COPY {table.name} ({quoted}) FROM STDIN"
    dbapi: Any = conn.dialect.dbapi
    driver: Any = conn.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as error:
        # Its first line only: the detail quotes the row.
        plain = type(error)(error.diag.message_primary or "the server broke off")
    else:
        return
    # Raised out here, so that the original is not even its context.
    raise DBAPIError.instance(statement, None, plain, dbapi.Error, hide_parameters=True)


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


@lru_cache(maxsize=64)
def _insert(table: Table, dialect: Dialect, names: tuple[str, ...]) -> SQLCompiler:
    """Compile an insert of these columns."""
    return insert(table).compile(dialect=dialect, column_keys=list(names))


def _execute(conn: Connection, compiled: SQLCompiler, columns: Mapping[str, Sequence[Any]]) -> int:
    """Execute a statement once for each row of values; give how many rows the database wrote."""
    names = list(compiled.positiontup or compiled.binds)
    values: list[Any] = list(zip(*(_converted(conn, compiled, name, columns[name]) for name in names), strict=True))
    if not compiled.positional:
        values = [dict(zip(names, row, strict=True)) for row in values]
    sql = compiled.string
    return conn.exec_driver_sql(sql, values).rowcount


def _converted(conn: Connection, compiled: SQLCompiler, name: str, column: Sequence[Any]) -> Sequence[Any]:
    """Turn the values of one column into what the driver takes."""
    kind = compiled.binds[name].type
    convert = kind.dialect_impl(conn.dialect).bind_processor(conn.dialect)
    # Both drivers take bytes as they are; SQLAlchemy would wrap each.
    if convert is None or isinstance(kind, LargeBinary):
        return column
    try:
        known = {value: convert(value) for value in set(column)}
    except (TypeError, ValueError) as error:
        # As SQLAlchemy says it, but without the values: they may be somebody's.
        raise StatementError(str(error), compiled.string, None, error) from error
    return [known[value] for value in column]
