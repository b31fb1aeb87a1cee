"""How many mails may an account send today, while it is new? A day's volume that grows, counted when claimed.

Mailbox providers judge a new sender by how its volume grows. An outage of a week does not end in a burst either:
what is left waits for its day, or expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, update

from nurture.delivery.queue import insert_missing
from nurture.store.tables import ramp_day, send_batch

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import ColumnElement, Connection

    from nurture.delivery.policy import SendingPolicy

PARTS = 10
"""A batch holds at most so small a part of a day's volume, so that little of the day is left over."""


@dataclass(frozen=True)
class Today:
    """A day of the legal zone (2026-11-23) and its volume in marketing mails."""

    day: str
    volume: int


def today(policy: SendingPolicy, at: datetime, zone: ZoneInfo) -> Today | None:
    """Give the present day's volume; None where no ramp is set."""
    if policy.ramp is None:
        return None
    day = at.astimezone(zone).date()
    return Today(day.isoformat(), policy.ramp.volume(day))


def largest_batch(policy: SendingPolicy, at: datetime, zone: ZoneInfo, limit: int) -> int:
    """How many mails may a batch hold that is planned now? Volumes never shrink, so it fits on every later day."""
    now = today(policy, at, zone)
    return limit if now is None else min(limit, max(1, now.volume // PARTS))


def left(conn: Connection, now: Today, provider: str) -> int:
    """How many mails of the day's volume are left?

    Holds the day's row until the transaction ends, so that two workers never take the same rest.
    """
    insert_missing(conn, ramp_day, [{"provider": provider, "day": now.day, "taken": 0}], ("provider", "day"))
    mine = (ramp_day.c.provider == provider, ramp_day.c.day == now.day)
    return now.volume - int(conn.execute(select(ramp_day.c.taken).where(*mine).with_for_update()).scalar_one())


def fitting(now: Today, rest: int) -> ColumnElement[bool]:
    """Give the condition of batches that may be claimed while so much is left of the day.

    Those counted today already, those small enough, and those that can be cut because they were never claimed.
    """
    counted = send_batch.c.ramp_day == now.day
    return or_(counted, send_batch.c.count <= rest, send_batch.c.attempt == 0) if rest > 0 else counted


def count_in(conn: Connection, now: Today, provider: str, mails: int) -> None:
    """Count a batch into its day. One that is refused and claimed again on the same day counts once."""
    mine = (ramp_day.c.provider == provider, ramp_day.c.day == now.day)
    conn.execute(update(ramp_day).where(*mine).values(taken=ramp_day.c.taken + mails))


def taken(conn: Connection, now: Today, provider: str) -> int:
    """How many mails of the day's volume are taken?"""
    query = select(func.coalesce(func.sum(ramp_day.c.taken), 0))
    return int(conn.execute(query.where(ramp_day.c.provider == provider, ramp_day.c.day == now.day)).scalar_one())
