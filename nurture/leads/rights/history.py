"""What did a person do, what did they get, and what did we make of it? From the machine room's tables."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from consent import identity as identities
from consent import sealing
from nurture.leads.rights import model
from nurture.store.tables import (
    authorisation,
    decision,
    delivery_fact,
    enrolment,
    event,
    handover,
    lead,
    lead_score,
    mail_preference,
    message,
    message_exception,
    points,
    send_batch,
    sequence_version,
    signal,
    stage_change,
    temperature_change,
    template_version,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Row, Table

    from consent.keys import Keyring
    from nurture.leads.rights.group import Group

DIGITS = 2
"""Of a score: more say nothing, and file and paper must agree."""


def leads(conn: Connection, group: Group) -> list[model.Lead]:
    """Give the facts of each lead."""
    return [
        model.Lead(
            lead=row.id,
            subject=row.subject,
            merged_into=row.merged_into,
            language=row.language,
            zone=row.zone,
            country=row.country,
            industry=row.industry,
            company_size=row.company_size,
            role=row.role,
            freemail=row.freemail,
            role_address=row.role_address,
            stage=row.stage,
            stage_since=row.stage_since,
            owner=row.owner,
            created_at=row.created_at,
        )
        for row in conn.execute(select(lead).where(lead.c.id.in_(group.leads)).order_by(lead.c.id))
    ]


def origins(conn: Connection, lead_ids: Sequence[int]) -> list[model.Source]:
    """Tell how each lead came in."""
    rows = conn.execute(
        select(lead.c.source, lead.c.source_detail, lead.c.created_at)
        .where(lead.c.id.in_(lead_ids))
        .order_by(lead.c.id)
    )
    return [model.Source(source=row.source, detail=row.source_detail, at=row.created_at) for row in rows]


def preferences(conn: Connection, group: Group) -> list[model.Preference]:
    """Give what was chosen on the preferences page."""
    rows = conn.execute(select(mail_preference).where(mail_preference.c.subject.in_(group.subjects)))
    return [
        model.Preference(
            subject=row.subject, paused_until=row.paused_until, per_week=row.per_week, changed_at=row.changed_at
        )
        for row in rows
    ]


def mails(conn: Connection, group: Group, outbox: Path) -> list[model.Mail]:
    """Give every mail that was ever planned for the person, with its fate. Index: ix_message_subject."""
    rows = conn.execute(
        select(
            message,
            template_version.c.key.label("template"),
            func.coalesce(message_exception.c.state, send_batch.c.state).label("state"),
            func.coalesce(message_exception.c.reason, send_batch.c.error).label("reason"),
            func.coalesce(message_exception.c.at, send_batch.c.settled_at).label("settled_at"),
        )
        .join(template_version, template_version.c.id == message.c.template_version_id)
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
        .where(message.c.subject.in_(group.subjects))
        .order_by(message.c.planned_at, message.c.id)
    ).all()
    authorised, reported = _authorised(conn, group), _reported(conn, group)
    return [
        model.Mail(
            mail=row.public_id,
            kind=row.kind,
            template=row.template,
            subject_line=_subject_line(outbox / f"{row.public_id}.eml"),
            purpose=row.purpose,
            sequence=row.sequence,
            step=row.step,
            planned_at=row.planned_at,
            state=row.state,
            reason=row.reason,
            settled_at=row.settled_at,
            measured=row.tracked,
            authorised_by=authorised.get(row.id, []),
            reported=reported.get(row.id, []),
        )
        for row in rows
    ]


def _authorised(conn: Connection, group: Group) -> dict[int, list[int]]:
    rows = conn.execute(
        select(authorisation.c.message_id, authorisation.c.seq)
        .join(message, message.c.id == authorisation.c.message_id)
        .where(message.c.subject.in_(group.subjects))
        .order_by(authorisation.c.seq)
    )
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(row.message_id, []).append(row.seq)
    return found


def _reported(conn: Connection, group: Group) -> dict[int, list[model.Reported]]:
    rows = conn.execute(
        select(delivery_fact.c.message_id, delivery_fact.c.fact, delivery_fact.c.at)
        .join(message, message.c.id == delivery_fact.c.message_id)
        .where(message.c.subject.in_(group.subjects))
        .order_by(delivery_fact.c.at, delivery_fact.c.fact)
    )
    found: dict[int, list[model.Reported]] = {}
    for row in rows:
        found.setdefault(row.message_id, []).append(model.Reported(fact=row.fact, at=row.at))
    return found


def _subject_line(path: Path) -> str | None:
    """Read the subject of a mail that still lies in the outbox folder; elsewhere it is not stored."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    return str(message_from_bytes(raw, policy=policy.default)["Subject"])


def events(conn: Connection, group: Group) -> list[model.Event]:
    """Give everything that happened, machines included. Index: ix_event_lead."""
    rows = conn.execute(
        select(event, message.c.public_id)
        .outerjoin(message, message.c.id == event.c.message_id)
        .where(event.c.lead_id.in_(group.leads))
        .order_by(event.c.at, event.c.id)
    )
    return [
        model.Event(
            event=row.id,
            kind=row.kind,
            at=row.at,
            mail=row.public_id,
            verdict=row.verdict,
            verdict_reason=row.verdict_reason,
            attributes=row.attributes,
        )
        for row in rows
    ]


def signals(conn: Connection, group: Group) -> list[model.Signal]:
    """Give the buying signals."""
    return [
        model.Signal(kind=row.kind, strength=row.strength, at=row.at, event=row.event_id)
        for row in _of(conn, signal, group)
    ]


def scores(conn: Connection, group: Group) -> list[model.Score]:
    """Give the scores as they stand."""
    rows = conn.execute(select(lead_score).where(lead_score.c.lead_id.in_(group.leads)).order_by(lead_score.c.lead_id))
    return [
        model.Score(
            lead=row.lead_id,
            score=round(row.score, DIGITS),
            engagement=round(row.engagement, DIGITS),
            fit=round(row.fit, DIGITS),
            temperature=row.temperature,
            temperature_since=row.temperature_since,
            rules_version=row.rules_version,
            scored_at=row.scored_at,
        )
        for row in rows
    ]


def awards(conn: Connection, group: Group) -> list[model.Points]:
    """Give all points, of former rules too."""
    return [
        model.Points(
            lead=row.lead_id,
            rule=row.rule,
            axis=row.axis,
            points=row.points,
            at=row.at,
            event=row.event_id,
            rules_version=row.rules_version,
            reason=row.reason,
        )
        for row in _of(conn, points, group)
    ]


def temperatures(conn: Connection, group: Group) -> list[model.Temperature]:
    """Give how the temperature changed."""
    return [
        model.Temperature(
            lead=row.lead_id,
            temperature=row.temperature,
            at=row.at,
            score=round(row.score, DIGITS),
            rules_version=row.rules_version,
        )
        for row in _of(conn, temperature_change, group)
    ]


def stages(conn: Connection, group: Group) -> list[model.Stage]:
    """Give how the stage changed."""
    return [
        model.Stage(lead=row.lead_id, stage=row.stage, at=row.at, cause=row.cause)
        for row in _of(conn, stage_change, group)
    ]


def enrolments(conn: Connection, group: Group) -> list[model.Enrolment]:
    """Give the sequences the person was in."""
    rows = conn.execute(
        select(enrolment, sequence_version.c.version)
        .join(sequence_version, sequence_version.c.id == enrolment.c.sequence_version_id)
        .where(enrolment.c.lead_id.in_(group.leads))
        .order_by(enrolment.c.entered_at, enrolment.c.id)
    )
    return [
        model.Enrolment(
            sequence=row.sequence,
            version=row.version,
            state=row.state,
            reason=row.exit_reason,
            step=row.step,
            entered_at=row.entered_at,
            left_at=row.left_at,
        )
        for row in rows
    ]


def decisions(conn: Connection, group: Group) -> list[model.Decision]:
    """Give why mails were planned or withheld."""
    return [
        model.Decision(
            at=row.at, sequence=row.sequence, step=row.step, phase=row.phase, outcome=row.outcome, reason=row.reason
        )
        for row in _of(conn, decision, group)
    ]


def handovers(conn: Connection, keyring: Keyring, group: Group, recipient: str) -> list[model.Handover]:
    """Give what went to sales, opened where the copy is kept."""
    rows = conn.execute(
        select(handover, lead.c.subject)
        .join(lead, lead.c.id == handover.c.lead_id)
        .where(handover.c.lead_id.in_(group.leads))
        .order_by(handover.c.id)
    )
    return [
        model.Handover(
            handover=row.public_id,
            recipient=recipient,
            number=row.epoch,
            state=row.state,
            reason=row.reason,
            created_at=row.created_at,
            delivered_at=row.delivered_at,
            settled_at=row.settled_at,
            answer=row.answer,
            content=_content(conn, keyring, row),
        )
        for row in rows
    ]


def _content(conn: Connection, keyring: Keyring, row: Row[Any]) -> dict[str, Any] | None:
    if row.sealed_payload is None:
        return None
    place = sealing.place("handover", "sealed_payload", row.public_id)
    told: dict[str, Any] = json.loads(identities.open_for(conn, keyring, row.subject, row.sealed_payload, aad=place))
    return told


def _of(conn: Connection, table: Table, group: Group) -> list[Row[Any]]:
    """Read the rows of a table that belong to the person's leads, in order of time."""
    query = select(table).where(table.c.lead_id.in_(group.leads))
    return list(conn.execute(query.order_by(table.c.at, table.c.id)).all())
