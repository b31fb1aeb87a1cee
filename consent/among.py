"""Is a value one of many? Asked with a single bound value, however many there are, on both databases.

A list of a thousand bound variables is compiled, sent and planned anew for every length; SQLite takes
32,766 at most. A JSON array or an array is one variable: one statement for a whole chunk.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, any_, bindparam, func, select

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection


def among(conn: Connection, column: ColumnElement[Any], values: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
    """Tell whether a column (whole numbers or texts) holds one of the values, each of which may stand twice."""
    if conn.dialect.name == "postgresql":
        return column == any_(bindparam(None, listed(conn, values), type_=ARRAY(column.type), unique=True))
    return column.in_(select(func.json_each(listed(conn, values)).table_valued("value").c.value))


def among_listed(dialect: str, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Tell the same in a statement that is made once: the values come as its parameter `name`, from `listed`."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(column.type)))
    return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))


def listed(conn: Connection, values: Iterable[int] | Iterable[str]) -> Any:  # noqa: ANN401  a text or a list
    """Put the values into the one that is bound."""
    return list(values) if conn.dialect.name == "postgresql" else json.dumps(list(values))
