"""How does a batch go that is too large for the day, or for the provider? Its first mails as a batch of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, not_, select, update

from nurture.store.tables import message, message_exception, send_batch

if TYPE_CHECKING:
    from sqlalchemy import Connection

OWN_FATE = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()


def cut(conn: Connection, batch_id: int, mails: int) -> tuple[int, int]:
    """Give the first `mails` messages of a planned batch to a new one; give its id and how many they are.

    The batch must never have been claimed, and the caller holds it: the database lets a message change its batch only
    between two of which no attempt can tell. Messages that left the batch's fate stay; where there are only such,
    nothing is cut, and the batch itself is given with 0.
    """
    first = select(message.c.id).where(message.c.batch_id == batch_id, not_(OWN_FATE)).order_by(message.c.id)
    ids = conn.execute(first.limit(mails)).scalars().all()
    if not ids:
        return batch_id, 0
    names = [column.name for column in send_batch.columns if column.name not in {"id", "count"}]
    kept = conn.execute(select(*(send_batch.c[name] for name in names)).where(send_batch.c.id == batch_id)).mappings()
    made = insert(send_batch).values(**kept.one(), count=len(ids)).returning(send_batch.c.id)
    fresh: int = conn.execute(made).scalar_one()
    conn.execute(update(message).where(message.c.id.in_(ids)).values(batch_id=fresh))
    rest = update(send_batch).where(send_batch.c.id == batch_id)
    conn.execute(rest.values(count=send_batch.c["count"] - len(ids)))
    return fresh, len(ids)
