"""Which requests of persons came, and until when must they be answered? The clock of Art. 12(3) GDPR.

A request may be taken down when it comes (by letter, by mail) and is settled by what answers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, insert, select, update

from consent import naming
from consent.schema import rights_request
from nurture.leads.rights.dates import month_later
from nurture.store.tables import lead

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

WARNING = timedelta(days=7)
"""An unanswered request raises an alarm this long before its month is over."""


class Kind(StrEnum):
    """What a person can ask for."""

    ACCESS = "access"
    """To see what is stored (Art. 15), and take it along (Art. 20)."""
    ERASE = "erase"
    """To be erased (Art. 17)."""
    RESTRICT = "restrict"
    """To be left alone while something is cleared up (Art. 18)."""
    UNRESTRICT = "unrestrict"
    """The restriction may end."""
    MERGE = "merge"
    """Two records are one person."""


@dataclass(frozen=True)
class Pending:
    """A request that was taken down."""

    request_id: int
    due_at: datetime
    """End of the month in which it must be answered (UTC, exclusive)."""
    repeated: bool = False
    """It was open already; nothing changed."""


@dataclass(frozen=True)
class Open:
    """A request that waits for its answer."""

    request_id: int
    lead: int | None
    kind: str
    state: str
    received_at: datetime
    due_at: datetime


def take_down(
    conn: Connection,
    subject: str,
    kind: Kind,
    *,
    route: str,
    actor: str,
    zone: ZoneInfo,
    at: datetime,
    reason: str | None = None,
) -> Pending:
    """Note a request as open since `at`; where one of the kind is open already, give that one.

    `actor` and `reason` enter the ledger when it is answered: LedgerError for more than an id and a word.
    """
    naming.actor(actor)
    if reason is not None:
        naming.reason(reason)
    known = conn.execute(
        select(rights_request.c.id, rights_request.c.due_at).where(_open(subject, kind)).order_by(rights_request.c.id)
    ).first()
    if known is not None:
        return Pending(known.id, known.due_at, repeated=True)
    due = month_later(at, zone)
    made: int = conn.execute(
        insert(rights_request)
        .values(
            subject=subject,
            kind=kind.value,
            state="open",
            received_at=at,
            due_at=due,
            route=route,
            actor=actor,
            reason=reason,
        )
        .returning(rights_request.c.id)
    ).scalar_one()
    return Pending(made, due)


def answered(
    conn: Connection,
    subject: str,
    kind: Kind,
    *,
    route: str,
    actor: str,
    zone: ZoneInfo,
    at: datetime,
    reason: str | None = None,
) -> int:
    """Note that requests of a kind are answered: those that were open, or else one that came just now; give its id."""
    pending = take_down(conn, subject, kind, route=route, actor=actor, zone=zone, at=at, reason=reason)
    conn.execute(update(rights_request).where(_open(subject, kind)).values(state="done", settled_at=at))
    return pending.request_id


def settle_others(conn: Connection, subjects: Iterable[str], *, reason: str, at: datetime) -> None:
    """Close what these subjects asked for and nobody began to answer, because nothing is left to answer with."""
    conn.execute(
        update(rights_request)
        .where(rights_request.c.subject.in_(list(subjects)), rights_request.c.state == "open")
        .values(state="done", settled_at=at, reason=reason)
    )


def erasing_since(conn: Connection, subjects: Iterable[str]) -> datetime | None:
    """When did the request come by which these subjects, who are one person, are being erased? None without one."""
    found: datetime | None = conn.execute(
        select(rights_request.c.received_at)
        .where(
            rights_request.c.subject.in_(list(subjects)),
            rights_request.c.kind == Kind.ERASE.value,
            rights_request.c.state == "running",
            rights_request.c.settled_at.is_(None),
        )
        .order_by(rights_request.c.id)
        .limit(1)
    ).scalar()
    return found


def waiting(conn: Connection, *, due_before: datetime | None = None) -> list[Open]:
    """Which requests are not answered yet, the most urgent first? Index: ix_rights_request_due."""
    query = (
        select(rights_request, lead.c.id.label("lead"))
        .outerjoin(lead, lead.c.subject == rights_request.c.subject)
        .where(rights_request.c.settled_at.is_(None))
        .order_by(rights_request.c.due_at, rights_request.c.id)
    )
    if due_before is not None:
        query = query.where(rights_request.c.due_at <= due_before)
    return [
        Open(row.id, row.lead, row.kind, row.state, row.received_at, row.due_at)
        for row in conn.execute(query)
        # What is only held for legal claims was answered long ago.
        if row.hold_until is None
    ]


def _open(subject: str, kind: Kind) -> Any:  # noqa: ANN401  a condition
    return and_(
        rights_request.c.subject == subject,
        rights_request.c.kind == kind.value,
        rights_request.c.settled_at.is_(None),
        rights_request.c.hold_until.is_(None),
    )
