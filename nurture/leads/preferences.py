"""What did somebody choose beyond consent: fewer mails, or none for a while? A choice only ever narrows.

It is no consent and stands in no ledger: it is asked beside the gate, when planning and once more in
the transaction that lets a mail go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, select, update

from consent.among import among_listed, listed
from nurture.store.inserting import insert_or_update
from nurture.store.tables import decision, enrolment, lead, mail_preference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Select

PAUSES = (30, 60, 90)
"""Days somebody may ask for at once."""
RARELY = 0
"""Value of the column `per_week` for one mail in RARE_WEEKS weeks: fewer than any whole number a week."""
RARE_WEEKS = 4
PACES = (None, 1, RARELY)
"""What the page offers: as planned, one a week, one in four weeks."""
PAUSED = "paused_by_lead"
"""Reason of a decision: somebody wants no mail before a date."""
SLOWED = "frequency_by_lead"
"""Reason of a decision: somebody wants fewer mails than planned."""


@dataclass(frozen=True)
class Choice:
    """What one person chose. The default is no choice at all."""

    paused_until: datetime | None = None
    """UTC; the pause is over at this moment."""
    per_week: int | None = None
    """At most so many mails a week; RARELY for one in four weeks, None for as planned."""

    def pauses(self, at: datetime) -> bool:
        """Is the pause on?"""
        return self.paused_until is not None and at < self.paused_until

    @property
    def pace(self) -> tuple[int, int] | None:
        """At most how many mails in how many weeks, the present one among them; None for as planned."""
        if self.per_week is None:
            return None
        return (1, RARE_WEEKS) if self.per_week <= RARELY else (self.per_week, 1)


NONE = Choice()


def of(conn: Connection, subjects: Iterable[str]) -> dict[str, Choice]:
    """Give the choices of those who made one (primary key)."""
    rows = conn.execute(_of(conn.dialect.name), {"subjects": listed(conn, subjects)})
    return {row.subject: Choice(row.paused_until, row.per_week) for row in rows}


@cache
def _of(dialect: str) -> Select[tuple[str, datetime | None, int | None]]:
    table = mail_preference.c
    mine = among_listed(dialect, table.subject, "subjects")
    return select(table.subject, table.paused_until, table.per_week).where(mine)


def slow_down(conn: Connection, subject: str, per_week: int | None, *, at: datetime) -> None:
    """Keep how often somebody wants mail; with None, as planned, what was put off for a slower pace is due again.

    Raises ValueError for a pace that the page does not offer.
    """
    if per_week not in PACES:
        message = "that pace is not offered"
        raise ValueError(message)
    _put(conn, subject, {"per_week": per_week}, at)
    if per_week is None:
        _release(conn, subject, SLOWED, at)


def pause(conn: Connection, subject: str, days: int, *, at: datetime) -> datetime:
    """Send nothing for so many days; gives when the pause ends, by itself. Raises ValueError for other spans."""
    if days not in PAUSES:
        message = "that pause is not offered"
        raise ValueError(message)
    until = at + timedelta(days=days)
    _put(conn, subject, {"paused_until": until}, at)
    return until


def resume(conn: Connection, subject: str, *, at: datetime) -> None:
    """End a pause now: what was put off because of it is due again."""
    _put(conn, subject, {"paused_until": None}, at)
    _release(conn, subject, PAUSED, at)


def _release(conn: Connection, subject: str, reason: str, at: datetime) -> None:
    """Make due now what waits because of a choice, and nothing that waits for another reason."""
    # ix_decision_lead carries it: the decisions of one lead are few.
    put_off = exists().where(
        decision.c.lead_id == enrolment.c.lead_id,
        decision.c.enrolment_id == enrolment.c.id,
        decision.c.reason == reason,
        decision.c.next_at == enrolment.c.due_at,
    )
    mine = select(lead.c.id).where(lead.c.subject == subject)
    waiting = update(enrolment).where(enrolment.c.lead_id.in_(mine), enrolment.c.state == "active")
    conn.execute(waiting.where(enrolment.c.due_at > at, put_off).values(due_at=at))


def _put(conn: Connection, subject: str, values: dict[str, Any], at: datetime) -> None:
    """Change what is named, keep the rest."""
    insert_or_update(conn, mail_preference, [{"subject": subject, **values, "changed_at": at}])
