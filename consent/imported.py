"""How does a consent proven elsewhere come over? With its evidence, and never against a withdrawal.

The old system's proof (wording, times, addresses of machines) is sealed in the vault; the ledger holds
the commitment to it. The wording names nobody: it is kept beside our own as well, and outlives an erasure.
Who withdrew here stays withdrawn: only a new double opt-in brings them back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from consent import ConsentError, canonical, ledger, texts, vault
from consent.identity import chunks
from consent.schema import consent_state, identity
from consent.states import EMAIL, Standing, State, put
from consent.withdrawal import everything_ended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring


class ImportedConsentError(ConsentError):
    """A consent lacks its wording, or was confirmed later than now. Nothing was recorded."""


@dataclass(frozen=True)
class ImportedConsent:
    """A double opt-in that another system recorded."""

    subject: str
    purpose: str
    controller: str
    text: str
    """The wording shown there; its SHA-256 enters the ledger, the wording the vault and the register of wordings."""
    confirmed_at: datetime
    """When it was confirmed there, aware; consent counts, and grows stale, from then."""
    evidence: Mapping[str, str]
    """What the other system exported; what is missing there is missing here."""


def record(conn: Connection, keyring: Keyring, consents: Sequence[ImportedConsent], *, at: datetime) -> int:
    """Take over proven consents; give how many were recorded.

    Skipped, and not counted: a consent that already stands in any state (also withdrawn), one whose
    person withdrew everything, an erased subject, a repetition in the same call.
    Raises ImportedConsentError for a blank wording or a confirmation after `at`.
    """
    for one in consents:
        if not one.text.strip():
            raise ImportedConsentError("an imported consent has no wording; without it nothing is proven")
        if one.confirmed_at > at:
            raise ImportedConsentError("an imported consent was confirmed in the future; check its time zone")
    ledger.lock(conn)
    new = _new(conn, consents)
    texts.keep_imported(conn, [(one.controller, one.purpose, one.text) for one in new], at=at)
    commitments = [vault.commit({**one.evidence, "wording": one.text}) for one in new]
    entries = [_entry(one, kept, at) for one, kept in zip(new, commitments, strict=True)]
    seqs = ledger.append(conn, entries)
    vault.keep(conn, keyring, [(seq, one.subject, kept) for seq, one, kept in zip(seqs, new, commitments, strict=True)])
    put(
        conn,
        [
            Standing(one.subject, one.controller, EMAIL, one.purpose, State.GIVEN, seq, None, one.confirmed_at, None)
            for seq, one in zip(seqs, new, strict=True)
        ],
    )
    return len(new)


def _new(conn: Connection, consents: Sequence[ImportedConsent]) -> list[ImportedConsent]:
    """Leave out what may not, or need not, be recorded."""
    standing: set[tuple[str, str, str]] = set()
    present: set[str] = set()
    for chunk in chunks(one.subject for one in consents):
        known = select(consent_state.c.subject, consent_state.c.controller, consent_state.c.purpose)
        rows = conn.execute(known.where(consent_state.c.subject.in_(chunk), consent_state.c.channel == EMAIL))
        standing.update((row.subject, row.controller, row.purpose) for row in rows)
        alive = select(identity.c.subject).where(identity.c.subject.in_(chunk), identity.c.erased_at.is_(None))
        present.update(conn.execute(alive).scalars())
    left = {
        controller: everything_ended(conn, (one.subject for one in consents), controller)
        for controller in {one.controller for one in consents}
    }
    new = []
    for one in consents:
        key = (one.subject, one.controller, one.purpose)
        if one.subject in present and one.subject not in left[one.controller] and key not in standing:
            standing.add(key)
            new.append(one)
    return new


def _entry(one: ImportedConsent, kept: vault.Commitment, at: datetime) -> ledger.Entry:
    """Write out the ledger entry of one imported consent."""
    body = {
        "controller": one.controller,
        "channel": EMAIL,
        "purposes": [{"purpose": one.purpose, "text": hashlib.sha256(one.text.encode()).hexdigest(), "version": None}],
        "confirmed": canonical.utc_text(one.confirmed_at),
        "commit": kept.digest,
    }
    return ledger.Entry(ledger.EntryType.IMPORTED, body, at, one.subject)
