"""What did a provider refuse for now, why, and when is it tried again? Read from the queue alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from nurture.delivery import circuit
from nurture.delivery.claiming import OPEN
from nurture.delivery.states import State
from nurture.store.tables import message, message_exception, send_batch

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Refusal:
    """Mails that wait because of one and the same answer."""

    provider: str
    kind: str
    code: str
    """The last answer: a code of the provider or of the line to it."""
    mails: int
    next_try: datetime
    """UTC; the first of them, and no sooner than an open circuit lets one through."""

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)


def refusals(conn: Connection) -> list[Refusal]:
    """List what waits in the queue after a refusal, by provider, kind and code; batches never tried are not in it."""
    b = send_batch.c
    waiting = (
        select(b.provider, b.kind, b.error, func.count().label("mails"), func.min(b.not_before).label("next_try"))
        .select_from(send_batch.join(message).outerjoin(message_exception))
        .where(OPEN, b.state == State.PLANNED, b.error.is_not(None), message_exception.c.message_id.is_(None))
        .group_by(b.provider, b.kind, b.error)
        .order_by(b.provider, b.kind, b.error)
    )
    found = []
    for row in conn.execute(waiting):
        begins = circuit.look(conn, row.provider, row.next_try).begins(row.kind)
        next_try = row.next_try if begins is None else max(row.next_try, begins)
        found.append(Refusal(row.provider, row.kind, row.error, row.mails, next_try))
    return found
