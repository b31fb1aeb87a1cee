"""What became of it? Writes the provider's answer down and moves the batch on."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from nurture.delivery import circuit
from nurture.delivery.claiming import free_slots
from nurture.delivery.provider import Accepted, Outcome, Refused, Rejected, Unknown
from nurture.delivery.states import Counts, State
from nurture.store.tables import delivery_attempt, send_batch

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nurture.delivery.intent import Submission

BASE_SECONDS = 2.0
LONGEST_BACKOFF = 15 * 60.0
LONGEST_WISH = 3600.0
"""A provider's Retry-After counts up to an hour."""

OUTCOMES = {Accepted: "accepted", Refused: "refused", Rejected: "rejected", Unknown: "unknown"}
NEXT = {
    Accepted: State.ACCEPTED,
    Refused: State.PLANNED,
    Rejected: State.REJECTED,
    Unknown: State.IN_DOUBT,
}


def backoff(refusals: int, wish: float | None) -> float:
    """Give the seconds to wait after so many refusals: full jitter, never less than the provider's wish."""
    ceiling = min(LONGEST_BACKOFF, BASE_SECONDS * 2 ** min(refusals, 20))
    jitter = random.uniform(0, ceiling)  # noqa: S311  spreads load, keeps no secret
    return max(jitter, min(wish or 0.0, LONGEST_WISH))


def settle(conn: Connection, submission: Submission, outcome: Outcome, *, at: datetime) -> Counts:
    """Record the answer to a submission; give what it means in messages.

    A late answer is as good as one in time: if the batch was put in doubt meanwhile, a certain answer
    resolves the doubt. An answer for an attempt that is already certain changes nothing.
    """
    claim, size = submission.claim, len(submission.ready)
    if not _answer(conn, submission, outcome, at):
        return Counts()
    circuit.record(conn, claim.provider, outcome, at)
    state = NEXT[type(outcome)]
    values: dict[str, object] = {"state": state, "lease_owner": None, "lease_until": None}
    if isinstance(outcome, Refused):
        wait = backoff(_refusals(conn, claim.batch_id), outcome.retry_after)
        values |= {"not_before": at + timedelta(seconds=wait), "error": outcome.code[:200]}
    elif isinstance(outcome, Accepted):
        values |= {"settled_at": at, "error": None}
    elif isinstance(outcome, Rejected):
        values |= {"settled_at": at, "error": outcome.code[:200]}
        free_slots(conn, [claim.batch_id])
    else:
        values |= {"error": outcome.code[:200]}
    open_states = [State.SUBMITTING] if isinstance(outcome, Unknown) else [State.SUBMITTING, State.IN_DOUBT]
    changed = conn.execute(
        update(send_batch)
        .where(
            send_batch.c.id == claim.batch_id,
            send_batch.c.attempt == claim.attempt,
            send_batch.c.state.in_(open_states),
        )
        .values(**values)
    )
    if changed.rowcount != 1:
        return Counts()
    counts = Counts()
    setattr(counts, "in_doubt" if isinstance(outcome, Unknown) else OUTCOMES[type(outcome)], size)
    return counts


def _answer(conn: Connection, submission: Submission, outcome: Outcome, at: datetime) -> bool:
    claim = submission.claim
    provider_id = outcome.provider_message_id[:128] if isinstance(outcome, Accepted) else None
    detail = None if isinstance(outcome, Accepted) else outcome.code[:200]
    changed = conn.execute(
        update(delivery_attempt)
        .where(
            delivery_attempt.c.batch_id == claim.batch_id,
            delivery_attempt.c.n == claim.attempt,
            func.coalesce(delivery_attempt.c.outcome, "unknown") == "unknown",
        )
        .values(outcome=OUTCOMES[type(outcome)], provider_message_id=provider_id, detail=detail, answered_at=at)
    )
    return changed.rowcount == 1


def _refusals(conn: Connection, batch_id: int) -> int:
    where = (delivery_attempt.c.batch_id == batch_id, delivery_attempt.c.outcome == "refused")
    return int(conn.execute(select(func.count()).select_from(delivery_attempt).where(*where)).scalar_one())
