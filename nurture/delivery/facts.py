"""Did the provider take it after all? Proof resolves a doubt; without any it becomes an open unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import bindparam, literal, or_, select, update

from nurture.delivery.claiming import size_of
from nurture.delivery.states import Counts, State
from nurture.store.inserting import chunks, insert_new
from nurture.store.tables import delivery_attempt, delivery_fact, event, message, message_exception, send_batch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection, Row

QUARANTINE = timedelta(hours=24)
"""How long the provider keeps trying to deliver its events."""
CHUNK = 500
DOUBTS = [State.IN_DOUBT.value, State.UNKNOWN.value]
PROVEN = or_(
    select(delivery_fact.c.message_id).where(delivery_fact.c.message_id == message.c.id).exists(),
    select(event.c.id).where(event.c.message_id == message.c.id).exists(),
)
"""Does anything we were told name this message?"""


class Witness(Protocol):
    """Somebody who can prove that messages were accepted, such as the outbox folder or a provider's log."""

    def proofs(self, public_ids: Collection[str]) -> set[str]:
        """Which of these were accepted? Absence proves nothing."""
        ...


def reconcile(conn: Connection, *, at: datetime, witness: Witness | None = None, limit: int = 5000) -> Counts:
    """Resolve doubtful batches, message by message; give what was resolved.

    Any event or delivery fact that carries our message id proves acceptance, also after the doubt was
    given up. After 24 hours without proof a message is `unknown`, for good unless proof comes.
    """
    counts = Counts()
    query = select(send_batch.c.id, send_batch.c.state, send_batch.c.attempt).where(
        send_batch.c.state.in_([State.IN_DOUBT, State.UNKNOWN])
    )
    for batch in conn.execute(query.order_by(send_batch.c.id.desc()).limit(limit)).all():
        counts += _resolve(conn, batch.id, witness, at)
    counts += _resolve_apart(conn, witness, at, limit)
    counts.unknown = _give_up(conn, at)
    return counts


def _resolve_apart(conn: Connection, witness: Witness | None, at: datetime, limit: int) -> Counts:
    """Resolve the doubts about single messages, whose batch had another fate (ix_message_exception_doubtful)."""
    doubtful = message_exception.c.state.in_(bindparam("states", DOUBTS, expanding=True, literal_execute=True))
    query = (
        select(message.c.id, message.c.public_id, PROVEN.label("proven"))
        .join(message_exception, message_exception.c.message_id == message.c.id)
        .where(doubtful)
        .order_by(message.c.id.desc())
        .limit(limit)
    )
    accepted = _accepted(conn.execute(query).all(), witness)
    for part in chunks(accepted):
        mine = update(message_exception).where(message_exception.c.message_id.in_(part))
        conn.execute(mine.values(state=State.ACCEPTED, reason="proven", at=at))
    return Counts(accepted=len(accepted))


def _resolve(conn: Connection, batch_id: int, witness: Witness | None, at: datetime) -> Counts:
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
    query = select(message.c.id, message.c.public_id, PROVEN.label("proven")).where(
        message.c.batch_id == batch_id, ~own
    )
    rows = conn.execute(query).all()
    accepted = _accepted(rows, witness)
    if not accepted:
        return Counts()
    if len(accepted) == len(rows):
        _accept_batch(conn, batch_id, at)
    else:
        exceptions = [
            {"message_id": message_id, "state": State.ACCEPTED, "reason": "proven", "at": at} for message_id in accepted
        ]
        # Two may look into doubts at once.
        insert_new(conn, message_exception, exceptions)
    return Counts(accepted=len(accepted))


def _accepted(rows: Sequence[Row[Any]], witness: Witness | None) -> list[int]:
    """Which of these messages were proven to be accepted, by a fact of ours or by the witness?"""
    shown = witness.proofs([row.public_id for row in rows if not row.proven]) if witness else set()
    return [row.id for row in rows if row.proven or row.public_id in shown]


def _accept_batch(conn: Connection, batch_id: int, at: datetime) -> None:
    conn.execute(
        update(send_batch)
        .where(send_batch.c.id == batch_id, send_batch.c.state.in_([State.IN_DOUBT, State.UNKNOWN]))
        .values(state=State.ACCEPTED, settled_at=at, error=None)
    )
    conn.execute(
        update(delivery_attempt)
        .where(delivery_attempt.c.batch_id == batch_id, delivery_attempt.c.outcome == "unknown")
        .values(outcome="accepted", detail="proven", answered_at=at)
    )


def _give_up(conn: Connection, at: datetime) -> int:
    """Call doubts unknown whose quarantine is over; give how many messages that concerns."""
    old: Sequence[int] = (
        conn.execute(
            select(send_batch.c.id)
            .join(
                delivery_attempt,
                (delivery_attempt.c.batch_id == send_batch.c.id) & (delivery_attempt.c.n == send_batch.c.attempt),
            )
            .where(send_batch.c.state == State.IN_DOUBT, delivery_attempt.c.started_at <= at - QUARANTINE)
            .limit(CHUNK)
        )
        .scalars()
        .all()
    )
    size = size_of(conn, old)
    conn.execute(
        update(send_batch)
        .where(send_batch.c.id.in_(old), send_batch.c.state == State.IN_DOUBT)
        .values(state=State.UNKNOWN, settled_at=at)
    )
    apart = update(message_exception).where(
        message_exception.c.state == literal(State.IN_DOUBT.value, literal_execute=True),
        message_exception.c.at <= at - QUARANTINE,
    )
    return size + conn.execute(apart.values(state=State.UNKNOWN, at=at)).rowcount
