"""What did sales answer in a span of time? For whoever wants to be told, by ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from nurture.store.tables import handover

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


def answered(conn: Connection, *, after: datetime, until: datetime) -> list[tuple[str, str]]:
    """Give (public id, accepted or returned) of what was answered after one time and not after the other (UTC)."""
    query = (
        select(handover.c.public_id, handover.c.state)
        .where(
            handover.c.state.in_(["accepted", "returned"]),
            handover.c.settled_at > after,
            handover.c.settled_at <= until,
        )
        .order_by(handover.c.settled_at, handover.c.id)
    )
    return [(row.public_id, row.state) for row in conn.execute(query)]
