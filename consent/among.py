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
    listed = list(values)
    if conn.dialect.name == "postgresql":
        return column == any_(bindparam(None, listed, type_=ARRAY(column.type), unique=True))
    return column.in_(select(func.json_each(json.dumps(listed)).table_valued("value").c.value))
