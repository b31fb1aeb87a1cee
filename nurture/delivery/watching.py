"""Do too many mails end in doubt, or in complaints? Counts over the newest mails, and pulls the brake.

Each count reads as many rows as its window has batches, not as many as there were ever mails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, literal, select

from nurture.delivery import brakes
from nurture.delivery.brakes import Brake, Level
from nurture.delivery.states import Kind, State
from nurture.store.tables import delivery_attempt, delivery_fact, message, message_exception, send_batch

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.delivery.policy import SendingPolicy

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


def watch(conn: Connection, policy: SendingPolicy, provider: str, at: datetime) -> None:
    """Look at both figures of a provider and pull or ease the brakes. Once per run and after each doubt."""
    watch_doubts(conn, policy, provider, at)
    watch_complaints(conn, policy, provider, at)


def watch_doubts(conn: Connection, policy: SendingPolicy, provider: str, at: datetime) -> None:
    """Stop marketing when the budget of doubtful mails is used up, until proof or a person says that it may go on."""
    seen = doubts(conn, policy, provider)
    if seen.count > policy.in_doubt.most:
        reason = (
            f"{seen} of the last marketing mails are in doubt or unknown; at most {policy.in_doubt.most_percent:f} %"
        )
        brakes.pull(conn, Brake.IN_DOUBT, reason, at, provider=provider)
    else:
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


def doubts(conn: Connection, policy: SendingPolicy, provider: str) -> Rate:
    """How many of the newest marketing mails handed over are in doubt or unknown?

    Reads the newest batches until they hold `of_last` mails (ix_delivery_attempt_started, ix_message_batch).
    """
    wanted = policy.in_doubt.of_last
    since = brakes.counted_from(conn, Brake.IN_DOUBT, provider)
    newest = (
        select(delivery_attempt.c.batch_id, send_batch.c.count)
        .join(send_batch, send_batch.c.id == delivery_attempt.c.batch_id)
        .where(send_batch.c.kind == Kind.MARKETING, send_batch.c.provider == provider)
        # The gap behind a backup has a brake of its own.
        .where(delivery_attempt.c.request_sha256 != "")
        .order_by(delivery_attempt.c.started_at.desc(), delivery_attempt.c.batch_id.desc())
        .limit(wanted)
    )
    if since is not None:
        newest = newest.where(delivery_attempt.c.started_at > since)
    batches: dict[int, int] = {}
    for batch_id, size in conn.execute(newest):
        batches[batch_id] = size
        if sum(batches.values()) >= wanted:
            break
    by_fate = (
        select(FATE, func.count())
        .select_from(message)
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
        .where(message.c.batch_id.in_(list(batches)))
        .group_by(FATE)
    )
    counts: dict[str, int] = {row[0]: row[1] for row in conn.execute(by_fate)}
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
        .where(delivery_attempt.c.started_at > since, delivery_attempt.c.outcome == "accepted", ours)
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
