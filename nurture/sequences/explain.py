"""What happened to one lead, in order, and why? Read from the tables alone; codes here, words in wording.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from consent import ledger
from consent.schema import consent_state, identity, opt_in_request, suppression
from consent.states import ACTIVE, TRACKING, State
from consent.suppression import gravity
from nurture.leads import preferences
from nurture.sequences.definition import SequenceError
from nurture.sequences.wording import afterwards, because, remedy
from nurture.store import verdicts
from nurture.store.tables import (
    authorisation,
    decision,
    delivery_fact,
    enrolment,
    event,
    handover,
    lead,
    lead_score,
    message,
    message_exception,
    points,
    send_batch,
    sequence_version,
    signal,
    stage_change,
    temperature_change,
    template_version,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

ORDER = ("consent", "suppressed", "stage", "enrolled", "event", "signal", "points", "temperature", "decision", "mail",
         "delivery", "handover", "left")  # fmt: skip
"""What comes first when two things bear the same time: causes before effects."""


NOT_KEPT = ("owner", "score", "scored_at", "language", "zone", "no_mail", "paused_until", "mails_wanted")
"""What is known of the present alone: no history says how it was."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `at` is UTC; `facts` holds codes, ids and counts, never personal data."""

    at: datetime
    kind: str
    """One of ORDER."""
    facts: dict[str, Any]


@dataclass(frozen=True)
class Explanation:
    """A lead as it stands, and all that led there."""

    lead_id: int
    now: dict[str, Any]
    entries: tuple[Entry, ...]
    step: str | None = None
    at: datetime | None = None
    """The moment in the past as of which it is told; None for the present."""

    def as_dict(self) -> dict[str, Any]:
        """Give plain data with English keys; each decision carries its reason and its remedy in English."""
        timeline = []
        for entry in self.entries:
            made: dict[str, Any] = {"at": entry.at, "kind": entry.kind, **entry.facts}
            if entry.kind == "decision":
                made["because"] = because(entry.facts, "en")
                made["would_have_changed_it"] = remedy(entry.facts, "en")
                made["what_follows"] = afterwards(entry.facts, "en")
            timeline.append(made)
        return {"lead": self.lead_id, "step": self.step, "at": self.at, "now": self.now, "timeline": timeline}


def explain(conn: Connection, lead_id: int, *, step: str | None = None, at: datetime | None = None) -> Explanation:
    """Tell what happened to a lead, up to `at` where given; with `step` (sequence/step) only about that step.

    With `at` it is told how the lead stood then, as far as histories are kept; what has none is None.
    Raises SequenceError for an unknown lead or a step that is not written as sequence/step.
    """
    row = conn.execute(
        select(lead, identity.c.address_index, identity.c.erased_at, identity.c.restricted_at)
        .join(identity, identity.c.subject == lead.c.subject)
        .where(lead.c.id == lead_id)
    ).first()
    if row is None:
        raise SequenceError(f"there is no lead {lead_id}; 'nurture lead list' shows the numbers")
    if step is None:
        found = [*_life(conn, row), *_steps(conn, lead_id, None), *_engagement(conn, lead_id, None)]
    else:
        sequence, _, name = step.partition("/")
        if not sequence or not name or "/" in name:
            raise SequenceError(f"{step!r} is no step; write SEQUENCE/STEP, such as welcome/hello")
        found = [*_steps(conn, lead_id, (sequence, name)), *_engagement(conn, lead_id, (sequence, name))]
    told = sorted(
        (entry for entry in found if at is None or entry.at <= at),
        key=lambda entry: (entry.at, ORDER.index(entry.kind)),
    )
    stands = _now(conn, row) if at is None else _then(conn, row, at)
    return Explanation(lead_id, stands, tuple(told), step, at)


def _now(conn: Connection, row: Row[Any]) -> dict[str, Any]:
    """Tell how the lead stands at present."""
    score = conn.execute(select(lead_score).where(lead_score.c.lead_id == row.id)).first()
    choice = preferences.of(conn, [row.subject]).get(row.subject, preferences.NONE)
    running = select(enrolment).where(enrolment.c.lead_id == row.id, enrolment.c.state.in_(["active", "paused"]))
    gone = row.erased_at is not None
    # Rows that name nobody outlive the person; where they stood then is nowhere anybody stands now.
    return {
        "restricted_since": row.restricted_at,
        "erased_at": row.erased_at,
        "stage": None if gone else row.stage,
        "stage_since": None if gone else row.stage_since,
        "owner": None if gone else row.owner,
        "temperature": None if gone else "cold" if score is None else score.temperature,
        "score": None if gone or score is None else round(score.score, 1),
        "scored_at": None if gone or score is None else score.scored_at,
        "language": row.language,
        "zone": row.zone,
        "erased": gone,
        "no_mail": None if gone else _no_mail(conn, row),
        "paused_until": choice.paused_until,
        "mails_wanted": None if choice.pace is None else dict(zip(("most", "weeks"), choice.pace, strict=True)),
        "enrolments": [
            {"sequence": e.sequence, "state": e.state, "step": e.step, "due_at": e.due_at}
            for e in conn.execute(running.order_by(enrolment.c.id))
        ],
    }


def _then(conn: Connection, row: Row[Any], at: datetime) -> dict[str, Any]:
    """Tell how the lead stood at a moment: stage, temperature and sequences have histories, the rest is None.

    An erasure or restriction of today began at a known time; an earlier one that was lifted stands in the ledger.
    """
    past = {"stage": (stage_change, "stage"), "temperature": (temperature_change, "temperature")}
    last = {
        name: conn.execute(
            select(table.c[column], table.c.at)
            .where(table.c.lead_id == row.id, table.c.at <= at)
            .order_by(table.c.at.desc(), table.c.id.desc())
            .limit(1)
        ).first()
        for name, (table, column) in past.items()
    }
    stage, warmth = last["stage"], last["temperature"]
    gone = row.erased_at is not None
    e = enrolment.c
    running = select(e.sequence).where(
        e.lead_id == row.id, e.entered_at <= at, (e.left_at.is_(None)) | (e.left_at > at)
    )
    return {
        "restricted_since": row.restricted_at if row.restricted_at is not None and row.restricted_at <= at else None,
        "erased_at": row.erased_at,
        "stage": None if gone or stage is None else stage.stage,
        "stage_since": None if gone or stage is None else stage.at,
        "temperature": None if gone or stage is None else "cold" if warmth is None else warmth.temperature,
        "erased": gone,
        "enrolments": [{"sequence": name} for name in conn.execute(running.order_by(e.id)).scalars()],
        **dict.fromkeys(NOT_KEPT),
    }


def _no_mail(conn: Connection, row: Row[Any]) -> str | None:
    """Say why no marketing mail may leave, the most final reason first; None where nothing of it stands against one.

    Who never came due for a step has no decision that would tell it.
    """
    if (barred := _barred(conn, row)) is not None:
        return barred
    said = select(consent_state.c.state).where(
        consent_state.c.subject == row.subject, consent_state.c.purpose != TRACKING
    )
    states = set(conn.execute(said).scalars())
    if states & {str(state) for state in ACTIVE}:
        return None
    asked = select(opt_in_request.c.id).where(
        opt_in_request.c.subject == row.subject, opt_in_request.c.state == "requested"
    )
    if conn.execute(asked.limit(1)).first() is not None:
        return "unconfirmed"
    if State.WITHDRAWN in states:
        return "withdrawn"
    return "no_proof" if row.source == "import" else "no_consent"


BARRED = {
    "objection": "objection", "complaint": "complained", "complained": "complained", "blocked": "blocked",
    "hard_bounce": "dead_mailbox", "bounced": "dead_mailbox",
}  # fmt: skip
"""What to say where an address is barred; for any other reason `suppressed`."""


def _barred(conn: Connection, row: Row[Any]) -> str | None:
    """Say why the address is barred, whatever the consents say: for the gravest of its reasons."""
    mine = select(suppression.c.reason).where(suppression.c.address_index == row.address_index)
    reasons = sorted(conn.execute(mine).scalars(), key=gravity)
    return BARRED.get(reasons[-1], "suppressed") if reasons else None


def _life(conn: Connection, row: Row[Any]) -> Iterator[Entry]:
    """Give what belongs to no single step: consent, stages, enrolments, temperatures, signals, handovers."""
    for recorded in ledger.read(conn, subject=row.subject):
        body = recorded.body
        named: dict[str, Any] = {
            key: body[key] for key in ("purposes", "purpose", "route", "reason", "source") if key in body
        }
        yield Entry(recorded.at, "consent", {"entry": recorded.seq, "type": recorded.type, **named})
    blocked = select(suppression).where(suppression.c.address_index == row.address_index)
    for found in conn.execute(blocked):
        yield Entry(found.since, "suppressed", {"reason": found.reason})
    for found in _of_lead(conn, select(stage_change), stage_change, row.id):
        yield Entry(found.at, "stage", {"stage": found.stage, "cause": found.cause})
    entered = select(enrolment, sequence_version.c.version).join(sequence_version)
    for found in conn.execute(entered.where(enrolment.c.lead_id == row.id)):
        yield Entry(found.entered_at, "enrolled", {"sequence": found.sequence, "version": found.version})
        if found.left_at is not None:
            about = {"sequence": found.sequence, "state": found.state, "reason": found.exit_reason}
            yield Entry(found.left_at, "left", about)
    for found in _of_lead(conn, select(temperature_change), temperature_change, row.id):
        about = {"temperature": found.temperature, "score": round(found.score, 1), "rules": found.rules_version}
        yield Entry(found.at, "temperature", about)
    for found in _of_lead(conn, select(signal), signal, row.id):
        yield Entry(found.at, "signal", {"signal": found.kind, "strength": found.strength})
    for found in conn.execute(select(handover).where(handover.c.lead_id == row.id)):
        yield from _handover(found)


def _of_lead(conn: Connection, query: Select[Any], table: Any, lead_id: int) -> Iterator[Row[Any]]:  # noqa: ANN401
    yield from conn.execute(query.where(table.c.lead_id == lead_id))


def _handover(row: Row[Any]) -> Iterator[Entry]:
    about = {"handover": row.public_id, "reason": row.reason}
    yield Entry(row.created_at, "handover", {**about, "state": "created", "deadline_at": row.deadline_at})
    if row.delivered_at is not None:
        yield Entry(row.delivered_at, "handover", {**about, "state": "delivered"})
    if row.settled_at is not None:
        yield Entry(row.settled_at, "handover", {**about, "state": row.state, "answer": row.answer})


def _steps(conn: Connection, lead_id: int, step: tuple[str, str] | None) -> Iterator[Entry]:
    """Give the decisions about steps, and the mails they led to."""
    d, m = decision.c, message.c
    asked = select(decision, verdict.c.gates, verdict.c.versions).join(verdict, verdict.c.id == d.verdict_id)
    asked = asked.where(d.lead_id == lead_id).order_by(d.id)
    if step is not None:
        asked = asked.where(d.sequence == step[0], d.step == step[1])
    for row in conn.execute(asked):
        about = {name: getattr(row, name) for name in ("phase", "sequence", "step", "outcome", "reason", "next_at")}
        gates = verdicts.told(row.gates, row.details)
        yield Entry(row.at, "decision", {**about, "gates": gates, "versions": row.versions})
    other = authorisation.alias("other")
    latest = select(func.max(other.c.attempt)).where(other.c.message_id == m.id).scalar_subquery()
    mails = (
        select(
            m.public_id, m.sequence, m.step, m["class"].label("message_class"), m.temperature, m.language,
            m.tracked, m.planned_at, template_version.c.key, send_batch.c.state, send_batch.c.settled_at,
            message_exception.c.state.label("own_state"), message_exception.c.reason.label("own_reason"),
            authorisation.c.seq, authorisation.c.consent_seq,
        )
        .select_from(
            message.join(send_batch).join(template_version, template_version.c.id == m.template_version_id)
            .outerjoin(message_exception)
            .outerjoin(authorisation, (authorisation.c.message_id == m.id) & (authorisation.c.attempt == latest))
        )
        .where(m.lead_id == lead_id, m.kind == "marketing")
        .order_by(m.id)
    )  # fmt: skip
    if step is not None:
        mails = mails.where(m.sequence == step[0], m.step == step[1])
    for row in conn.execute(mails):
        about = {
            "mail": row.public_id,
            "sequence": row.sequence,
            "step": row.step,
            "template": row.key,
            "class": row.message_class,
            "temperature": row.temperature,
            "tracked": row.tracked,
            "state": row.own_state or row.state,
            "reason": row.own_reason,
            "authorisation": row.seq,
            "consent": row.consent_seq,
        }
        yield Entry(row.planned_at, "mail", about)


def _engagement(conn: Connection, lead_id: int, step: tuple[str, str] | None) -> Iterator[Entry]:
    """Give what came back: delivery, events with their verdict, and the points they earned."""
    m = message.c
    near = [] if step is None else [m.sequence == step[0], m.step == step[1]]
    facts = (
        select(delivery_fact, m.sequence, m.step)
        .join(message, m.id == delivery_fact.c.message_id)
        .where(m.lead_id == lead_id, *near)
    )
    for row in conn.execute(facts):
        yield Entry(row.at, "delivery", {"fact": row.fact, "sequence": row.sequence, "step": row.step})
    events = (
        select(event, m.sequence, m.step)
        .outerjoin(message, m.id == event.c.message_id)
        .where(event.c.lead_id == lead_id, *near)
        .order_by(event.c.id)
    )
    for row in conn.execute(events):
        about = {"event": row.kind, "verdict": row.verdict, "verdict_reason": row.verdict_reason}
        yield Entry(row.at, "event", {**about, "sequence": row.sequence, "step": row.step})
    earned = (
        select(points, event.c.kind)
        .outerjoin(event, event.c.id == points.c.event_id)
        .outerjoin(message, m.id == event.c.message_id)
        .where(points.c.lead_id == lead_id, *near)
        .order_by(points.c.id)
    )
    for row in conn.execute(earned):
        about = {"points": row.points, "rule": row.rule, "axis": row.axis, "reason": row.reason, "event": row.kind}
        yield Entry(row.at, "points", {**about, "rules": row.rules_version})
