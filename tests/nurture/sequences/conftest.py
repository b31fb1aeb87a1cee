"""A small world for sequences: leads with proven consent, definitions in a folder, texts that only have a name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select, update

from consent import identity, imported, withdrawal
from consent.addresses import Address
from consent.imported import ImportedConsent
from nurture.leads import register as leads
from nurture.leads import stages
from nurture.leads.register import NewLead
from nurture.sequences import definition
from nurture.sequences.planner import PlanCounts, enrol, plan
from nurture.store import verdicts
from nurture.store.tables import (
    decision,
    enrolment,
    event,
    lead,
    lead_score,
    message,
    raw_event,
    signal,
    temperature_change,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Row, Table

    from nurture.delivery.content.library import MailKey
    from nurture.sequences.definition import Sequence
    from nurture.store.workspace import Workspace

PURPOSE = "newsletter.product"
TRACKING = "email.tracking"
SHORT = """\
sequence: welcome
version: 1
purpose: newsletter.product
goal: {event: demo_requested}
enrol: {when: consent_confirmed, again: never}
window: {days: mon-fri, from: "08:30", to: "17:30", zone: lead, holidays: DE}
late: {after: 48h, then: skip}
steps:
  - {kind: mail, id: hello}
  - {kind: wait, id: rest, for: 3d}
  - {kind: mail, id: proof}
"""


@dataclass(frozen=True)
class Text:
    """A mail as far as planning looks at it."""

    key: str
    message_class: str = "educational"
    links: tuple[Any, ...] = ()

    @property
    def sha256(self) -> str:
        """Give a fingerprint."""
        return hashlib.sha256(self.key.encode()).hexdigest()


@dataclass
class Texts:
    """A library that has every mail but the missing ones."""

    missing: set[str] = field(default_factory=set)

    def has(self, key: MailKey) -> bool:
        """Tell whether it is there."""
        return str(key) not in self.missing

    def mail(self, key: MailKey) -> Text:
        """Give it."""
        return Text(str(key))


@dataclass
class World:
    """What a test of sequences acts on."""

    ws: Workspace
    folder: Path
    texts: Texts = field(default_factory=Texts)
    limit: int = 10_000

    def write(self, text: str) -> None:
        """Put a sequence into the templates folder."""
        name = text.split("\n", 1)[0].removeprefix("sequence: ")
        path = self.folder / "templates" / name / "sequence.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    @property
    def definitions(self) -> dict[str, Sequence]:
        """The sequences of the folder."""
        return definition.load(self.folder / "templates")

    def people(self, number: int, at: datetime, *, start: int = 0, tracked: bool = False, **facts: Any) -> list[int]:
        """Make leads with proven consent; give their ids."""
        return self.consenting(self.known(number, at, start=start, **facts), at, tracked=tracked)

    def known(self, number: int, at: datetime, *, start: int = 0, **facts: Any) -> list[int]:
        """Make leads without any consent."""
        addresses = [Address.of(f"person{n}@example.org") for n in range(start, start + number)]
        with self.ws.store.write() as conn:
            subjects = list(identity.ensure_many(conn, self.ws.keyring, addresses, at=at).values())
            new = [NewLead(subject, facts.pop("language", "de"), "import", **facts) for subject in subjects]
            return sorted(leads.register(conn, new, at=at).values())

    def consenting(self, ids: list[int], at: datetime, *, tracked: bool = False) -> list[int]:
        """Record the proven consent of leads."""
        purposes = [PURPOSE, TRACKING] if tracked else [PURPOSE]
        with self.ws.store.write() as conn:
            given = [
                ImportedConsent(subject, purpose, "default", "Ja, gern.", at, {"source": "test"})
                for subject in self.subjects(ids)
                for purpose in purposes
            ]
            imported.record(conn, self.ws.keyring, given, at=at)
        return ids

    def subjects(self, ids: Iterable[int]) -> list[str]:
        """Give the subjects of leads."""
        with self.ws.store.read() as conn:
            return list(
                conn.execute(select(lead.c.subject).where(lead.c.id.in_(list(ids))).order_by(lead.c.id)).scalars()
            )

    def enrol(self, at: datetime, limit: int = 100_000) -> int:
        """Enrol, in a transaction of its own."""
        with self.ws.store.write() as conn:
            return enrol(conn, self.definitions, at=at, limit=limit)

    def plan(self, at: datetime, sequence: str | None = None) -> PlanCounts:
        """Plan, in a transaction of its own."""
        with self.ws.store.write() as conn:
            return plan(
                conn, self.ws, self.definitions, self.texts, provider_name="outbox", batch_limit=500,
                sequence=sequence, at=at, limit=self.limit,
            )  # fmt: skip

    def tick(self, at: datetime) -> PlanCounts:
        """Enrol and plan."""
        self.enrol(at)
        return self.plan(at)

    def move(self, lead_id: int, stage: str, at: datetime) -> None:
        """Move a lead to a stage."""
        with self.ws.store.write() as conn:
            stages.move(conn, {lead_id: stage}, cause="test", at=at)

    def withdraw(self, lead_id: int, at: datetime) -> None:
        """Take all consent of a lead back."""
        [subject] = self.subjects([lead_id])
        with self.ws.store.write() as conn:
            withdrawal.withdraw(
                conn, subject=subject, controller="default", purposes=None, route="page", actor="test", at=at
            )

    def warm(self, lead_id: int, temperature: str, at: datetime) -> None:
        """Give a lead a temperature."""
        row = {
            "lead_id": lead_id, "score": 40.0, "engagement": 40.0, "fit": 0.0, "temperature": temperature,
            "temperature_since": at, "rules_version": 7, "scored_at": at,
        }  # fmt: skip
        with self.ws.store.write() as conn:
            if conn.execute(update(lead_score).where(lead_score.c.lead_id == lead_id).values(**row)).rowcount == 0:
                conn.execute(insert(lead_score).values(**row))

    def cool(self, lead_id: int, at: datetime) -> None:
        """Let a lead turn cold, with the trace that scoring leaves."""
        self.warm(lead_id, "cold", at)
        row = {"lead_id": lead_id, "temperature": "cold", "at": at, "score": 3.0, "rules_version": 7}
        with self.ws.store.write() as conn:
            conn.execute(insert(temperature_change).values(**row))

    def happen(
        self,
        lead_id: int,
        kind: str,
        at: datetime,
        *,
        step: str | None = None,
        verdict: str = "human",
        signalled: bool = False,
    ) -> None:
        """Let something happen, about the mail of a step if named."""
        with self.ws.store.write() as conn:
            about = select(message.c.id).where(message.c.lead_id == lead_id, message.c.step == step)
            raw = {"source": "form", "received_at": at, "body_sha256": f"{lead_id}{kind}{at}", "state": "applied"}
            raw_id = conn.execute(insert(raw_event).values(**raw).returning(raw_event.c.id)).scalar_one()
            row = {
                "key": f"{at.timestamp()}:{lead_id}:{kind}", "kind": kind, "lead_id": lead_id, "at": at,
                "received_at": at,
                "message_id": conn.execute(about).scalar() if step else None, "verdict": verdict,
                "verdict_reason": "test", "attributes": {}, "raw_id": raw_id,
            }  # fmt: skip
            event_id = conn.execute(insert(event).values(**row).returning(event.c.id)).scalar_one()
            if signalled:
                conn.execute(
                    insert(signal).values(lead_id=lead_id, kind=kind, strength="strong", at=at, event_id=event_id)
                )

    def rows(self, table: Table) -> list[Row[Any]]:
        """Give all rows of a table, in order of id."""
        with self.ws.store.read() as conn:
            return list(conn.execute(select(table).order_by(table.c.id)).all())

    def gates(self, number: int = 0) -> list[dict[str, Any]]:
        """Give what the gates said in a decision."""
        with self.ws.store.read() as conn:
            asked = select(decision.c.details, verdict.c.gates).join(verdict, verdict.c.id == decision.c.verdict_id)
            rows = conn.execute(asked.order_by(decision.c.id)).all()
        return verdicts.told(rows[number].gates, rows[number].details)

    def decided(self) -> list[tuple[str | None, str, str]]:
        """Give step, outcome and reason of every decision, in order."""
        return [(row.step, row.outcome, row.reason) for row in self.rows(decision)]

    def place(self, number: int = 0) -> tuple[str, str, str | None]:
        """Give state, step and reason of an enrolment."""
        row = self.rows(enrolment)[number]
        return row.state, row.step, row.exit_reason


@pytest.fixture
def world(workspace: Workspace, tmp_path: Path) -> World:
    """A world with the short welcome sequence and nobody in it."""
    made = World(workspace, tmp_path)
    made.write(SHORT)
    return made


@pytest.fixture
def later(at: datetime) -> datetime:
    """Three days after `at`, still in the send window."""
    return at + timedelta(days=3)
