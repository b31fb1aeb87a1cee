"""What does sales get to know? The body of a handover, complete and explained.

Published as JSON Schema in docs/reference/handover.schema.json. Times are UTC, ISO 8601.
"""

from __future__ import annotations

import json
from datetime import datetime  # noqa: TC003  pydantic reads it at run time
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, func, select

from consent import identity as identities
from consent import rights
from consent.schema import consent_state
from nurture.handover.policy import HandoverError, HandoverPolicy
from nurture.store.tables import event, handover, lead, lead_score, points, signal

if TYPE_CHECKING:
    from consent.keys import Keyring

SHOWN_EVENTS = 10
SOURCE = "/nurture/handovers"
CREATED = "lead.handover.created"
WITHDRAWN = "lead.handover.withdrawn"
CONTACT = ("salutation", "first_name", "last_name", "company", "job_title", "phone")


class Part(BaseModel):
    """A part of the body; receivers may rely on every field."""

    model_config = ConfigDict(extra="forbid")


class Contact(Part):
    """Who it is. Empty text where unknown."""

    address: str
    salutation: str
    first_name: str
    last_name: str
    company: str
    job_title: str
    phone: str


class Company(Part):
    """Facts used for the fit score; null where unknown."""

    industry: str | None
    size: int | None = Field(description="employees")
    country: str | None
    role: str | None


class Contribution(Part):
    """One award of points with its cause."""

    rule: str
    axis: Literal["engagement", "fit"]
    points: int
    at: datetime
    reason: str


class ScorePart(Part):
    """How interested, and why we think so."""

    total: float
    engagement: float
    fit: float
    temperature: Literal["cold", "warm", "hot"]
    temperature_since: datetime | None
    rules_version: int | None
    contributions: list[Contribution]


class Happened(Part):
    """One thing a person did."""

    kind: str
    at: datetime
    about: str | None = Field(description="key of the link, page or form")


class SignalPart(Part):
    """A buying signal."""

    kind: str
    strength: Literal["strong", "weak"]
    at: datetime


class ConsentPart(Part):
    """What this person agreed to. Consent for e-mail is no consent for the phone."""

    channel: str
    purpose: str
    state: str
    since: datetime
    ledger_entry: int = Field(description="entry of the consent ledger that proves it")


class Data(Part):
    """The handover itself."""

    handover: str = Field(description="stable id; use it to recognise a repetition")
    lead: int
    epoch: int = Field(description="1 for the first handover of this lead, one more after each return")
    reason: str = Field(description="signal:<kind> or the name of the rule")
    policy_version: int
    answer_until: datetime
    contact: Contact
    company: Company
    language: str
    source: str
    score: ScorePart
    signals: list[SignalPart]
    events: list[Happened] = Field(description="the last ten things a person did, newest first")
    machine_events: int = Field(description="openings and clicks by scanners; not counted anywhere")
    consents: list[ConsentPart]
    channels_allowed: list[str] = Field(
        description="channels with an active consent; answering a request is always allowed"
    )
    next_action: str
    talking_points: list[str]
    accept: str = Field(description="command that accepts")
    give_back: str = Field(description="command that gives back, with a reason")


class Body(Part):
    """The envelope: attributes of a CloudEvent around the data."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = SOURCE
    type: Literal["lead.handover.created"] = "lead.handover.created"
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: Data


def schema() -> dict[str, object]:
    """Give the JSON Schema of the body."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Body.model_json_schema(mode="serialization")}


def build(connection: Connection, keyring: Keyring, policy: HandoverPolicy, handover_id: int, *, at: datetime) -> Body:
    """Gather everything about one handed over lead as of now.

    Raises HandoverError when the lead was erased meanwhile: there is nobody left to hand over.
    """
    row = connection.execute(
        select(handover, lead.c.subject, lead.c.language, lead.c.source, lead.c.industry, lead.c.company_size,
               lead.c.country, lead.c.role)
        .join(lead, lead.c.id == handover.c.lead_id)
        .where(handover.c.id == handover_id)
    ).one()  # fmt: skip
    person = identities.reveal(connection, keyring, [row.subject]).get(row.subject)
    if person is None:
        raise HandoverError(f"handover {row.public_id}: the lead was erased")
    if rights.restricted(connection, [row.subject]):
        raise HandoverError(f"handover {row.public_id}: the person is restricted, their data may only be kept")
    signals = _signals(connection, row.lead_id)
    consents = _consents(connection, row.subject)
    advice = policy.talking_points.get(row.reason.removeprefix("signal:")) or policy.talking_points["none"]
    contact = {name: str(person.details.get(name) or "") for name in CONTACT}
    return Body(
        id=row.public_id,
        time=at,
        data=Data(
            handover=row.public_id,
            lead=row.lead_id,
            epoch=row.epoch,
            reason=row.reason,
            policy_version=row.policy_version,
            answer_until=row.deadline_at,
            contact=Contact(address=person.address, **contact),
            company=Company(industry=row.industry, size=row.company_size, country=row.country, role=row.role),
            language=row.language,
            source=row.source,
            score=_score(connection, row.lead_id),
            signals=signals,
            events=_events(connection, row.lead_id),
            machine_events=_machine_events(connection, row.lead_id),
            consents=consents,
            channels_allowed=sorted(
                {part.channel for part in consents if part.state == "given" and part.purpose != "email.tracking"}
            ),
            next_action=getattr(advice.next, row.language, advice.next.en),
            talking_points=[getattr(words, row.language, words.en) for words in advice.points],
            accept=f"nurture handover accept {row.public_id}",
            give_back=f"nurture handover return {row.public_id} --reason REASON",
        ),
    )


def encode(body: Body) -> bytes:
    """Give the bytes that are sent, sealed and hashed."""
    return json.dumps(body.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":")).encode()


def _score(connection: Connection, lead_id: int) -> ScorePart:
    now = connection.execute(select(lead_score).where(lead_score.c.lead_id == lead_id)).one_or_none()
    if now is None:
        return ScorePart(
            total=0,
            engagement=0,
            fit=0,
            temperature="cold",
            temperature_since=None,
            rules_version=None,
            contributions=[],
        )
    rows = connection.execute(
        select(points.c.rule, points.c.axis, points.c.points, points.c.at, points.c.reason)
        .where(points.c.lead_id == lead_id, points.c.rules_version == now.rules_version, points.c.points != 0)
        .order_by(points.c.at, points.c.id)
    )
    return ScorePart(
        total=now.score,
        engagement=now.engagement,
        fit=now.fit,
        temperature=now.temperature,
        temperature_since=now.temperature_since,
        rules_version=now.rules_version,
        contributions=[Contribution(**row._mapping) for row in rows],  # noqa: SLF001  SQLAlchemy's public way
    )


def _signals(connection: Connection, lead_id: int) -> list[SignalPart]:
    rows = connection.execute(
        select(signal.c.kind, signal.c.strength, signal.c.at)
        .where(signal.c.lead_id == lead_id)
        .order_by(signal.c.at.desc())
    )
    return [SignalPart(kind=row.kind, strength=row.strength, at=row.at) for row in rows]


def _events(connection: Connection, lead_id: int) -> list[Happened]:
    rows = connection.execute(
        select(event.c.kind, event.c.at, event.c.attributes)
        .where(
            event.c.lead_id == lead_id,
            event.c.verdict == "human",
            event.c.kind.not_in(["processed", "deferred", "delivered"]),
        )
        .order_by(event.c.at.desc(), event.c.id.desc())
        .limit(SHOWN_EVENTS)
    )
    return [Happened(kind=row.kind, at=row.at, about=_about(row.attributes)) for row in rows]


def _about(attributes: dict[str, object]) -> str | None:
    for name in ("link", "page", "form", "url"):
        if name in attributes:
            return str(attributes[name])
    return None


def _machine_events(connection: Connection, lead_id: int) -> int:
    counted = select(func.count()).select_from(event).where(event.c.lead_id == lead_id, event.c.verdict == "machine")
    return connection.execute(counted).scalar_one()


def _consents(connection: Connection, subject: str) -> list[ConsentPart]:
    rows = connection.execute(
        select(
            consent_state.c.channel,
            consent_state.c.purpose,
            consent_state.c.state,
            consent_state.c.since,
            consent_state.c.seq,
        )
        .where(consent_state.c.subject == subject)
        .order_by(consent_state.c.purpose)
    )
    return [
        ConsentPart(channel=r.channel, purpose=r.purpose, state=r.state, since=r.since, ledger_entry=r.seq)
        for r in rows
    ]


__all__ = ["CREATED", "WITHDRAWN", "Body", "Data", "build", "encode", "schema"]
