"""Do too many mails end in doubt, or in complaints? Counts over the newest mails, and pulls the brake.

Each count reads as many rows as its window has batches, not as many as there were ever mails.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, literal, select

from nurture.delivery import brakes, facts
from nurture.delivery.brakes import Brake, Level
from nurture.delivery.states import Kind, State
from nurture.store.inserting import chunks
from nurture.store.tables import delivery_attempt, delivery_fact, message, message_exception, send_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from nurture.delivery.facts import Witness
    from nurture.delivery.policy import SendingPolicy

FOUND_WITHIN = timedelta(hours=1)
"""So long before a brake was pulled the doubts it was pulled for became known, at most."""
SUBMITTED = [State.SUBMITTING, State.ACCEPTED, State.REJECTED, State.IN_DOUBT, State.UNKNOWN]
DOUBTS = [State.IN_DOUBT, State.UNKNOWN]
FATE = func.coalesce(message_exception.c.state, send_batch.c.state)


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    count: int
    of: int

    @property
    def percent(self) -> float:
        """How many of a hundred?"""
        return round(100 * self.count / self.of, 3) if self.of else 0.0

    def __str__(self) -> str:
        """Write it for people."""
        return f"{self.count:,} of {self.of:,} ({self.percent:g} %)"


def watch(
    conn: Connection, policy: SendingPolicy, provider: str, at: datetime, *, witness: Witness | None = None
) -> None:
    """Look at both figures of a provider and pull or ease the brakes. Once per run and after each doubt."""
    watch_doubts(conn, policy, provider, at, witness=witness)
    watch_complaints(conn, policy, provider, at)


def watch_doubts(
    conn: Connection, policy: SendingPolicy, provider: str, at: datetime, *, witness: Witness | None = None
) -> None:
    """Stop marketing when the budget of doubtful mails is used up, until proof or a person says that it may go on.

    Doubts are looked into at night; before they stop anything, and as long as they do, what events told by now counts,
    and what a `witness` can show that needs no network.
    """
    seen = doubts(conn, policy, provider)
    matters = seen.count > policy.in_doubt.most or _standing(conn, provider) is not None
    if matters and facts.reconcile(conn, at=at, witness=witness).accepted:
        seen = doubts(conn, policy, provider)
    if seen.count > policy.in_doubt.most:
        reason = (
            f"{seen} of the last marketing mails are in doubt or unknown; at most {policy.in_doubt.most_percent:f} %"
        )
        brakes.pull(conn, Brake.IN_DOUBT, reason, at, provider=provider)
    elif _resolved(conn, policy, provider):
        brakes.ease(conn, Brake.IN_DOUBT, provider, at)


def watch_complaints(conn: Connection, policy: SendingPolicy, provider: str, at: datetime) -> None:
    """Warn of complaints, or stop marketing for them; ease a warning when the figures are good again."""
    limits = policy.complaints
    seen = complaints(conn, policy, provider, at)
    base = max(seen.of, limits.at_least)
    level = Level.OFF
    for percent, reached in ((limits.warn_percent, Level.WARN), (limits.stop_percent, Level.STOP)):
        if seen.count * 100 >= percent * base:
            level = reached
    if level is Level.OFF:
        brakes.calm(conn, Brake.COMPLAINTS, provider, at)
        return
    percent = limits.stop_percent if level is Level.STOP else limits.warn_percent
    reason = f"{seen} complaints within {limits.within.days} days; limit {percent:f} %"
    brakes.pull(conn, Brake.COMPLAINTS, reason, at, provider=provider, level=level)


def _resolved(conn: Connection, policy: SendingPolicy, provider: str) -> bool:
    """Did proof take the doubts away that the brake was pulled for?

    That newer mails push them out of the count is none: those were on their way when it was pulled.
    """
    standing = _standing(conn, provider)
    if standing is None:
        return True
    query = _answered(provider).where(delivery_attempt.c.answered_at > standing.since - FOUND_WITHIN)
    fates = _by_fate(conn, [row.batch_id for row in conn.execute(query)])
    return sum(fates.get(state, 0) for state in DOUBTS) <= policy.in_doubt.most


def _standing(conn: Connection, provider: str) -> brakes.Pulled | None:
    """Give the brake that was pulled for doubts; None where none was."""
    mine = (Brake.IN_DOUBT, provider)
    return next((one for one in brakes.pulled(conn) if (one.name, one.provider) == mine), None)


def _answered(provider: str) -> Select[Any]:
    """Give the batches of marketing mails of which it is known what became of them, or that nobody knows it.

    By when that became known: a request that times out is told of long after others that began later.
    The gap behind a backup has a brake of its own.
    """
    return (
        select(delivery_attempt.c.batch_id, send_batch.c.count)
        .join(send_batch, send_batch.c.id == delivery_attempt.c.batch_id)
        .where(
            delivery_attempt.c.answered_at.is_not(None),
            delivery_attempt.c.request_sha256 != "",
            send_batch.c.kind == Kind.MARKETING,
            send_batch.c.provider == provider,
        )
    )


def _by_fate(conn: Connection, batch_ids: Sequence[int]) -> dict[str, int]:
    """Count the messages of batches by what became of each (ix_message_batch)."""
    counts: Counter[str] = Counter()
    for part in chunks(batch_ids):
        query = (
            select(FATE, func.count())
            .select_from(message)
            .join(send_batch, send_batch.c.id == message.c.batch_id)
            .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
            .where(message.c.batch_id.in_(part))
            .group_by(FATE)
        )
        counts.update({row[0]: row[1] for row in conn.execute(query)})
    return counts


def doubts(conn: Connection, policy: SendingPolicy, provider: str) -> Rate:
    """How many of the newest marketing mails handed over are in doubt or unknown?

    Reads the newest batches until they hold `of_last` mails (ix_delivery_attempt_answered, ix_message_batch).
    """
    wanted = policy.in_doubt.of_last
    since = brakes.counted_from(conn, Brake.IN_DOUBT, provider)
    newest = _answered(provider)
    if since is not None:
        newest = newest.where(delivery_attempt.c.answered_at > since)
    newest = newest.order_by(delivery_attempt.c.answered_at.desc(), delivery_attempt.c.batch_id.desc()).limit(wanted)
    batches: dict[int, int] = {}
    for batch_id, size in conn.execute(newest):
        batches[batch_id] = size
        if sum(batches.values()) >= wanted:
            break
    counts = _by_fate(conn, list(batches))
    handed_over = sum(counts.get(state, 0) for state in SUBMITTED)
    return Rate(sum(counts.get(state, 0) for state in DOUBTS), handed_over)


def complaints(conn: Connection, policy: SendingPolicy, provider: str, at: datetime) -> Rate:
    """How many marketing mails drew a complaint, and how many did the provider accept, within the window?"""
    released = brakes.counted_from(conn, Brake.COMPLAINTS, provider)
    since = at - policy.complaints.within
    if released is not None:
        since = max(since, released)
    ours = and_(send_batch.c.kind == Kind.MARKETING, send_batch.c.provider == provider)
    # Written out, word for word the condition of ix_delivery_fact_complained.
    complained = delivery_fact.c.fact == literal("complained", literal_execute=True)
    drawn = (
        select(func.count())
        .select_from(delivery_fact)
        .join(message, message.c.id == delivery_fact.c.message_id)
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .where(complained, delivery_fact.c.at > since, ours)
    )
    count = int(conn.execute(drawn).scalar_one())
    return Rate(count, _accepted(conn, provider, since))


def _accepted(conn: Connection, provider: str, since: datetime) -> int:
    """How many marketing mails did the provider accept since? By batches, less those that left their batch's fate."""
    ours = and_(send_batch.c.kind == Kind.MARKETING, send_batch.c.provider == provider)
    of_batches = (
        select(func.coalesce(func.sum(send_batch.c.count), 0))
        .join(delivery_attempt, delivery_attempt.c.batch_id == send_batch.c.id)
        .where(delivery_attempt.c.answered_at > since, delivery_attempt.c.outcome == "accepted", ours)
    )
    # Written out: PostgreSQL does not see that two parameters are the same.
    accepted = literal(State.ACCEPTED.value, literal_execute=True)
    alike = (send_batch.c.state == accepted, message_exception.c.state == accepted)
    apart = (
        select(*alike, func.count())
        .select_from(message_exception)
        .join(message, message.c.id == message_exception.c.message_id)
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        # Whatever leaves its batch does so when it is handed over, or later.
        .where(message_exception.c.at > since, ours)
        .group_by(*alike)
    )
    total = int(conn.execute(of_batches).scalar_one())
    for batch_accepted, itself_accepted, number in conn.execute(apart):
        total += number * (int(bool(itself_accepted)) - int(bool(batch_accepted)))
    return max(total, 0)
