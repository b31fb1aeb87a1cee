"""People for the flow tests: leads with proven consent, and what they ask for."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from consent import identity, imported
from consent.addresses import Address
from nurture.leads import register
from nurture.leads.register import NewLead
from nurture.tracking import intake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from nurture.store.workspace import Workspace

MARKER = "zacharias-marker"
"""Stands in every address and name, and may therefore stand nowhere in Prefect."""


def addresses(tag: str, count: int) -> list[str]:
    """Give `count` addresses, told apart by a tag."""
    return [f"{MARKER}.{tag}.{n}@example.org" for n in range(count)]


def make_leads(ws: Workspace, mailboxes: Sequence[str], *, at: datetime) -> dict[str, int]:
    """Make confirmed leads with a proven consent; give address -> lead id."""
    keyring = ws.keyring
    with ws.store.write() as conn:
        known = identity.ensure_many(conn, keyring, [Address.of(mailbox) for mailbox in mailboxes], at=at)
        subjects = {address.delivery: subject for address, subject in known.items()}
        names = {"first_name": "Erika", "last_name": f"{MARKER}-Muster"}
        identity.describe(conn, keyring, dict.fromkeys(subjects.values(), names))
        day_before = at - timedelta(days=1)
        given = [
            imported.ImportedConsent(subject, "newsletter.product", "default", "Ja, bitte.", day_before, {})
            for subject in subjects.values()
        ]
        imported.record(conn, keyring, given, at=at)
        leads = register.register(conn, [NewLead(subject, "de", "import") for subject in subjects.values()], at=at)
    return {mailbox: leads[subject] for mailbox, subject in subjects.items()}


def request_demo(ws: Workspace, mailboxes: Sequence[str], *, at: datetime) -> None:
    """Store what the web app stores when somebody asks for a demo."""
    with ws.store.write() as conn:
        for body in _bodies(mailboxes, at):
            assert intake.store_raw(conn, ws.keyring, source="form", body=body, at=at)


def _bodies(mailboxes: Sequence[str], at: datetime) -> Iterator[bytes]:
    for mailbox in mailboxes:
        fields = {"last_name": f"{MARKER}-Muster"}
        told = {"form": "demo_request", "address": mailbox, "fields": fields, "language": "de", "at": at.isoformat()}
        yield json.dumps(told, sort_keys=True).encode()
