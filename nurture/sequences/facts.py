"""What must be known to decide? One query for what is due, and a handful more for a whole chunk of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import and_, bindparam, func, literal, or_, select

from consent import gate
from consent.among import among
from consent.schema import Id, UtcTime
from nurture.delivery import frequency
from nurture.delivery.content.notes import Temperature
from nurture.leads import wordings
from nurture.leads.preferences import Choice
from nurture.sequences.decide import Facts
from nurture.sequences.definition import BranchStep, EventCondition, Sequence, SignalCondition
from nurture.store.raw import raw
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

    from sqlalchemy import ColumnElement, Connection, Select

    from nurture.delivery.frequency import Cap
    from nurture.store.raw import Times

IS_ACTIVE = enrolment.c.state == literal("active", literal_execute=True)
"""Written into the statement: neither database takes a partial index for a bound value."""
IS_DUE = (
    IS_ACTIVE,
    enrolment.c.due_at <= bindparam("at", type_=UtcTime),
    enrolment.c.sequence.in_(bindparam("sequences", expanding=True)),
)
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


class Due(NamedTuple):
    """One due enrolment with what stands on its lead; times as the driver has them."""

    id: int
    lead_id: int
    sequence_version_id: int
    step: str
    occurrence: int
    due_at: Any
    entered_at: Any
    subject: str
    language: str
    zone: str
    country: str | None
    stage: str
    owner: str
    temperature: str | None
    rules_version: int | None
    paused_until: Any
    per_week: int | None


def _due() -> Select[tuple[Any, ...]]:
    e = enrolment.c
    low, last = bindparam("low", type_=UtcTime), bindparam("last", type_=Id)
    return (
        select(
            e.id, e.lead_id, e.sequence_version_id, e.step, e.occurrence, raw(e.due_at), raw(e.entered_at),
            lead.c.subject, lead.c.language, lead.c.zone, lead.c.country, lead.c.stage, lead.c.owner,
            lead_score.c.temperature, lead_score.c.rules_version,
            raw(mail_preference.c.paused_until), mail_preference.c.per_week,
        )
        .select_from(
            enrolment.join(lead)
            .outerjoin(lead_score, lead_score.c.lead_id == e.lead_id)
            .outerjoin(mail_preference, mail_preference.c.subject == lead.c.subject)
        )
        .where(
            *IS_DUE,
            # The first of the next two alone bounds the walk through the index from below.
            e.due_at >= low,
            or_(e.due_at > low, e.id > last),
        )
        .order_by(e.due_at, e.id)
        .limit(bindparam("most", type_=Id))
        .with_for_update(of=enrolment, skip_locked=True)
    )  # fmt: skip


DUE = _due()
"""Which active enrolments have a step due, beyond a (due_at, id), oldest first? Takes `due_values`, gives Due.

Carried by ix_enrolment_due: the cost is that of what is due, however many leads there are. Other planners'
rows are passed over on PostgreSQL; SQLite has one writer anyway.
"""
ANY_DUE = select(enrolment.c.id).where(*IS_DUE).order_by(enrolment.c.due_at, enrolment.c.id).limit(1)
"""Is there anything due at all? Takes `sequences` and `at`; all that an idle tick asks."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def due_values(
    sequences: Iterable[str], *, at: datetime, after: tuple[datetime, int] | None, limit: int
) -> dict[str, Any]:
    """Give what DUE takes: sequences by name, the time, the row behind which to go on, how many at most."""
    low, last = after or (LONG_AGO, 0)
    return {"sequences": sorted(sequences), "at": at, "low": low, "last": last, "most": limit}


def versions(conn: Connection, ids: Collection[int]) -> dict[int, Sequence]:
    """Give the definitions that enrolments are pinned to, by the id of their version."""
    table = sequence_version.c
    rows = conn.execute(select(table.id, table.definition).where(among(conn, table.id, ids)))
    return {row.id: Sequence.model_validate(row.definition) for row in rows}


class Known:
    """What a chunk of due enrolments needs beyond its own rows, asked in sets."""

    def __init__(
        self,
        conn: Connection,
        rows: Rows[Due],
        pinned: Mapping[int, Sequence],
        *,
        policies: Path,
        controller: str,
        at: datetime,
    ) -> None:
        """Ask consent, tracking, events and signals for all rows: a fixed number of statements.

        One for each purpose and scope that the pinned definitions name, the others once.
        """
        leads = {row.lead_id for row in rows}
        used = {version: pinned[version] for version in {row.sequence_version_id for row in rows}}
        wanted = [condition for sequence in used.values() for condition in _conditions(sequence)]
        asked: dict[tuple[str, str | None], set[str]] = {
            (sequence.purpose, sequence.scope): set() for sequence in used.values()
        }
        into = {version: asked[sequence.purpose, sequence.scope].add for version, sequence in used.items()}
        for row in rows:
            into[row.sequence_version_id](row.subject)
        customers = wordings.exception_allowed(policies)
        answers = {
            (purpose, scope): gate.check_tracked(
                conn, subjects, purpose=purpose, controller=controller, at=at,
                scope=wordings.scope(policies, purpose, scope), exception=customers,
            )
            for (purpose, scope), subjects in asked.items()
        }  # fmt: skip
        self.consent = {
            version: {
                subject: answer for subject, (answer, _) in answers[sequence.purpose, sequence.scope].items()
            }
            for version, sequence in used.items()
        }  # fmt: skip
        """By version and subject: the ledger entry that permits, or the gate's reason of refusal."""
        self.tracking = {
            subject for some in answers.values() for subject, (_, tracked) in some.items() if tracked is not None
        }
        kinds = {c.event.value for c in wanted if isinstance(c, EventCondition) and c.step is None}
        about = {(c.event.value, c.step) for c in wanted if isinstance(c, EventCondition) and c.step is not None}
        self.events = _events(conn, leads, kinds, at) if kinds else {}
        self.step_events = _step_events(conn, [row.id for row in rows], about, at) if about else {}
        self.signals = _signals(conn, leads, at) if any(isinstance(c, SignalCondition) for c in wanted) else {}

    def happened(self, row: Due) -> tuple[Any, ...]:
        """Give what this lead did, as far as the definitions ask, as something to compare by."""
        found: tuple[Mapping[Any, datetime], ...] = (
            self.events.get(row.lead_id, {}), self.step_events.get(row.id, {}), self.signals.get(row.lead_id, {}),
        )  # fmt: skip
        return tuple(frozenset(some.items()) for some in found)

    def facts(self, row: Due, zone: ZoneInfo, times: Times) -> Facts:
        """Put together what is known about one enrolment; `zone` holds for leads whose own is unknown.

        What was taken already is counted elsewhere.
        """
        ours = times.ours
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
            consent=self.consent[row.sequence_version_id][row.subject],
            step=row.step,
            due_at=ours(row.due_at),
            entered_at=ours(row.entered_at),
            choice=Choice(None if row.paused_until is None else ours(row.paused_until), row.per_week),
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
    m = message.c
    # Its own state, where it has one: of a batch that expired, a part may have been sent before.
    state = func.coalesce(message_exception.c.state, send_batch.c.state)
    planned = (
        select(m.lead_id, func.count().label("mails"))
        .select_from(message.join(send_batch).outerjoin(message_exception))
        .where(among(conn, m.lead_id, leads), m.kind == "marketing", m.planned_at >= now.starts)
        .where(state.not_in(NOT_SENT))
        .group_by(m.lead_id)
    )
    slots = send_slot.c
    sent = (
        select(slots.lead_id, func.count().label("mails"))
        .select_from(send_slot.join(message, m.id == slots.message_id))
        .where(among(conn, slots.lead_id, leads), slots.window.in_(now.names), m.planned_at < now.starts)
        .group_by(slots.lead_id)
    )
    counts: Counter[int] = Counter()
    for query in (planned, sent):
        for lead_id, mails in conn.execute(query).all():
            counts[lead_id] += mails
    return counts


def _conditions(sequence: Sequence) -> list[Any]:
    return [sequence.goal, *(step.condition for step in sequence.steps if isinstance(step, BranchStep))]


def _by_person(kinds: Collection[str], at: datetime) -> ColumnElement[bool]:
    """Done by a person, as far as anybody can tell: scanners and prefetches decide nothing."""
    return and_(event.c.kind.in_(sorted(kinds)), event.c.verdict == "human", event.c.at <= at)


def _events(
    conn: Connection, leads: Iterable[int], kinds: Collection[str], at: datetime
) -> dict[int, dict[str, datetime]]:
    query = (
        select(event.c.lead_id, event.c.kind, func.max(event.c.at).label("last"))
        .where(among(conn, event.c.lead_id, leads), _by_person(kinds, at))
        .group_by(event.c.lead_id, event.c.kind)
    )
    return _by_owner(conn, query)


def _step_events(
    conn: Connection, enrolments: Iterable[int], about: Collection[tuple[str, str]], at: datetime
) -> dict[int, dict[tuple[str, str], datetime]]:
    """Give by enrolment when a person last did something about the mail of a step; `about` are (kind, step)."""
    m, e = message.c, event.c
    steps = sorted({step for _, step in about})
    # In two statements, not one join: with old statistics PostgreSQL reads all events and looks up their mails.
    mails = {
        number: (enrolment_id, step)
        for number, enrolment_id, step in conn.execute(
            select(m.id, m.enrolment_id, m.step).where(among(conn, m.enrolment_id, enrolments), m.step.in_(steps))
        ).all()
    }
    query = (
        select(e.message_id, e.kind, func.max(e.at).label("last"))
        .where(among(conn, e.message_id, mails), _by_person({kind for kind, _ in about}, at))
        .group_by(e.message_id, e.kind)
    )
    found: dict[int, dict[tuple[str, str], datetime]] = defaultdict(dict)
    for number, kind, last in conn.execute(query).all():
        enrolment_id, step = mails[number]
        before = found[enrolment_id].get((kind, step))
        # A step that was repeated has several mails.
        found[enrolment_id][kind, step] = last if before is None else max(before, last)
    return found


def _signals(conn: Connection, leads: Iterable[int], at: datetime) -> dict[int, dict[str, datetime]]:
    query = (
        select(signal.c.lead_id, signal.c.kind, func.max(signal.c.at).label("last"))
        .where(among(conn, signal.c.lead_id, leads), signal.c.at <= at)
        .group_by(signal.c.lead_id, signal.c.kind)
    )
    return _by_owner(conn, query)


def _by_owner(conn: Connection, query: Select[Any]) -> dict[int, dict[str, datetime]]:
    """Read (lead, kind, time) rows."""
    found: dict[int, dict[str, datetime]] = defaultdict(dict)
    for lead_id, kind, last in conn.execute(query).all():
        found[lead_id][kind] = last
    return found
