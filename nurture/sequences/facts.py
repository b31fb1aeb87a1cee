"""What must be known to decide? One query for what is due, and a handful more for a whole chunk of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import and_, func, literal, or_, select

from consent import gate
from nurture.delivery import frequency
from nurture.delivery.content.notes import Temperature
from nurture.leads import wordings
from nurture.leads.preferences import Choice
from nurture.sequences.decide import Facts
from nurture.sequences.definition import BranchStep, EventCondition, Sequence, SignalCondition
from nurture.store.tables import (
    enrolment,
    event,
    lead,
    lead_score,
    mail_preference,
    message,
    message_exception,
    send_batch,
    send_slot,
    sequence_version,
    signal,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Sequence as Rows
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, Row, Select

    from nurture.delivery.frequency import Cap

IS_ACTIVE = enrolment.c.state == literal("active", literal_execute=True)
"""Written into the statement: neither database takes a partial index for a bound value."""
NOT_SENT = ["suppressed", "expired", "failed_render", "rejected"]
"""States of batches and messages that reached nobody and count against no cap."""


@dataclass(frozen=True)
class Period:
    """A span that mails are counted in, UTC: the present window of the frequency cap, or a person's own weeks."""

    names: tuple[str, ...]
    """The windows of the cap that lie in it."""
    starts: datetime
    ends: datetime


def period(cap: Cap, at: datetime, zone: ZoneInfo) -> Period:
    """Give the cap's window that holds `at`; it begins at midnight of the legal zone."""
    today = at.astimezone(zone).date()
    first, days = (today, 1) if cap.per == "day" else (today - timedelta(days=today.weekday()), 7)
    edges = [datetime.combine(day, time(0), zone).astimezone(UTC) for day in (first, first + timedelta(days=days))]
    return Period((cap.window(at, zone),), edges[0], edges[1])


def own_period(cap: Cap, at: datetime, zone: ZoneInfo, weeks: int) -> Period:
    """Give the calendar weeks, the present one the last, that a person's own choice is counted in."""
    return Period(frequency.windows(cap, at, zone, weeks), *frequency.weeks(at, zone, weeks))


def due(
    sequences: Iterable[str], *, at: datetime, after: tuple[datetime, int] | None, limit: int
) -> Select[tuple[Any, ...]]:
    """Which active enrolments of these sequences have a step due at `at`, beyond a (due_at, id), oldest first?

    Carried by ix_enrolment_due: the cost is that of what is due, however many leads there are.
    Other planners' rows are passed over on PostgreSQL; SQLite has one writer anyway.
    """
    e = enrolment.c
    conditions = [IS_ACTIVE, e.due_at <= at, e.sequence.in_(sorted(sequences))]
    if after is not None:
        low, last = after
        conditions += [e.due_at >= low, or_(e.due_at > low, e.id > last)]
    return (
        select(
            e.id, e.lead_id, e.sequence, e.sequence_version_id, e.step, e.occurrence, e.due_at, e.entered_at,
            lead.c.subject, lead.c.language, lead.c.zone, lead.c.country, lead.c.stage, lead.c.owner,
            lead_score.c.temperature, lead_score.c.rules_version,
            mail_preference.c.paused_until, mail_preference.c.per_week,
        )
        .select_from(
            enrolment.join(lead)
            .outerjoin(lead_score, lead_score.c.lead_id == e.lead_id)
            .outerjoin(mail_preference, mail_preference.c.subject == lead.c.subject)
        )
        .where(*conditions)
        .order_by(e.due_at, e.id)
        .limit(limit)
        .with_for_update(of=enrolment, skip_locked=True)
    )  # fmt: skip


def versions(conn: Connection, ids: Collection[int]) -> dict[int, Sequence]:
    """Give the definitions that enrolments are pinned to, by the id of their version."""
    table = sequence_version.c
    rows = conn.execute(select(table.id, table.definition).where(table.id.in_(list(ids))))
    return {row.id: Sequence.model_validate(row.definition) for row in rows}


class Known:
    """What a chunk of due enrolments needs beyond its own rows, asked in sets."""

    def __init__(
        self,
        conn: Connection,
        rows: Rows[Row[Any]],
        pinned: Mapping[int, Sequence],
        *,
        policies: Path,
        controller: str,
        at: datetime,
    ) -> None:
        """Ask consent, tracking, events and signals for all rows."""
        leads = sorted({row.lead_id for row in rows})
        used = [pinned[version] for version in {row.sequence_version_id for row in rows}]
        wanted = [condition for sequence in used for condition in _conditions(sequence)]
        asked: dict[tuple[str, str | None], set[str]] = defaultdict(set)
        for row in rows:
            sequence = pinned[row.sequence_version_id]
            asked[sequence.purpose, sequence.scope].add(row.subject)
        customers = wordings.exception_allowed(policies)
        self.consent: dict[tuple[str, str | None, str], int | str] = {}
        for (purpose, scope), subjects in asked.items():
            wide = wordings.scope(policies, purpose, scope)
            given = gate.check(
                conn, sorted(subjects), purpose=purpose, controller=controller, at=at, scope=wide, exception=customers
            )
            self.consent |= {(purpose, scope, subject): answer for subject, answer in given.items()}
        self.tracking = gate.tracking(conn, sorted({row.subject for row in rows}), controller=controller)
        kinds = {c.event.value for c in wanted if isinstance(c, EventCondition) and c.step is None}
        about = {c.event.value for c in wanted if isinstance(c, EventCondition) and c.step is not None}
        self.events = _events(conn, leads, kinds, at) if kinds else {}
        self.step_events = _step_events(conn, [row.id for row in rows], about, at) if about else {}
        self.signals = _signals(conn, leads, at) if any(isinstance(c, SignalCondition) for c in wanted) else {}

    def facts(self, row: Row[Any], sequence: Sequence, taken: int, zone: ZoneInfo) -> Facts:
        """Put together what is known about one enrolment; `zone` holds for leads whose own is unknown."""
        return Facts(
            enrolment_id=row.id,
            lead_id=row.lead_id,
            subject=row.subject,
            language=row.language,
            zone=zone_named(row.zone) or zone,
            country=row.country,
            stage=row.stage,
            owner=row.owner,
            temperature=Temperature(row.temperature or Temperature.COLD),
            tracking=row.subject in self.tracking,
            consent=self.consent[sequence.purpose, sequence.scope, row.subject],
            step=row.step,
            due_at=row.due_at,
            entered_at=row.entered_at,
            taken=taken,
            choice=Choice(row.paused_until, row.per_week),
            events=self.events.get(row.lead_id, {}),
            step_events=self.step_events.get(row.id, {}),
            signals=self.signals.get(row.lead_id, {}),
        )


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo | None:
    """Give a zone by its name, None when there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def taken(conn: Connection, leads: Collection[int], now: Period) -> Counter[int]:
    """How many mails count against the cap, by lead: planned in this period, or planned before and sent in it.

    Carried by ix_message_lead and the primary key of send_slot. The count with authority is that of the
    slots, at the moment of sending.
    """
    m, ids = message.c, sorted(leads)
    alive = or_(message_exception.c.state.is_(None), message_exception.c.state.not_in(NOT_SENT))
    planned = (
        select(m.lead_id, func.count().label("mails"))
        .select_from(message.join(send_batch).outerjoin(message_exception))
        .where(m.lead_id.in_(ids), m.kind == "marketing", m.planned_at >= now.starts)
        .where(send_batch.c.state.not_in(NOT_SENT), alive)
        .group_by(m.lead_id)
    )
    sent = (
        select(send_slot.c.lead_id, func.count().label("mails"))
        .select_from(send_slot.join(message, message.c.id == send_slot.c.message_id))
        .where(send_slot.c.lead_id.in_(ids), send_slot.c.window.in_(now.names), m.planned_at < now.starts)
        .group_by(send_slot.c.lead_id)
    )
    counts: Counter[int] = Counter()
    for query in (planned, sent):
        counts.update({row.lead_id: row.mails for row in conn.execute(query)})
    return counts


def _conditions(sequence: Sequence) -> list[Any]:
    return [sequence.goal, *(step.condition for step in sequence.steps if isinstance(step, BranchStep))]


def _by_person(kinds: Collection[str], at: datetime) -> ColumnElement[bool]:
    """Done by a person, as far as anybody can tell: scanners and prefetches decide nothing."""
    return and_(event.c.kind.in_(sorted(kinds)), event.c.verdict == "human", event.c.at <= at)


def _events(conn: Connection, leads: list[int], kinds: Collection[str], at: datetime) -> dict[int, dict[str, datetime]]:
    query = (
        select(event.c.lead_id, event.c.kind, func.max(event.c.at).label("last"))
        .where(event.c.lead_id.in_(leads), _by_person(kinds, at))
        .group_by(event.c.lead_id, event.c.kind)
    )
    found: dict[int, dict[str, datetime]] = defaultdict(dict)
    for row in conn.execute(query):
        found[row.lead_id][row.kind] = row.last
    return found


def _step_events(
    conn: Connection, enrolments: list[int], kinds: Collection[str], at: datetime
) -> dict[int, dict[tuple[str, str], datetime]]:
    query = (
        select(message.c.enrolment_id, message.c.step, event.c.kind, func.max(event.c.at).label("last"))
        .select_from(message.join(event, event.c.message_id == message.c.id))
        .where(message.c.enrolment_id.in_(enrolments), _by_person(kinds, at))
        .group_by(message.c.enrolment_id, message.c.step, event.c.kind)
    )
    found: dict[int, dict[tuple[str, str], datetime]] = defaultdict(dict)
    for row in conn.execute(query):
        found[row.enrolment_id][row.kind, row.step] = row.last
    return found


def _signals(conn: Connection, leads: list[int], at: datetime) -> dict[int, dict[str, datetime]]:
    query = (
        select(signal.c.lead_id, signal.c.kind, func.max(signal.c.at).label("last"))
        .where(signal.c.lead_id.in_(leads), signal.c.at <= at)
        .group_by(signal.c.lead_id, signal.c.kind)
    )
    found: dict[int, dict[str, datetime]] = defaultdict(dict)
    for row in conn.execute(query):
        found[row.lead_id][row.kind] = row.last
    return found
