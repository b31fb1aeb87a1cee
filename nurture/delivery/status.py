"""How does delivery stand? Counts by state for people, from the tables alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from nurture.delivery import brakes, ramp, switch, watching
from nurture.delivery.refusals import refusals
from nurture.store import marks
from nurture.store.marks import FORGED
from nurture.store.tables import circuit, message, message_exception, send_batch

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from nurture.delivery.policy import SendingPolicy


@dataclass(frozen=True)
class Status:
    """Messages by kind and state, what is stopped, and how each provider fares."""

    messages: dict[str, dict[str, int]]
    in_doubt: int
    unknown: int
    stopped: list[str]
    brakes: list[dict[str, Any]]
    """What nurture itself stopped, or warns of."""
    circuits: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    """Mails that wait because the provider refused them for now, or could not be reached."""
    forged: int
    """Webhook posts turned away for a wrong or stale signature, ever; the last minute's may be missing."""

    @property
    def stands(self) -> bool:
        """Does any mail stand still, by a person's word, a brake or a circuit?"""
        pulled = any(brake["level"] == brakes.Level.STOP for brake in self.brakes)
        return bool(self.stopped) or pulled or any(one["state"] != "closed" for one in self.circuits)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)


def status(conn: Connection) -> Status:
    """Count every message by the state it really has: its own, else its batch's."""
    state = func.coalesce(message_exception.c.state, send_batch.c.state)
    query = (
        select(message.c.kind, state, func.count())
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
        .group_by(message.c.kind, state)
        .order_by(message.c.kind, state)
    )
    messages: dict[str, dict[str, int]] = {}
    for kind, of_state, count in conn.execute(query):
        messages.setdefault(kind, {})[of_state] = count
    circuits = [
        {"provider": row.provider, "state": row.state, "since": row.since, "reason": row.reason}
        for row in conn.execute(select(circuit).order_by(circuit.c.provider))
    ]
    return Status(
        messages=messages,
        in_doubt=sum(counts.get("in_doubt", 0) for counts in messages.values()),
        unknown=sum(counts.get("unknown", 0) for counts in messages.values()),
        stopped=sorted(switch.stopped(conn)),
        brakes=[one.as_dict() for one in brakes.pulled(conn)],
        circuits=circuits,
        refusals=[one.as_dict() for one in refusals(conn)],
        forged=marks.mark(conn, FORGED),
    )


@dataclass(frozen=True)
class Figures:
    """What the brakes of an account are pulled by: doubts among its newest marketing mails, and complaints."""

    provider: str
    doubts: str
    complaints: str
    ramp: str | None
    """How much of the day's volume is taken while the account warms up; None without a ramp."""

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)


def figures(conn: Connection, policy: SendingPolicy, provider: str, at: datetime, zone: ZoneInfo) -> Figures:
    """Count them now, for the day of the legal zone; reads the newest mails only."""
    complaints = watching.complaints(conn, policy, provider, at)
    today = ramp.today(policy, at, zone)
    warming = None if today is None else f"{ramp.taken(conn, today, provider):,} of {today.volume:,} today"
    return Figures(provider, str(watching.doubts(conn, policy, provider)), str(complaints), warming)


def under_way(conn: Connection, sequence: str | None = None) -> int:
    """How many messages are being handed over at this moment (of one sequence, if named)?"""
    query = select(func.coalesce(func.sum(send_batch.c.count), 0)).where(send_batch.c.state == "submitting")
    if sequence:
        query = query.where(send_batch.c.sequence == sequence)
    return int(conn.execute(query).scalar_one())
