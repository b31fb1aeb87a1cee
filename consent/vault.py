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

from sqlalchemy import insert, select

from consent import ConsentError, canonical, identity, sealing
from consent.schema import ledger_entry, proof_vault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    committed = canonical.decode(row.leaf)["body"].get("commit")
    if not isinstance(committed, str) or not hmac.compare_digest(committed, _digest(row.salt, plaintext)):
        raise EvidenceError(f"the evidence of entry {seq} is not what the ledger committed to")
    opened: dict[str, object] = canonical.decode(plaintext)
    return opened


def _digest(salt: bytes, plaintext: bytes) -> str:
    """Compute the commitment."""
    return hmac.digest(salt, plaintext, "sha256").hex()


def _place(seq: int) -> bytes:
    """Name where sealed evidence stands."""
    return sealing.place("proof_vault", "sealed_evidence", seq)
