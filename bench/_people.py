"""Who takes part in benchmarks: confirmed leads with consent to mail and tracking."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from consent import identity, imported
from consent.addresses import Address
from nurture.leads import register

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from consent.keys import Keyring

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def make_leads(conn: Connection, keyring: Keyring, count: int, *, at: datetime = AT) -> dict[str, int]:
    """Make so many leads at a time; gives subject -> lead id."""
    addresses = [Address.of(f"person{number}@musterfirma.example") for number in range(count)]
    subjects = list(identity.ensure_many(conn, keyring, addresses, at=at).values())
    consents = [
        imported.ImportedConsent(subject, purpose, "default", "Ja, gern.", at, {})
        for subject in subjects
        for purpose in ("newsletter.product", "email.tracking")
    ]
    imported.record(conn, keyring, consents, at=at)
    return register.register(conn, [register.NewLead(subject, "de", "import") for subject in subjects], at=at)
