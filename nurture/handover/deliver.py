"""How does a handover leave, at least once and with one stable id? Drains the outbox that `qualify` fills."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select, update

from consent import identity as identities
from nurture.failpoints import reach
from nurture.handover import payload
from nurture.handover.policy import HandoverError, HandoverPolicy
from nurture.handover.targets import Answer, Delivery, Target
from nurture.store.tables import handover, handover_attempt, handover_notice, lead

if TYPE_CHECKING:
    from datetime import datetime

    from consent.keys import Keyring
    from nurture.clock import Clock
    from nurture.store.workspace import Workspace

WAITS = tuple(timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
"""Between tries, after Standard Webhooks 1.0: ten tries over about three days, then the dead-letter list."""

LEASE = timedelta(seconds=90)
"""How long a try belongs to the worker that claimed it: longer than a call can take. A crash costs this much."""

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


def moment_of(clock: Clock | None, at: datetime) -> datetime:
    """Give the time of something that happens during a run: by its clock, or `at` where it has none."""
    return at if clock is None else clock.now()


def next_try(n: int, answer: Answer, at: datetime) -> datetime:
    """When does the try after the `n`-th come? Never earlier than the receiver asked for."""
    wait = WAITS[min(n, len(WAITS)) - 1]
    return at + max(wait, timedelta(seconds=answer.retry_after or 0))


def drain(
    workspace: Workspace,
    policy: HandoverPolicy,
    target: Target,
    *,
    at: datetime,
    clock: Clock | None = None,
    limit: int = 100,
) -> Drained:
    """Deliver everything that is due at `at`, one by one, each in its own transactions around the call.

    With a clock each call has its own time: receivers refuse a signature that is minutes old.
    """
    done = Drained()
    with workspace.store.read() as connection:
        waiting = due(connection, at=at, limit=limit)
    for handover_id in waiting:
        _deliver(workspace, policy, target, handover_id, at, clock, done)
    return done


def _deliver(
    workspace: Workspace,
    policy: HandoverPolicy,
    target: Target,
    handover_id: int,
    start: datetime,
    clock: Clock | None,
    done: Drained,
) -> None:
    at = moment_of(clock, start)
    with workspace.store.write() as connection:
        claimed = _claim(connection, workspace.keyring, policy, handover_id, at)
    if claimed is None:
        return
    delivery, n = claimed
    if delivery is None:
        done.withdrawn.append(str(handover_id))
        return
    answer = target.hand_over(delivery)
    reach("handover.after_call")
    with workspace.store.write() as connection:
        state = _settle(connection, handover_id, n, delivery, target.channel, answer, moment_of(clock, at))
    {"delivered": done.delivered, "created": done.failed, "dead": done.dead}[state].append(delivery.key)


def _claim(
    connection: Connection, keyring: Keyring, policy: HandoverPolicy, handover_id: int, at: datetime
) -> tuple[Delivery | None, int] | None:
    """Take the next try of one handover; None when another worker has it.

    The next try is set before the call, beyond its longest time: after a crash in between it is repeated
    under the same id, and the receiver recognises it.
    """
    row = connection.execute(
        select(handover.c.public_id, handover.c.attempts, lead.c.subject)
        .join(lead, lead.c.id == handover.c.lead_id)
        .where(handover.c.id == handover_id)
    ).one()
    taken = connection.execute(
        update(handover)
        .where(handover.c.id == handover_id, handover.c.state == "created", handover.c.attempts == row.attempts,
               handover.c.next_attempt_at <= at)
        .values(attempts=row.attempts + 1, next_attempt_at=at + LEASE)
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
    # A refusal that comes late must not undo the claim of a worker that came after.
    mine &= handover.c.attempts == n
    if answer.final or n > len(WAITS):
        connection.execute(update(handover).where(mine).values(state="dead", next_attempt_at=None))
        return "dead"
    connection.execute(update(handover).where(mine).values(next_attempt_at=next_try(n, answer, at)))
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


def send_again(connection: Connection, public_id: str, *, at: datetime) -> None:
    """Put a handover and its dead notices back into the outbox, at a person's wish; the receiver sees the same ids.

    An answered handover is not repeated, only its dead notices are. Raises HandoverError when there is neither.
    """
    changed = connection.execute(
        update(handover)
        .where(handover.c.public_id == public_id, handover.c.state.in_(["created", "delivered", "dead", "escalated"]))
        .values(state="created", next_attempt_at=at)
    ).rowcount
    named = select(handover.c.id).where(handover.c.public_id == public_id).scalar_subquery()
    changed += connection.execute(
        update(handover_notice)
        .where(handover_notice.c.handover_id == named, handover_notice.c.state == "dead")
        .values(state="open", next_attempt_at=at)
    ).rowcount
    if not changed:
        raise HandoverError(f"handover {public_id} is unknown or answered; see 'nurture handover list'")
