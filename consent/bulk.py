"""How do many rows go in at little more than the database's own price? One statement, compiled once.

SQLAlchemy prepares every value of every row by itself, which costs three times what SQLite takes for
the row. Here the statement is Core's, compiled for the dialect, and a column's type is asked once per
distinct value: the times of a batch are all the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, insert
from sqlalchemy.exc import DBAPIError, StatementError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Insert, Table, Update
    from sqlalchemy.sql.compiler import SQLCompiler


def write_many(conn: Connection, statement: Insert | Update, rows: Sequence[dict[str, Any]]) -> int:
    """Execute an insert or update for each row of values; give how many rows the database wrote.

    Every row names the same columns (of an update: its bind parameters) and holds hashable values.
    What a column or the database refuses is raised as by any other statement. Defaults that Python
    would compute do not apply; those of the database do.
    """
    if not rows:
        return 0
    compiled = statement.compile(dialect=conn.dialect, column_keys=list(rows[0]))
    names = list(compiled.positiontup or compiled.binds)
    columns = [_converted(conn, compiled, name, [row[name] for row in rows]) for name in names]
    values: list[Any] = list(zip(*columns, strict=True))
    if not compiled.positional:
        values = [dict(zip(names, row, strict=True)) for row in values]
    sql = compiled.string
    return conn.exec_driver_sql(sql, values).rowcount


def insert_all(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows as one statement: COPY on PostgreSQL, else `write_many`. Every row names the same columns.

    What the database refuses is raised as by any other statement.
    """
    if not rows or conn.dialect.name != "postgresql":
        write_many(conn, insert(table), rows)
        return
    statement = f"COPY {table.name} ({', '.join(rows[0])}) FROM STDIN"
    dbapi: Any = conn.dialect.dbapi
    driver: Any = conn.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(tuple(row.values()))
    except dbapi.Error as error:
        # Its first line only: the detail quotes the row.
        plain = type(error)(error.diag.message_primary or "the server broke off")
    else:
        return
    # Raised out here, so that the original is not even its context.
    raise DBAPIError.instance(statement, None, plain, dbapi.Error, hide_parameters=True)


def _converted(conn: Connection, compiled: SQLCompiler, name: str, column: list[Any]) -> list[Any]:
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
