"""What came from outside? Stored as bytes, sealed, before anybody tries to understand it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import select

from nurture.store.inserting import chunks, insert_new
from nurture.store.tables import raw_event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring


class Source(StrEnum):
    """Where a body came from, which says how to read it."""

    SENDGRID = "sendgrid"
    """A batch of SendGrid's event webhook, its signature checked."""
    CLICK = "click"
    """Our own redirect."""
    OPEN = "open"
    """Our own pixel."""
    FORM = "form"
    """A form on our pages."""
    BEACON = "beacon"
    """A visit of a page of ours, a download, told by that page or by another system."""
    DSN = "dsn"
    """What a mail server reported of a mail of ours, its address checked."""


def fingerprint(body: bytes) -> str:
    """Give the SHA-256 of a body, in hex: the same bytes are stored once."""
    return hashlib.sha256(body).hexdigest()


def seal(keyring: Keyring, body: bytes, sha256: str) -> bytes:
    """Seal a body for the inbox, bound to its fingerprint."""
    return keyring.seal(body, aad=_place(sha256))


def unseal(keyring: Keyring, sealed: bytes, sha256: str) -> bytes:
    """Open what `seal` closed."""
    return keyring.open(sealed, aad=_place(sha256))


def kept(conn: Connection) -> Iterator[tuple[bytes, bytes]]:
    """Give every body that lies here sealed, with its additional data: waiting, or in quarantine."""
    query = select(raw_event.c.sealed_body, raw_event.c.body_sha256).where(raw_event.c.sealed_body.is_not(None))
    for row in conn.execute(query):
        yield row.sealed_body, _place(row.body_sha256)


def _place(sha256: str) -> bytes:
    return f"raw_event:{sha256}".encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A body that is ready to be stored; received at `at` (UTC)."""

    source: str
    sha256: str
    body: bytes
    at: datetime


def sealed(keyring: Keyring, source: str, body: bytes, *, at: datetime) -> Sealed:
    """Make a body ready, outside of any transaction."""
    sha256 = fingerprint(body)
    return Sealed(Source(source).value, sha256, seal(keyring, body, sha256), at)


def store(conn: Connection, bodies: Sequence[Sealed]) -> dict[str, int]:
    """Keep bodies; give fingerprint -> id of those that were not kept before."""
    known: set[str] = set()
    for part in chunks([body.sha256 for body in bodies]):
        query = select(raw_event.c.body_sha256).where(raw_event.c.body_sha256.in_(part))
        known.update(conn.execute(query).scalars())
    return put(conn, [body for body in bodies if body.sha256 not in known])


def put(conn: Connection, bodies: Sequence[Sealed]) -> dict[str, int]:
    """Do what `store` does, for bodies that are hardly ever known: without a look first."""
    rows = [
        {
            "source": body.source,
            "received_at": body.at,
            "body_sha256": body.sha256,
            "sealed_body": body.body,
            "state": "new",
        }
        for body in bodies
    ]
    found = insert_new(conn, raw_event, rows, returning=(raw_event.c.body_sha256, raw_event.c.id))
    return {row.body_sha256: row.id for row in found}


def store_raw(conn: Connection, keyring: Keyring, *, source: str, body: bytes, at: datetime) -> bool:
    """Keep a body as it came; False when the very same bytes were kept before (`at` in UTC)."""
    sha256 = fingerprint(body)
    # A replay of known bytes must cost a look-up, not an encryption.
    if conn.execute(select(raw_event.c.id).where(raw_event.c.body_sha256 == sha256)).first() is not None:
        return False
    return bool(store(conn, [sealed(keyring, source, body, at=at)]))
