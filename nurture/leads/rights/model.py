"""What does a person get to see of themselves? The record of GDPR Art. 15 and 20, part by part.

Published as JSON Schema in docs/reference/personal-record.schema.json. Times are UTC, ISO 8601. The
PDF prints exactly these fields; their German and English names stand in words.py.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  pydantic reads it at run time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A part of the record; readers may rely on every field."""

    model_config = ConfigDict(extra="forbid")


class Controller(Part):
    """Who holds the data."""

    id: str
    company: str
    postal_address: str
    imprint: str
    contact: str


class Person(Part):
    """Who it is: one entry for each address that was merged into one lead."""

    subject: str = Field(description="random id; the ledger knows the person by it alone")
    address: str
    details: dict[str, str] = Field(description="names, phone, company, job title, messages sent to us; what is known")
    known_since: datetime
    restricted_since: datetime | None = Field(description="GDPR Art. 18: stored, not used")


class Lead(Part):
    """The facts that mails and scores are chosen by."""

    lead: int
    subject: str
    merged_into: int | None
    language: str
    zone: str
    country: str | None
    industry: str | None
    company_size: int | None
    role: str | None
    freemail: bool
    role_address: bool
    stage: str
    stage_since: datetime
    owner: str
    created_at: datetime


class Source(Part):
    """Where the data come from."""

    source: str
    detail: str | None
    at: datetime


class Wording(Part):
    """A wording that was agreed to, to the letter."""

    controller: str
    channel: str
    purpose: str
    version: int | None = Field(description="empty for a wording of another system, taken over with its proof")
    language: str | None
    sha256: str
    body: str


class Consent(Part):
    """The last word on one purpose."""

    subject: str
    controller: str
    channel: str
    purpose: str
    basis: str
    state: str
    since: datetime
    used_at: datetime | None
    ledger_entry: int
    wording_sha256: str | None


class Proof(Part):
    """One step with its evidence: with salt and leaf anybody can check that exactly this was recorded.

    HMAC-SHA-256 under the salt over `canonical` is `commit` in the leaf; SHA-256 of a zero byte and the leaf
    is its hash in the tree.
    """

    ledger_entry: int
    step: str
    at: datetime
    evidence: dict[str, Any]
    canonical: str
    salt: str
    leaf: str
    leaf_hash: str
    inclusion: str | None = Field(
        description="C2SP tlog-proof: the entry stands in the tree of a signed checkpoint; empty before the first one"
    )


class LedgerEntry(Part):
    """One entry of the consent ledger about the person. Where it names others too, only their own line is given."""

    ledger_entry: int
    at: datetime
    type: str
    body: dict[str, Any]


class Suppression(Part):
    """An entry on the list of those who must not be written to."""

    controller: str
    reason: str
    since: datetime


class SignUp(Part):
    """A request to be written to, confirmed or not."""

    request: int
    purposes: list[str]
    source: str
    language: str
    state: str
    requested_at: datetime
    expires_at: datetime
    settled_at: datetime | None
    mail_queued_at: datetime | None


class Reported(Part):
    """What the provider told of a mail."""

    fact: str
    at: datetime


class Mail(Part):
    """One mail that was planned, and its fate."""

    mail: str
    kind: str
    template: str
    subject_line: str | None = Field(description="where the mail itself still lies here")
    purpose: str | None
    sequence: str | None
    step: str
    planned_at: datetime
    state: str
    reason: str | None
    settled_at: datetime | None
    measured: bool
    authorised_by: list[int] = Field(description="entries of the ledger")
    reported: list[Reported]


class Decision(Part):
    """Why a mail was planned, put off or withheld."""

    at: datetime
    sequence: str | None
    step: str | None
    phase: str
    outcome: str
    reason: str


class Event(Part):
    """One thing that happened."""

    event: int
    kind: str
    at: datetime
    mail: str | None
    verdict: str
    verdict_reason: str
    attributes: dict[str, Any]


class Signal(Part):
    """A buying signal."""

    kind: str
    strength: str
    at: datetime
    event: int


class Score(Part):
    """How interested we think the person is."""

    lead: int
    score: float
    engagement: float
    fit: float
    temperature: str
    temperature_since: datetime
    rules_version: int
    scored_at: datetime


class Points(Part):
    """One award or deduction with its cause: the inputs of the score."""

    lead: int
    rule: str
    axis: str
    points: int
    at: datetime
    event: int | None
    rules_version: int
    reason: str


class Temperature(Part):
    """A change of temperature."""

    lead: int
    temperature: str
    at: datetime
    score: float
    rules_version: int


class Stage(Part):
    """A change of stage."""

    lead: int
    stage: str
    at: datetime
    cause: str


class Enrolment(Part):
    """A sequence the person was in."""

    sequence: str
    version: int
    state: str
    reason: str | None
    step: str
    entered_at: datetime
    left_at: datetime | None


class Handover(Part):
    """What was given to sales."""

    handover: str
    recipient: str
    number: int
    state: str
    reason: str
    created_at: datetime
    delivered_at: datetime | None
    settled_at: datetime | None
    answer: str | None
    content: dict[str, Any] | None = Field(description="what was handed over, while the copy is kept")


class Preference(Part):
    """What the person chose on the preferences page."""

    subject: str
    paused_until: datetime | None
    per_week: int | None
    changed_at: datetime


class Recipient(Part):
    """Who gets data, and which."""

    recipient: str
    role: str
    data: str


class Kept(Part):
    """How long a kind of data is kept; `until` where the day is known already."""

    data: str
    rule: str
    until: datetime | None


class Request(Part):
    """A request of the person, with the date by which it has to be answered."""

    kind: str
    state: str
    route: str
    received_at: datetime
    due_at: datetime
    settled_at: datetime | None
    hold_until: datetime | None


class Record(Part):
    """Everything."""

    format: Literal["nurture.personal_record/1"] = "nurture.personal_record/1"
    made_at: datetime
    language: Literal["de", "en"]
    zone: str
    controller: Controller
    persons: list[Person]
    leads: list[Lead]
    sources: list[Source]
    consents: list[Consent]
    wordings: list[Wording]
    proofs: list[Proof]
    sign_ups: list[SignUp]
    suppressions: list[Suppression]
    preferences: list[Preference]
    mails: list[Mail]
    events: list[Event]
    signals: list[Signal]
    scores: list[Score]
    points: list[Points]
    temperatures: list[Temperature]
    stages: list[Stage]
    enrolments: list[Enrolment]
    decisions: list[Decision]
    handovers: list[Handover]
    recipients: list[Recipient]
    retention: list[Kept]
    requests: list[Request]
    ledger: list[LedgerEntry]


def schema() -> dict[str, object]:
    """Give the JSON Schema of the record."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Record.model_json_schema(mode="serialization")}
