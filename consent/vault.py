"""Where does evidence lie so that it proves something today and can be destroyed tomorrow?

The ledger holds a commitment: HMAC-SHA-256 under a fresh 32-byte salt over the canonical evidence.
Salt and evidence lie here, the evidence sealed under the subject's key. With both, anyone can check
that exactly this evidence was recorded; without them the commitment says nothing about anybody.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from consent import ConsentError, canonical, identity, sealing
from consent.schema import ledger_entry, proof_vault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring

SALT_BYTES = 32


class EvidenceError(ConsentError):
    """Evidence that opens, but is not what its ledger entry committed to."""


@dataclass(frozen=True)
class Commitment:
    """Evidence ready to be recorded: its digest goes into the leaf, the rest into the vault."""

    digest: str
    """64 hexadecimal digits."""
    salt: bytes
    plaintext: bytes

    def __repr__(self) -> str:
        """Say nothing about the evidence."""
        return f"Commitment({self.digest})"


def commit(evidence: Mapping[str, object]) -> Commitment:
    """Commit to evidence with a fresh salt. What is missing is left out, never invented."""
    salt = os.urandom(SALT_BYTES)
    plaintext = canonical.encode(dict(evidence))
    return Commitment(_digest(salt, plaintext), salt, plaintext)


def keep(conn: Connection, keyring: Keyring, rows: Sequence[tuple[int, str, Commitment]]) -> None:
    """Store the evidence of ledger entries: (seq, subject, commitment). Each seq once."""
    keys = identity.subject_keys(conn, keyring, {subject for _, subject, _ in rows})
    values = [
        {
            "seq": seq,
            "subject": subject,
            "salt": kept.salt,
            "sealed_evidence": sealing.seal(keys[subject], kept.plaintext, aad=_place(seq)),
        }
        for seq, subject, kept in rows
    ]
    if values:
        conn.execute(insert(proof_vault), values)


def evidence(conn: Connection, keyring: Keyring, seq: int) -> dict[str, object] | None:
    """Open the evidence of one ledger entry and check it against the commitment; None once erased.

    Raises EvidenceError when vault and ledger disagree.
    """
    row = conn.execute(
        select(proof_vault, ledger_entry.c.leaf).join_from(proof_vault, ledger_entry).where(proof_vault.c.seq == seq)
    ).one_or_none()
    if row is None:
        return None
    key = identity.subject_keys(conn, keyring, {row.subject})[row.subject]
    plaintext = sealing.unseal(key, row.sealed_evidence, aad=_place(seq))
    _check(seq, row.leaf, row.salt, plaintext)
    told: dict[str, object] = canonical.decode(plaintext)
    return told


@dataclass(frozen=True)
class Opened:
    """Evidence of one entry with all that somebody needs to check the commitment themselves."""

    seq: int
    type: str
    at: datetime
    leaf: bytes
    leaf_hash: bytes
    salt: bytes
    plaintext: bytes
    """Canonical JSON."""

    def __repr__(self) -> str:
        """Say nothing about the evidence."""
        return f"Opened({self.seq})"


def opened(conn: Connection, keyring: Keyring, subjects: Iterable[str]) -> list[Opened]:
    """Open all evidence of these subjects, in the order of the ledger, each checked against its commitment.

    Raises EvidenceError when vault and ledger disagree.
    """
    found: list[Opened] = []
    for chunk in identity.chunks(subjects):
        rows = conn.execute(
            select(proof_vault, ledger_entry.c.type, ledger_entry.c.at, ledger_entry.c.leaf, ledger_entry.c.leaf_hash)
            .join_from(proof_vault, ledger_entry)
            .where(proof_vault.c.subject.in_(chunk))
        ).all()
        keys = identity.subject_keys(conn, keyring, {row.subject for row in rows})
        for row in rows:
            plaintext = sealing.unseal(keys[row.subject], row.sealed_evidence, aad=_place(row.seq))
            _check(row.seq, row.leaf, row.salt, plaintext)
            found.append(Opened(row.seq, row.type, row.at, row.leaf, row.leaf_hash, row.salt, plaintext))
    return sorted(found, key=lambda one: one.seq)


def destroy(conn: Connection, subjects: Iterable[str]) -> int:
    """Destroy the evidence of these subjects; give how many entries lost theirs. The ledger stays as it is."""
    return sum(
        conn.execute(delete(proof_vault).where(proof_vault.c.subject.in_(chunk))).rowcount
        for chunk in identity.chunks(subjects)
    )


def _check(seq: int, leaf: bytes, salt: bytes, plaintext: bytes) -> None:
    """Raise EvidenceError unless the leaf commits to exactly this evidence."""
    committed = canonical.decode(leaf)["body"].get("commit")
    if not isinstance(committed, str) or not hmac.compare_digest(committed, _digest(salt, plaintext)):
        raise EvidenceError(f"the evidence of entry {seq} is not what the ledger committed to")


def _digest(salt: bytes, plaintext: bytes) -> str:
    """Compute the commitment."""
    return hmac.digest(salt, plaintext, "sha256").hex()


def _place(seq: int) -> bytes:
    """Name where sealed evidence stands."""
    return sealing.place("proof_vault", "sealed_evidence", seq)
