"""How does a test on PostgreSQL bring two transactions to the point where one waits for the other?"""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal_column, select, table

if TYPE_CHECKING:
    from concurrent.futures import Future

    from nurture.store.engine import Store

PATIENCE = 20
"""Seconds until a test gives up waiting."""


def until_it_waits(store: Store, other: Future[Any]) -> None:
    """Return when the other transaction waits for a lock, or is done."""
    waiting = select(func.count()).select_from(table("pg_locks")).where(~literal_column("granted"))
    end = monotonic() + PATIENCE
    while monotonic() < end and not other.done():
        with store.read() as conn:
            if conn.execute(waiting).scalar_one():
                return
        sleep(0.02)
