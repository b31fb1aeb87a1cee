"""What may a person decide about mails whose fate nobody knows, or that never left? See them, and send one again.

Nothing here happens by itself. A mail sent again may be a second copy, so the decision is a person's, with a reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, insert, not_, select

from nurture.delivery.claiming import free_slots
from nurture.delivery.errors import DeliveryError
from nurture.delivery.facts import PROVEN
from nurture.delivery.queue import environment, insert_batches
from nurture.delivery.states import Kind, State
from nurture.delivery.withheld import Gate, Withheld, withhold
from nurture.store.inserting import insert_new
from nurture.store.tables import decision, delivery_attempt, message, message_exception, send_batch
from nurture.store.verdicts import Answer, remember

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

DOUBTFUL = (State.IN_DOUBT, State.UNKNOWN)
SET_ASIDE = (State.REJECTED, State.FAILED_RENDER)
"""Poison: the provider will never take it, or it could not be written; nothing else waits for it."""
RESENT = 10_000
"""Occurrences from here on are a person's: the planner counts from 1 and never comes so far."""
SENT_AGAIN = "sent_again"
ORIGINAL_ACCEPTED = "original_accepted"
VALID = timedelta(hours=24)
"""How long a mail that is sent again may wait for its turn."""
STATE = func.coalesce(message_exception.c.state, send_batch.c.state)


@dataclass(frozen=True)
class Listed:
    """A message by its ids, where it stands, why, and since when (UTC)."""

    message: str
    lead: int | None
    kind: str
    sequence: str | None
    step: str
    state: str
    reason: str
    since: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)


def messages(conn: Connection, states: Sequence[State], *, limit: int) -> list[Listed]:
    """List the newest messages that stand in one of these states: their own, else their batch's."""
    attempt = (delivery_attempt.c.batch_id == send_batch.c.id) & (delivery_attempt.c.n == send_batch.c.attempt)
    query = (
        select(
            message.c.public_id,
            message.c.lead_id,
            message.c.kind,
            message.c.sequence,
            message.c.step,
            STATE.label("state"),
            func.coalesce(message_exception.c.reason, send_batch.c.error, "").label("reason"),
            func.coalesce(delivery_attempt.c.started_at, message_exception.c.at, send_batch.c.settled_at).label(
                "since"
            ),
        )
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
        .outerjoin(delivery_attempt, attempt)
        .where(STATE.in_(states))
        .order_by(message.c.id.desc())
        .limit(limit)
    )
    return [Listed(*row) for row in conn.execute(query)]


def resend(conn: Connection, public_id: str, *, provider: str, actor: str, reason: str, at: datetime) -> str:
    """Queue a doubtful marketing mail once more, as a message of its own; give its public id.

    It takes a slot of its reader's cap of its own and goes through every gate at the moment it leaves. The decision
    stands with the lead. Raises DeliveryError for a message that is not in doubt, is proven, is a confirmation (those
    are sent again by themselves), or was sent again already.
    """
    row = _doubtful(conn, public_id)
    series = row.occurrence % RESENT
    again = select(func.max(message.c.occurrence), func.count()).where(
        message.c.enrolment_id == row.enrolment_id,
        message.c.step == row.step,
        message.c.occurrence % RESENT == series,
    )
    newest = conn.execute(again).one()[0]
    if newest != row.occurrence:
        raise DeliveryError(f"{public_id} was sent again already; decide about that message")
    batch = {
        "kind": Kind.MARKETING,
        "provider": provider,
        "environment": environment(conn),
        "sequence": row.sequence,
        "purpose": row.purpose,
        "not_before": at,
        "not_after": at + VALID,
    }
    own = {"id", "public_id", "batch_id", "kind", "planned_at"}
    copied = {column.name: getattr(row, column.name) for column in message.columns if column.name not in own}
    copied["occurrence"] = newest + RESENT
    insert_batches(conn, batch, [copied], batch_limit=1, at=at)
    made = select(message.c.public_id).where(
        message.c.enrolment_id == row.enrolment_id,
        message.c.step == row.step,
        message.c.occurrence == copied["occurrence"],
    )
    fresh: str = conn.execute(made).scalar_one()
    # Apart from its batch: should a late answer say that the batch was refused, only the copy goes.
    apart = {"message_id": row.id, "state": row.state, "reason": SENT_AGAIN, "at": at}
    insert_new(conn, message_exception, [apart])
    _write_down(conn, row, copied["occurrence"], actor, reason, at)
    return fresh


def call_off(conn: Connection, message_ids: Sequence[int], *, at: datetime) -> None:
    """Withhold the copies of these messages that still wait, for the provider says late that it took the originals.

    A copy that a worker holds already leaves: the person who asked for it knew that there may be two.
    """
    if not message_ids:
        return
    copy = message.alias()
    same = (
        copy.c.enrolment_id == message.c.enrolment_id,
        copy.c.step == message.c.step,
        copy.c.occurrence > message.c.occurrence,
        copy.c.occurrence % RESENT == message.c.occurrence % RESENT,
    )
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == copy.c.id).exists()
    waiting = (
        select(copy.c.id)
        .join(message, and_(*same))
        .join(send_batch, send_batch.c.id == copy.c.batch_id)
        .where(message.c.id.in_(message_ids), send_batch.c.state == State.PLANNED, not_(own))
        .with_for_update(of=send_batch)
    )
    copies = conn.execute(waiting).scalars().all()
    gates = (Gate("person", passed=False),)
    withhold(conn, [Withheld(one, State.SUPPRESSED, ORIGINAL_ACCEPTED, gates) for one in copies], at=at)
    if copies:
        free_slots(conn, [], of=copies)


def _doubtful(conn: Connection, public_id: str) -> Row[Any]:
    """Find the message and hold its batch; raises DeliveryError where nothing is to be decided."""
    query = (
        select(message, STATE.label("state"), PROVEN.label("proven"))
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
        .where(message.c.public_id == public_id)
        .with_for_update(of=send_batch)
    )
    row = conn.execute(query).first()
    if row is None:
        raise DeliveryError(f"there is no message {public_id!r}; 'nurture delivery unknown' lists those in doubt")
    if row.kind != Kind.MARKETING:
        raise DeliveryError(f"{public_id} is a confirmation: those are sent again by themselves, three in all")
    if row.proven:
        raise DeliveryError(f"{public_id} was accepted: the provider reported on it; run 'nurture delivery reconcile'")
    if row.state not in DOUBTFUL:
        raise DeliveryError(f"{public_id} is {row.state}; only what is in doubt or unknown may be sent again")
    return row


def _write_down(conn: Connection, row: Row[Any], occurrence: int, actor: str, reason: str, at: datetime) -> None:
    # Who and why differ from decision to decision: a hole, so that the verdict says nothing about anybody.
    asked = Answer.of([{"gate": "person", "passed": True, "detail": "{said}"}], {})
    values = {
        "at": at,
        "lead_id": row.lead_id,
        "enrolment_id": row.enrolment_id,
        "sequence": row.sequence,
        "step": row.step,
        "occurrence": occurrence,
        "phase": "plan",
        "outcome": "planned",
        "reason": SENT_AGAIN,
        "verdict_id": remember(conn, [asked])[asked],
        "details": {"said": f"{actor}: {reason}"[:200]},
    }
    conn.execute(insert(decision), values)
