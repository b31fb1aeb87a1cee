"""Leads with a temperature and signals, ready to be handed over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert

from consent import identity, imported
from consent.addresses import Address
from consent.imported import ImportedConsent
from nurture.leads.register import NewLead, register
from nurture.store.tables import event, lead_score, signal

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.store.workspace import Workspace

MakeLead = Callable[..., int]


@pytest.fixture
def make_lead(workspace: Workspace, at: datetime) -> MakeLead:
    """Give a function that makes a consented lead with a temperature and signals (kind, days ago)."""
    made = 0

    def make(temperature: str = "cold", signals: tuple[tuple[str, float], ...] = ()) -> int:
        nonlocal made
        made += 1
        with workspace.store.write() as connection:
            lead_id = _lead(connection, workspace.keyring, made, at)
            score = {"cold": 5, "warm": 40, "hot": 70}[temperature]
            connection.execute(
                insert(lead_score).values(
                    lead_id=lead_id, score=score, engagement=score, fit=0, temperature=temperature,
                    temperature_since=at - timedelta(days=1), rules_version=1, scored_at=at,
                )
            )  # fmt: skip
            for kind, days in signals:
                add_signal(connection, lead_id, kind, at - timedelta(days=days))
        return lead_id

    return make


def _lead(connection: Connection, keyring: Keyring, number: int, at: datetime) -> int:
    subject = identity.ensure(connection, keyring, Address.of(f"nadja.berghammer{number}@example.org"), at=at)
    details = {"first_name": "Nadja", "last_name": "Berghammer", "salutation": "Frau", "company": "Fräswerk <Nord>"}
    identity.describe(connection, keyring, {subject: details})
    consent = ImportedConsent(
        subject=subject, purpose="newsletter.product", controller="default", text="Ja, bitte.",
        confirmed_at=at - timedelta(days=20), evidence={},
    )  # fmt: skip
    imported.record(connection, keyring, [consent], at=at)
    new = NewLead(
        subject=subject, language="de", source="import", industry="machinery", company_size=120, role="decider"
    )
    return register(connection, [new], at=at - timedelta(days=20), keyring=keyring)[subject]


def add_signal(connection: Connection, lead_id: int, kind: str, happened: datetime) -> None:
    """Record a buying signal with the event that caused it."""
    key = f"{int(happened.timestamp())}:{kind}:{lead_id}"
    event_id = connection.execute(
        insert(event)
        .values(key=key, kind=kind, lead_id=lead_id, at=happened, received_at=happened, verdict="human",
                verdict_reason="form", attributes={"form": kind})
        .returning(event.c.id)
    ).scalar_one()  # fmt: skip
    connection.execute(
        insert(signal).values(lead_id=lead_id, kind=kind, strength="strong", at=happened, event_id=event_id)
    )
