"""How does a handover leave, at least once and with one stable id? Drains the outbox that `qualify` fills."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, insert, select, update

from consent import identity as identities
from consent.schema import consent_state
from nurture.handover import payload
from nurture.handover.policy import HandoverError, HandoverPolicy
from nurture.handover.targets import Answer, Delivery, Target
from nurture.store.tables import handover, handover_attempt, lead

if TYPE_CHECKING:
    from datetime import datetime

    from consent.keys import Keyring
    from nurture.store.workspace import Workspace

WAITS = tuple(timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
"""Between tries, after Standard Webhooks 1.0: ten tries over about three days, then the dead-letter list."""

AAD = b"handover|sealed_payload|"


@dataclass
class Drained:
    """What one run of the outbox did. Ids are those of handovers, never of people."""

    delivered: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)


def due(connection: Connection, *, at: datetime, limit: int = 100) -> list[int]:
    """Which handovers are to be tried at `at`? Oldest try first; ix_handover_open carries it."""
    wanted = (
        select(handover.c.id)
        .where(handover.c.state == "created", handover.c.next_attempt_at <= at)
        .order_by(handover.c.next_attempt_at, handover.c.id)
        .limit(limit)
    )
    return list(connection.execute(wanted).scalars())


def drain(workspace: Workspace, policy: HandoverPolicy, target: Target, *, at: datetime, limit: int = 100) -> Drained:
    """Deliver everything that is due, one by one, each in its own transactions around the call."""
    done = Drained()
    with workspace.store.read() as connection:
        waiting = due(connection, at=at, limit=limit)
    for handover_id in waiting:
        _deliver(workspace, policy, target, handover_id, at, done)
    return done


def _deliver(
    workspace: Workspace, policy: HandoverPolicy, target: Target, handover_id: int, at: datetime, done: Drained
) -> None:
    with workspace.store.write() as connection:
        claimed = _claim(connection, workspace.keyring, policy, handover_id, at)
    if claimed is None:
        return
    delivery, n = claimed
    if delivery is None:
        done.withdrawn.append(str(handover_id))
        return
    answer = target.hand_over(delivery)
    with workspace.store.write() as connection:
        state = _settle(connection, handover_id, n, delivery, target.channel, answer, at)
    {"delivered": done.delivered, "created": done.failed, "dead": done.dead}[state].append(delivery.key)


def _claim(
    connection: Connection, keyring: Keyring, policy: HandoverPolicy, handover_id: int, at: datetime
) -> tuple[Delivery | None, int] | None:
    """Take the next try of one handover; None when another worker has it.

    The next try is set before the call: after a crash in between it is repeated under the same id,
    and the receiver recognises it.
    """
    row = connection.execute(
        select(handover.c.public_id, handover.c.attempts, lead.c.subject)
        .join(lead, lead.c.id == handover.c.lead_id)
        .where(handover.c.id == handover_id)
    ).one()
    wait = WAITS[min(row.attempts, len(WAITS) - 1)]
    taken = connection.execute(
        update(handover)
        .where(handover.c.id == handover_id, handover.c.state == "created", handover.c.attempts == row.attempts,
               handover.c.next_attempt_at <= at)
        .values(attempts=row.attempts + 1, next_attempt_at=at + wait)
    ).rowcount  # fmt: skip
    if taken != 1:
        return None
    try:
        body = payload.encode(payload.build(connection, keyring, policy, handover_id, at=at))
    except HandoverError:
        connection.execute(
            update(handover).where(handover.c.id == handover_id).values(state="withdrawn", settled_at=at)
        )
        return None, row.attempts + 1
    sealed = identities.seal_for(connection, keyring, row.subject, body, aad=AAD + row.public_id.encode())
    connection.execute(
        update(handover)
        .where(handover.c.id == handover_id)
        .values(sealed_payload=sealed, payload_sha256=hashlib.sha256(body).hexdigest())
    )
    return Delivery(row.public_id, payload.CREATED, body, at), row.attempts + 1


def _settle(
    connection: Connection, handover_id: int, n: int, delivery: Delivery, channel: str, answer: Answer, at: datetime
) -> str:
    """Write down what came of a try; give the state the handover is in now."""
    record(connection, handover_id, n, delivery.event, channel, answer, at)
    mine = (handover.c.id == handover_id) & (handover.c.state == "created")
    if answer.taken:
        connection.execute(
            update(handover).where(mine).values(state="delivered", delivered_at=at, next_attempt_at=None)
        )
        return "delivered"
    if answer.final or n > len(WAITS):
        connection.execute(update(handover).where(mine).values(state="dead", next_attempt_at=None))
        return "dead"
    if answer.retry_after is not None:
        later = at + timedelta(seconds=answer.retry_after)
        connection.execute(
            update(handover).where(mine, handover.c.next_attempt_at < later).values(next_attempt_at=later)
        )
    return "created"


def record(
    connection: Connection, handover_id: int, n: int, event: str, channel: str, answer: Answer, at: datetime
) -> None:
    """Keep one try for explanation."""
    connection.execute(
        insert(handover_attempt).values(
            handover_id=handover_id, n=n, event=event, channel=channel, at=at,
            outcome="taken" if answer.taken else "refused", detail=answer.detail[:200],
        )
    )  # fmt: skip


def announce_withdrawals(workspace: Workspace, target: Target, *, at: datetime, limit: int = 100) -> list[str]:
    """Tell sales that somebody they work with withdrew a consent after the handover.

    Each handover is told once it was taken; a refused try is repeated with the next run.
    """
    told = (
        select(handover_attempt.c.handover_id, func.max(handover_attempt.c.n).label("n"),
               func.count().filter(handover_attempt.c.outcome == "taken").label("taken"))
        .where(handover_attempt.c.event == payload.WITHDRAWN)
        .group_by(handover_attempt.c.handover_id)
        .subquery()
    )  # fmt: skip
    with workspace.store.read() as connection:
        rows = connection.execute(
            select(handover.c.id, handover.c.public_id, handover.c.lead_id, consent_state.c.purpose,
                   consent_state.c.since, consent_state.c.seq, func.coalesce(told.c.n, 0).label("n"))
            .join(lead, lead.c.id == handover.c.lead_id)
            .join(consent_state, consent_state.c.subject == lead.c.subject)
            .outerjoin(told, told.c.handover_id == handover.c.id)
            .where(
                handover.c.state.in_(["delivered", "accepted", "escalated"]),
                consent_state.c.state.in_(["withdrawn", "erased"]),
                consent_state.c.purpose != "email.tracking",
                consent_state.c.since > handover.c.created_at,
                func.coalesce(told.c.taken, 0) == 0,
            )
            .order_by(handover.c.id)
            .limit(limit)
        ).all()  # fmt: skip
    reached = []
    for row in rows:
        facts = {"handover": row.public_id, "lead": row.lead_id, "purpose": row.purpose,
                 "since": row.since.isoformat(), "ledger_entry": row.seq}  # fmt: skip
        envelope = {"specversion": "1.0", "id": f"{row.public_id}.withdrawn", "source": payload.SOURCE,
                    "type": payload.WITHDRAWN, "time": at.isoformat(), "datacontenttype": "application/json",
                    "data": facts}  # fmt: skip
        answer = target.hand_over(Delivery(row.public_id, payload.WITHDRAWN, json.dumps(envelope).encode(), at))
        with workspace.store.write() as connection:
            record(connection, row.id, row.n + 1, payload.WITHDRAWN, target.channel, answer, at)
        if answer.taken:
            reached.append(row.public_id)
    return reached


def send_again(connection: Connection, public_id: str, *, at: datetime) -> None:
    """Put a handover back into the outbox, at a person's wish; the receiver sees the same id.

    Raises HandoverError when there is no such handover or it was answered already.
    """
    changed = connection.execute(
        update(handover)
        .where(handover.c.public_id == public_id, handover.c.state.in_(["created", "delivered", "dead", "escalated"]))
        .values(state="created", next_attempt_at=at)
    ).rowcount
    if changed != 1:
        raise HandoverError(f"handover {public_id} is unknown or answered; see 'nurture handover list'")
