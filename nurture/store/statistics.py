"""Does PostgreSQL know how large its tables have grown? After a big write it guesses, until autovacuum has looked.

Between an import of tens of thousands of people and that look (a minute or more later) the consent gate was seen to
take 10 to 50 times as long for each mail: planned for tables of a few rows, its queries read them whole. Planning and
the intent are held to their indexes since (`engine.by_index`); whatever else is asked still goes by these numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from nurture.store.engine import Store

MANY = 1000
"""Rows of one kind; what is smaller, autovacuum may find in its own time."""

SELECT_GROWN = (
    "select relname from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace "
    "and pg_relation_size(oid) / current_setting('block_size')::bigint > relpages * 1.5 + 8 order by relname"
)
"""Tables of which at least a third came since somebody last looked, and more than a few pages."""
FOR_EACH = f"for name in {SELECT_GROWN} loop execute format('analyze (skip_locked) %I', name); end loop;"
ANALYSE = f"do $$ declare name text; begin {FOR_EACH} end $$"
"""Look at each of them, on the server: the name of a table is no parameter."""


def refresh(store: Store, written: int) -> list[str]:
    """Look at the tables that have grown by half, after so many rows were `written` and committed; name them.

    PostgreSQL only (SQLite finds its indexes without); nothing for fewer than MANY rows. Bounded:
    ANALYZE reads a sample of 30,000 rows of a table whatever its size, and a table that grows evenly is looked at a
    logarithmic number of times. Waits for nobody: a table that somebody else holds for itself is left out.
    """
    if store.dialect != "postgresql" or written < MANY:
        return []
    with store.write() as conn:
        grown = list(conn.execute(text(SELECT_GROWN)).scalars())
        if grown:
            conn.execute(text(ANALYSE))
    return grown
