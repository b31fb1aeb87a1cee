"""How is a statement asked about a thousand ids? With one bound value that holds them all.

A list of a thousand variables is written, sent and parsed anew for each length it has; SQLite spends more
on that than on finding the rows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, BigInteger, String, any_, func, literal, select

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column, ColumnElement, Connection


def among(conn: Connection, column: Column[Any], values: Iterable[str] | Iterable[int]) -> ColumnElement[bool]:
    """Is the column one of these values, all texts or all whole numbers? Carried by the column's index."""
    listed = list(values)
    if conn.dialect.name == "postgresql":
        kind: Any = BigInteger() if listed and isinstance(listed[0], int) else String()
        return column == any_(literal(listed, ARRAY(kind)))
    each = func.json_each(literal(json.dumps(listed), String())).table_valued("value")
    return column.in_(select(each.c.value))
