"""Did the provider take it after all? Proof resolves a doubt; without any it becomes an open unknown."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import bindparam, func, literal, or_, select, update

from nurture.delivery.claiming import size_of
from nurture.delivery.states import Counts, State
from nurture.store.inserting import chunks, insert_new
from nurture.store.tables import delivery_attempt, delivery_fact, event, message, message_exception, send_batch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Connection, Row

QUARANTINE = timedelta(hours=24)
"""How long the provider keeps trying to deliver its events."""
PAGE = 500
"""Batches looked into by one statement."""
MAILS = 20_000
"""So many mails, and the rest of one batch, are held in memory at most."""
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


def reconcile(conn: Connection, *, at: datetime, witness: Witness | None = None) -> Counts:
    """Resolve doubtful batches, message by message; give what was resolved.

    Any event or delivery fact that carries our message id proves acceptance, also after the doubt was
    given up. After 24 hours without proof a message is `unknown`, for good unless proof comes. All doubts there are
    are looked into, page by page: the statements grow with the pages, the memory with none.
    """
    counts = Counts()
    for page in _pages(conn):
        counts += _resolve(conn, page, witness, at)
    counts += _resolve_apart(conn, witness, at)
    counts.unknown = _give_up(conn, at)
    return counts


def _pages(conn: Connection) -> Iterator[list[int]]:
    """Give the ids of all doubtful batches, newest first, cut where a page holds many mails."""
    doubtful = send_batch.c.state.in_(DOUBTS)
    newest = select(send_batch.c.id, send_batch.c["count"].label("mails")).where(doubtful)
    newest = newest.order_by(send_batch.c.id.desc()).limit(PAGE)
    last = None
    while rows := conn.execute(newest if last is None else newest.where(send_batch.c.id < last)).all():
        page: list[int] = []
        mails = 0
        for row in rows:
            page.append(row.id)
            mails += row.mails
            if mails >= MAILS:
                break
        last = page[-1]
        yield page


def _resolve_apart(conn: Connection, witness: Witness | None, at: datetime) -> Counts:
    """Resolve the doubts about single messages, whose batch had another fate (ix_message_exception_doubtful)."""
    doubtful = message_exception.c.state.in_(bindparam("states", DOUBTS, expanding=True, literal_execute=True))
    newest = (
        select(message.c.id, message.c.public_id, PROVEN.label("proven"))
        .join(message_exception, message_exception.c.message_id == message.c.id)
        .where(doubtful)
        .order_by(message.c.id.desc())
        .limit(MAILS)
    )
    counts = Counts()
    last = None
    while rows := conn.execute(newest if last is None else newest.where(message.c.id < last)).all():
        accepted = [row.id for row in _accepted(rows, witness)]
        for part in chunks(accepted):
            mine = update(message_exception).where(message_exception.c.message_id.in_(part))
            conn.execute(mine.values(state=State.ACCEPTED, reason="proven", at=at))
        counts.accepted += len(accepted)
        last = rows[-1].id
    return counts


def _resolve(conn: Connection, batch_ids: Sequence[int], witness: Witness | None, at: datetime) -> Counts:
    """Resolve the doubts about a page of batches; without a witness only the proven messages are read."""
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
    alike = (message.c.batch_id.in_(batch_ids), ~own)
    query = select(message.c.id, message.c.batch_id, message.c.public_id, PROVEN.label("proven")).where(*alike)
    accepted = _accepted(conn.execute(query if witness else query.where(PROVEN)).all(), witness)
    if not accepted:
        return Counts()
    of_batch = Counter(row.batch_id for row in accepted)
    sizes = select(message.c.batch_id, func.count()).where(*alike).group_by(message.c.batch_id)
    whole = [row[0] for row in conn.execute(sizes) if row[1] == of_batch[row[0]]]
    for part in chunks(whole):
        _accept_batches(conn, part, at)
    settled = set(whole)
    exceptions = [
        {"message_id": row.id, "state": State.ACCEPTED, "reason": "proven", "at": at}
        for row in accepted
        if row.batch_id not in settled
    ]
    # Two may look into doubts at once.
    insert_new(conn, message_exception, exceptions)
    return Counts(accepted=len(accepted))


def _accepted(rows: Sequence[Row[Any]], witness: Witness | None) -> list[Row[Any]]:
    """Which of these messages were proven to be accepted, by a fact of ours or by the witness?"""
    shown = witness.proofs([row.public_id for row in rows if not row.proven]) if witness else set()
    return [row for row in rows if row.proven or row.public_id in shown]


def _accept_batches(conn: Connection, batch_ids: Sequence[int], at: datetime) -> None:
    conn.execute(
        update(send_batch)
        .where(send_batch.c.id.in_(batch_ids), send_batch.c.state.in_(DOUBTS))
        .values(state=State.ACCEPTED, settled_at=at, error=None)
    )
    conn.execute(
        update(delivery_attempt)
        .where(delivery_attempt.c.batch_id.in_(batch_ids), delivery_attempt.c.outcome == "unknown")
        .values(outcome="accepted", detail="proven", answered_at=at)
    )


def _give_up(conn: Connection, at: datetime) -> int:
    """Call doubts unknown whose quarantine is over; give how many messages that concerns."""
    old = (
        select(send_batch.c.id)
        .join(
            delivery_attempt,
            (delivery_attempt.c.batch_id == send_batch.c.id) & (delivery_attempt.c.n == send_batch.c.attempt),
        )
        .where(send_batch.c.state == State.IN_DOUBT, delivery_attempt.c.started_at <= at - QUARANTINE)
        .limit(PAGE)
    )
    size = 0
    # Who is given up is in doubt no more, so that each turn finds others.
    while batch_ids := conn.execute(old).scalars().all():
        size += size_of(conn, batch_ids)
        conn.execute(
            update(send_batch)
            .where(send_batch.c.id.in_(batch_ids), send_batch.c.state == State.IN_DOUBT)
            .values(state=State.UNKNOWN, settled_at=at)
        )
    apart = update(message_exception).where(
        message_exception.c.state == literal(State.IN_DOUBT.value, literal_execute=True),
        message_exception.c.at <= at - QUARANTINE,
    )
    return size + conn.execute(apart.values(state=State.UNKNOWN, at=at)).rowcount
