"""Which batch is next, and whose is it? And what did workers leave behind that died?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, delete, func, not_, or_, select, update

from nurture.delivery import brakes, circuit, ramp, splitting, switch, withheld
from nurture.delivery.queue import environment
from nurture.delivery.states import Counts, Kind, State
from nurture.store.tables import delivery_attempt, message, message_exception, send_batch, send_slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

CLAIM_LEASE = timedelta(minutes=5)
"""For reading and writing the mails; a claim that outlives it is simply made again by somebody else."""
SUBMIT_LEASE = timedelta(minutes=5)
"""For the provider's answer; ten times what a request may take."""
LONGEST_LEASE = 2 * max(CLAIM_LEASE, SUBMIT_LEASE)
"""Farther ahead than this no honest lease ends, with room for clocks that differ."""
MOST_PATIENCE = timedelta(hours=24)
"""A marketing batch that the provider has refused for so long expires; a confirmation waits as long as its token."""
MOST_LAPSES = 3
"""A batch whose workers died this often while it was claimed is set aside: it may be what kills them."""

OPEN = send_batch.c.state.in_(
    bindparam("open_states", ["planned", "claimed", "submitting"], expanding=True, literal_execute=True)
)
"""Written out as literals, word for word the condition of `ix_send_batch_open`, so that the index serves it."""


@dataclass(frozen=True)
class Claim:
    """A batch in the hands of one worker. `attempt` fences it: a later claim has a higher one."""

    batch_id: int
    attempt: int
    kind: Kind
    provider: str
    sequence: str | None
    purpose: str | None
    not_after: datetime
    owner: str


def claim(
    conn: Connection,
    *,
    owner: str,
    kind: str,
    at: datetime,
    provider: str | None = None,
    batch_limit: int = 1,
    today: ramp.Today | None = None,
) -> Claim | None:
    """Take the next due batch of a kind for `owner`, or None when there is nothing (or nothing allowed) to do.

    `provider` limits to batches planned for it, and to those that were planned for another and never taken by it:
    after a change of provider they would wait for ever. Of these one of more than `batch_limit` messages is cut.
    `today` limits marketing through `provider` to what is left of the day's volume; a larger batch is cut.
    `at` must be the present: the lease counts from it.
    """
    scopes = switch.stopped(conn)
    if switch.ALL in scopes or brakes.stopping(conn, kind, provider):
        return None
    if provider is not None and not circuit.look(conn, provider, at).admits(kind, at):
        return None
    asked = {
        "kind": kind, "environment": environment(conn), "now": at, "provider": provider, "limit": batch_limit,
        "stopped": [scope.removeprefix("sequence:") for scope in scopes],
    }  # fmt: skip
    query = NEXT if provider is None else NEXT_OF
    ramped = today if provider is not None and kind == Kind.MARKETING else None
    rest = 0
    if provider is not None and ramped is not None:
        rest = ramp.left(conn, ramped, provider)
        query = query.where(ramp.fitting(ramped, rest))
    row = conn.execute(query, asked).first()
    if row is None:
        return None
    by = provider or row.provider
    lease = {"lease_owner": owner, "lease_until": at + CLAIM_LEASE, "ramp_day": row.ramp_day}
    uncounted = ramped is not None and row.ramp_day != ramped.day
    room = min(row.mails if by == row.provider else batch_limit, rest if uncounted else row.mails)
    batch_id, mails = splitting.cut(conn, row.id, room) if row.mails > room else (row.id, row.mails)
    if ramped is not None and uncounted:
        ramp.count_in(conn, ramped, by, mails)
        lease["ramp_day"] = ramped.day
    taken = {"state": State.CLAIMED, "attempt": row.attempt + 1, "provider": by, **lease}
    if conn.execute(TAKE, {"of": batch_id, "tried": row.attempt, **taken}).rowcount != 1:
        return None
    return Claim(batch_id, row.attempt + 1, Kind(row.kind), by, row.sequence, row.purpose, row.not_after, owner)


def _untried() -> ColumnElement[bool]:
    """Did nobody ever take a batch, and is it small enough, or can it be cut because it was never claimed?

    What was refused was certainly not taken: a key that no longer works is the usual reason to change.
    """
    # A count, for PostgreSQL turns an `exists` under an `or` into a look at all attempts there are.
    taken = (
        select(func.count())
        .where(
            delivery_attempt.c.batch_id == send_batch.c.id,
            func.coalesce(delivery_attempt.c.outcome, "") != "refused",
        )
        .scalar_subquery()
    )
    return or_(send_batch.c.attempt == 0, and_(send_batch.c.count <= bindparam("limit"), taken == 0))


# Made once: putting a statement together takes longer than executing it. Served by ix_send_batch_open; SKIP LOCKED
# lets PostgreSQL workers pass one another (SQLite has one writer).
NEXT = (
    select(send_batch, send_batch.c["count"].label("mails"))
    .where(
        OPEN,
        send_batch.c.state == State.PLANNED,
        send_batch.c.kind == bindparam("kind"),
        send_batch.c.environment == bindparam("environment"),
        send_batch.c.not_before <= bindparam("now"),
        send_batch.c.not_after > bindparam("now"),
        or_(send_batch.c.sequence.is_(None), send_batch.c.sequence.not_in(bindparam("stopped", expanding=True))),
    )
    .order_by(send_batch.c.not_before, send_batch.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
"""The next due batch of a kind, whoever it was planned for."""
NEXT_OF = NEXT.where(or_(send_batch.c.provider == bindparam("provider"), _untried()))
"""The same for one provider: its own, and what nobody took yet and is small enough or can be cut."""
TAKE = update(send_batch).where(
    send_batch.c.id == bindparam("of"),
    send_batch.c.state == State.PLANNED,
    send_batch.c.attempt == bindparam("tried"),
)


def recover(conn: Connection, *, at: datetime) -> Counts:
    """Put right what dead workers left, and expire what is too late. Run first in every flow; safe at any time.

    A lapsed claim goes back into the queue (nothing can have left), a lapsed submission becomes
    doubtful (everything may have left). A lease that ends later than any made at `at` could, was made by a
    clock that ran ahead (`--at`): it counts as lapsed, else the batch would wait for that future. Its worker,
    should it live, is fenced off by the attempt.
    """
    ahead = at + LONGEST_LEASE
    lapsed = (OPEN, or_(send_batch.c.lease_until <= at, send_batch.c.lease_until > ahead))
    doubtful = _ids(conn, State.SUBMITTING, *lapsed)
    counts = Counts(in_doubt=size_of(conn, doubtful))
    if doubtful:
        open_attempts = (delivery_attempt.c.batch_id.in_(doubtful), delivery_attempt.c.outcome.is_(None))
        lost = {"outcome": "unknown", "detail": "worker lost", "answered_at": at}
        conn.execute(update(delivery_attempt).where(*open_attempts).values(**lost))
        conn.execute(
            update(send_batch)
            .where(send_batch.c.id.in_(doubtful), send_batch.c.state == State.SUBMITTING)
            .values(state=State.IN_DOUBT, error="worker lost", lease_owner=None, lease_until=None)
        )
    deadly = _ids(conn, State.CLAIMED, *lapsed, send_batch.c.lapses >= MOST_LAPSES - 1)
    if deadly:
        counts.failed = finish(conn, deadly, State.FAILED_RENDER, "workers_lost", at=at)
    released = _ids(conn, State.CLAIMED, *lapsed)
    if released:
        counts.released = size_of(conn, released)
        conn.execute(
            update(send_batch)
            .where(send_batch.c.id.in_(released), send_batch.c.state == State.CLAIMED)
            .values(state=State.PLANNED, lapses=send_batch.c.lapses + 1, lease_owner=None, lease_until=None)
        )
    late = _ids(conn, State.PLANNED, OPEN, or_(send_batch.c.not_after <= at, _tired(at)))
    if late:
        counts.expired = finish(conn, late, State.EXPIRED, "expired", at=at)
    return counts


def _tired(at: datetime) -> ColumnElement[bool]:
    """Was a marketing batch handed over and refused a day ago already, and is it still not taken?"""
    refused = (
        delivery_attempt.c.batch_id == send_batch.c.id,
        delivery_attempt.c.outcome == "refused",
        delivery_attempt.c.started_at <= at - MOST_PATIENCE,
    )
    tried = select(delivery_attempt.c.n).where(*refused).exists()
    return and_(send_batch.c.attempt > 0, send_batch.c.kind == Kind.MARKETING, tried)


def finish(conn: Connection, batch_ids: Sequence[int], state: State, reason: str, *, at: datetime) -> int:
    """End batches that were never handed over, with a decision for each message; give how many messages."""
    withheld.decide_for_batches(conn, batch_ids, reason=reason, at=at)
    free_slots(conn, batch_ids)
    size = size_of(conn, batch_ids)
    conn.execute(
        update(send_batch)
        .where(send_batch.c.id.in_(batch_ids), send_batch.c.state.in_([State.PLANNED, State.CLAIMED]))
        .values(state=state, settled_at=at, error=reason, lease_owner=None, lease_until=None)
    )
    return size


def free_slots(conn: Connection, batch_ids: Sequence[int], *, of: Sequence[int] = ()) -> None:
    """Give back the cap's slots of messages that were certainly not sent.

    All that share the fate of these batches, or of them only the messages `of`.
    """
    if of:
        conn.execute(delete(send_slot).where(send_slot.c.message_id.in_(of)))
        return
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
    of_batches = select(message.c.id).where(message.c.batch_id.in_(batch_ids), not_(own))
    conn.execute(delete(send_slot).where(send_slot.c.message_id.in_(of_batches)))


def size_of(conn: Connection, batch_ids: Sequence[int]) -> int:
    """How many messages of these batches share the batch's fate?"""
    if not batch_ids:
        return 0
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
    query = select(func.count()).select_from(message).where(message.c.batch_id.in_(batch_ids), not_(own))
    return int(conn.execute(query).scalar_one())


def _ids(conn: Connection, state: State, *conditions: ColumnElement[bool]) -> list[int]:
    query = select(send_batch.c.id).where(send_batch.c.state == state, *conditions).order_by(send_batch.c.id)
    return list(conn.execute(query.limit(1000).with_for_update(skip_locked=True)).scalars())
