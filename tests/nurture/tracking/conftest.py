"""Leads with mails, and the bodies that come back about them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select

from consent import identity, imported, tokens
from consent.addresses import Address
from nurture.leads import register
from nurture.store.tables import event, message, send_batch, template_version
from nurture.tracking.ingest import Ingested, ingest
from nurture.tracking.intake import store_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nurture.store.workspace import Workspace

LINKS = [
    {"key": "guide", "url": "https://example.org/guide"},
    {"key": "prices", "url": "https://example.org/prices"},
    {"key": "honeypot", "url": "https://example.org/h"},
    {"key": "talk", "url": "https://example.org/talk"},
]


@dataclass
class Person:
    """A lead with one mail."""

    subject: str
    lead_id: int
    message_id: int
    public_id: str


@dataclass
class World:
    """A workspace at a time, with what tests do in it."""

    ws: Workspace
    at: datetime
    count: int = 0
    people: list[Person] = field(default_factory=list)

    def person(self, *, tracked: bool = True, mailable: bool = True, address: str = "") -> Person:
        """Make a lead who got a mail an hour ago."""
        self.count += 1
        address = address or f"person{self.count}@musterfirma.example"
        with self.ws.store.write() as conn:
            subject = identity.ensure(conn, self.ws.keyring, Address.of(address), at=self.at)
            purposes = (["newsletter.product"] if mailable else []) + (["email.tracking"] if tracked else [])
            given = [
                imported.ImportedConsent(subject, purpose, "default", "Ja", self.at - timedelta(days=90), {"url": "x"})
                for purpose in purposes
            ]
            imported.record(conn, self.ws.keyring, given, at=self.at)
            lead_id = register.register(conn, [register.NewLead(subject, "de", "form")], at=self.at)[subject]
            public_id = tokens.random_id()
            message_id = add_message(conn, subject, lead_id, public_id, self.at - timedelta(hours=1), tracked=tracked)
        made = Person(subject, lead_id, message_id, public_id)
        self.people.append(made)
        return made

    def receive(self, source: str, body: bytes, *, at: datetime | None = None) -> bool:
        """Store a raw body."""
        with self.ws.store.write() as conn:
            return store_raw(conn, self.ws.keyring, source=source, body=body, at=at or self.at)

    def sendgrid(self, *events: dict[str, Any], at: datetime | None = None) -> Ingested:
        """Receive one batch of events and ingest it."""
        self.receive("sendgrid", json.dumps(events).encode(), at=at)
        return self.ingest(at=at)

    def ingest(self, *, at: datetime | None = None, limit: int = 500) -> Ingested:
        """Apply what waits."""
        with self.ws.store.write() as conn:
            return ingest(conn, self.ws, at=at or self.at, limit=limit)

    def events(self, kind: str | None = None) -> Sequence[Any]:
        """Read stored events."""
        query = select(event).order_by(event.c.key)
        with self.ws.store.read() as conn:
            return conn.execute(query if kind is None else query.where(event.c.kind == kind)).all()

    def rows(self, query: Any) -> Sequence[Any]:
        """Read anything."""
        with self.ws.store.read() as conn:
            return conn.execute(query).all()


def add_message(conn: Any, subject: str, lead_id: int, public_id: str, at: datetime, *, tracked: bool) -> int:
    """Store an accepted message with four links."""
    template = conn.execute(select(template_version.c.id)).scalar()
    if template is None:
        values = {"key": "welcome/hello/cold/de", "sha256": "0" * 64, "links": LINKS, "seen_at": at}
        template = conn.execute(insert(template_version).values(values)).inserted_primary_key[0]
    batch = conn.execute(select(send_batch.c.id)).scalar()
    if batch is None:
        values = {
            "kind": "marketing", "state": "accepted", "provider": "outbox", "environment": "e", "count": 1,
            "attempt": 1, "planned_at": at, "not_before": at, "not_after": at + timedelta(days=2),
        }  # fmt: skip
        batch = conn.execute(insert(send_batch).values(values)).inserted_primary_key[0]
    values = {
        "public_id": public_id, "batch_id": batch, "kind": "marketing", "subject": subject, "lead_id": lead_id,
        "step": "hello", "occurrence": 1, "purpose": "newsletter.product", "class": "educational",
        "temperature": "cold", "language": "de", "template_version_id": template, "tracked": tracked, "planned_at": at,
    }  # fmt: skip
    return int(conn.execute(insert(message).values(values)).inserted_primary_key[0])


def provider_event(name: str, person: Person | None, at: datetime, **more: Any) -> dict[str, Any]:
    """Give an event as SendGrid writes it."""
    told = {
        "email": "somebody@musterfirma.example",
        "timestamp": int(at.timestamp()),
        "event": name,
        "sg_event_id": f"ev-{name}",
        "sg_message_id": "Xj5LmNkWSOqRbdvOpR34BA.recvd-1",
    }
    if person is not None:
        told["nurture_message_id"] = person.public_id
    return told | more


@pytest.fixture
def world(workspace: Workspace, at: datetime) -> World:
    """An empty workspace on a Monday morning."""
    return World(workspace, at)


@pytest.fixture
def told() -> Callable[..., dict[str, Any]]:
    """The maker of provider events."""
    return provider_event
