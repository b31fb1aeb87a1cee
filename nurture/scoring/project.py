"""How do scores come into the database? Rows are a projection of the events; replay gives the same.

A lead is scored when something happened to it (`rescore`), when it gave or took back consent
(`reconsidered`), or when time alone changes its temperature (`cooling`); nothing ever sweeps over all leads.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, exists, func, insert, or_, select

from consent.schema import consent_state, identity, suppression
from nurture.leads import stages
from nurture.scoring.fold import HUMAN, Event, Facts, Score, Temperature, fold
from nurture.store.inserting import chunks, insert_or_update
from nurture.store.marks import mark, set_mark
from nurture.store.tables import event, lead, lead_score, message, points, temperature_change

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.scoring.policy import ScoringPolicy

TRACKING = "email.tracking"
RECONSIDERED = "score:consent"
"""Name of the mark: up to which ledger entry changes of consent have reached the scores."""
OBJECTING = frozenset({"objection", "complaint", "complained"})
"""Reasons of a suppression by which a person objects to direct marketing, and so to a profile made for it."""
NO_INTENT = frozenset({"opened", "delivered"})
"""Proxies and scanners open too: an open never moves anybody on, however human it looks."""


@dataclass(frozen=True)
class TemperatureChange:
    """A lead changed its band."""

    lead_id: int
    before: Temperature
    after: Temperature
    score: float
    at: datetime


def rescore(
    conn: Connection, policy: ScoringPolicy, lead_ids: Iterable[int], *, at: datetime
) -> list[TemperatureChange]:
    """Bring the scores of these leads up to date (UTC); give the temperatures that changed.

    Rewrites points and lead_score where they differ, appends temperature_change, moves leads that
    engaged for the first time from `confirmed` to `engaged`. Unknown ids are left out.
    """
    changes: list[TemperatureChange] = []
    for ids in chunks(sorted(set(lead_ids))):
        changes += _rescore(conn, policy, ids, at=at)
    return changes


def scores(conn: Connection, policy: ScoringPolicy, lead_ids: Sequence[int], *, at: datetime) -> dict[int, Score]:
    """Fold the scores of leads at any moment, from their events; writes nothing."""
    found: dict[int, Score] = {}
    for ids in chunks(sorted(set(lead_ids))):
        facts = facts_of(conn, ids)
        happened = events_of(conn, policy, ids)
        found |= {lead_id: fold(happened[lead_id], known, policy, at) for lead_id, known in facts.items()}
    return found


def cooling(conn: Connection, *, at: datetime, limit: int) -> list[int]:
    """Which leads change their temperature by the passing of time alone, or got new facts (register marks them due)?

    Index: ix_lead_score_cools_at.
    """
    due = select(lead_score.c.lead_id).where(lead_score.c.cools_at <= at).order_by(lead_score.c.cools_at).limit(limit)
    return list(conn.execute(due).scalars())


def reconsidered(conn: Connection, *, limit: int) -> list[int]:
    """Which leads' consent changed since the last call, in a way that may change their score?

    At most `limit`, oldest change first; a full list means that a later call may have more. Whoever takes
    consent back counts, on whatever way; who gives it only where a score is there to change: those whom an
    import brought are due already. Index: ix_consent_state_seq.
    """
    table = consent_state.c
    low = mark(conn, RECONSIDERED)
    # Read first: what is written after it belongs to the next call. Entries of the ledger commit in order.
    high = conn.execute(select(func.max(table.seq))).scalar() or 0
    if high <= low:
        return []
    scored = exists().where(lead_score.c.lead_id == lead.c.id, lead_score.c.rules_version > 0)
    changed = (
        select(table.seq, lead.c.id)
        .join(lead, lead.c.subject == table.subject)
        .where(table.seq > low, table.seq <= high, or_(table.state == "withdrawn", scored))
        .distinct()
        .order_by(table.seq)
        .limit(limit)
    )
    # One entry is about one subject, so about one lead: a page never ends within an entry.
    rows = conn.execute(changed).all()
    set_mark(conn, RECONSIDERED, rows[-1].seq if len(rows) == limit else high)
    return sorted({row.id for row in rows})


def temperature_at(conn: Connection, lead_id: int, at: datetime) -> Temperature:
    """Which temperature did we hold a lead to have at a moment? Cold before anything is known."""
    return temperatures_at(conn, [lead_id], at)[lead_id]


def temperatures_at(conn: Connection, lead_ids: Sequence[int], at: datetime) -> dict[int, Temperature]:
    """As temperature_at, for many. Index: ix_temperature_change_lead."""
    found = dict.fromkeys(lead_ids, Temperature.COLD)
    table = temperature_change.c
    for ids in chunks(list(found)):
        rows = conn.execute(
            select(table.lead_id, table.temperature)
            .where(table.lead_id.in_(ids), table.at <= at)
            .order_by(table.at, table.id)
        )
        found |= {row.lead_id: Temperature(row.temperature) for row in rows}
    return found


def events_of(conn: Connection, policy: ScoringPolicy, lead_ids: Sequence[int]) -> Mapping[int, list[Event]]:
    """Read what scoring reads of these leads' events, in one query. Index: ix_event_lead."""
    columns = event.c
    rows = conn.execute(
        select(
            columns.lead_id,
            columns.key,
            columns.kind,
            columns.at,
            columns.verdict,
            columns.message_id,
            message.c.tracked,
            columns.id,
        )
        .select_from(event.outerjoin(message, message.c.id == columns.message_id))
        .where(columns.lead_id.in_(lead_ids), columns.kind.in_(sorted(policy.kinds)))
    )
    found: defaultdict[int, list[Event]] = defaultdict(list)
    for lead_id, key, kind, at, verdict, message_id, tracked, number in rows:
        found[lead_id].append(Event(key, kind, at, verdict, message_id, bool(tracked), number))
    return found


def facts_of(conn: Connection, lead_ids: Sequence[int]) -> dict[int, Facts]:
    """Read the facts of leads, in one query."""
    ended = (consent_state.c.subject == lead.c.subject) & consent_state.c.state.in_(["withdrawn", "given"])
    objected = exists().where(
        suppression.c.address_index == identity.c.address_index, suppression.c.reason.in_(sorted(OBJECTING))
    )
    rows = conn.execute(
        select(
            lead.c.id,
            lead.c.role,
            lead.c.company_size,
            lead.c.industry,
            lead.c.country,
            lead.c.freemail,
            consent_state.c.purpose,
            consent_state.c.state,
            consent_state.c.since,
            or_(identity.c.restricted_at.is_not(None), objected).label("unprofiled"),
        )
        .select_from(lead.join(identity, identity.c.subject == lead.c.subject).outerjoin(consent_state, ended))
        .where(lead.c.id.in_(lead_ids))
    )
    found: dict[int, Facts] = {}
    mailable: set[int] = set()
    for lead_id, role, size, industry, country, freemail, purpose, state, since, unprofiled in rows:
        known = found.get(lead_id) or Facts(
            None if role == "unknown" else role, size, industry, country, freemail, unprofiled=bool(unprofiled)
        )
        if state == "given":
            mailable |= set() if purpose == TRACKING else {lead_id}
        elif purpose == TRACKING:
            known = replace(known, untracked_since=_first(known.untracked_since, since))
        elif purpose is not None:
            known = replace(known, withdrawn_at=_first(known.withdrawn_at, since))
        found[lead_id] = known
    # Who came back, by a new opt-in, did not withdraw.
    return {
        lead_id: replace(known, withdrawn_at=None) if lead_id in mailable else known for lead_id, known in found.items()
    }


def _first(known: datetime | None, other: datetime) -> datetime:
    return other if known is None else min(known, other)


def _rescore(conn: Connection, policy: ScoringPolicy, ids: Sequence[int], *, at: datetime) -> list[TemperatureChange]:
    facts = facts_of(conn, ids)
    happened = events_of(conn, policy, ids)
    fresh = {lead_id: fold(happened[lead_id], known, policy, at) for lead_id, known in facts.items()}
    # Whoever may not be profiled keeps no points, of former rules neither.
    conn.execute(delete(points).where(points.c.lead_id.in_([n for n, known in facts.items() if known.unprofiled])))
    _write_points(conn, policy, fresh)
    changes = _write_scores(conn, fresh, at=at)
    _note_engagement(conn, happened, at=at)
    return changes


def _write_points(conn: Connection, policy: ScoringPolicy, fresh: Mapping[int, Score]) -> None:
    """Make the points rows of this rules version what the folds say; mostly that adds a few rows."""
    table = points.c
    rows = conn.execute(
        select(table.id, table.lead_id, table.rule, table.event_id, table.points, table.reason).where(
            table.lead_id.in_(list(fresh)), table.rules_version == policy.version
        )
    )
    there = {(row.lead_id, row.rule, row.event_id, row.points, row.reason): row.id for row in rows}
    wanted = {
        (lead_id, each.rule, each.event_id, each.points, each.reason): each
        for lead_id, score in fresh.items()
        for each in score.contributions
    }
    gone = [number for key, number in there.items() if key not in wanted]
    for part in chunks(gone):
        conn.execute(delete(points).where(table.id.in_(part)))
    new: list[dict[str, Any]] = [
        {
            "lead_id": key[0],
            "rule": each.rule,
            "axis": each.axis,
            "points": each.points,
            "at": each.at,
            "event_id": each.event_id,
            "rules_version": policy.version,
            "reason": each.reason,
        }
        for key, each in wanted.items()
        if key not in there
    ]
    if new:
        conn.execute(insert(points), new)


def _write_scores(conn: Connection, fresh: Mapping[int, Score], *, at: datetime) -> list[TemperatureChange]:
    stored = lead_score.c
    known = {
        row.lead_id: row
        for row in conn.execute(
            select(stored.lead_id, stored.temperature, stored.temperature_since).where(stored.lead_id.in_(list(fresh)))
        )
    }
    changes, rows = [], []
    for lead_id, score in fresh.items():
        before = Temperature(known[lead_id].temperature) if lead_id in known else Temperature.COLD
        if before is not score.temperature:
            changes.append(TemperatureChange(lead_id, before, score.temperature, score.score, at))
        same = lead_id in known and before is score.temperature
        rows.append(
            {
                "lead_id": lead_id,
                "score": score.score,
                "engagement": score.engagement,
                "fit": score.fit,
                "temperature": score.temperature.value,
                "temperature_since": known[lead_id].temperature_since if same else at,
                "rules_version": score.rules_version,
                "scored_at": at,
                "cools_at": score.changes_at,
            }
        )
    if rows:
        insert_or_update(conn, lead_score, rows)
    if changes:
        conn.execute(insert(temperature_change), [_row(change, fresh[change.lead_id]) for change in changes])
    return changes


def _row(change: TemperatureChange, score: Score) -> dict[str, Any]:
    return {
        "lead_id": change.lead_id,
        "temperature": change.after.value,
        "at": change.at,
        "score": change.score,
        "rules_version": score.rules_version,
    }


def _note_engagement(conn: Connection, happened: Mapping[int, Sequence[Event]], *, at: datetime) -> None:
    active = [
        lead_id
        for lead_id, events in happened.items()
        if any(each.verdict == HUMAN and each.kind not in NO_INTENT for each in events)
    ]
    if active:
        confirmed = select(lead.c.id).where(lead.c.id.in_(active), lead.c.stage == stages.Stage.CONFIRMED)
        first = dict.fromkeys(conn.execute(confirmed).scalars(), stages.Stage.ENGAGED.value)
        stages.move(conn, first, cause="engagement", at=at)
