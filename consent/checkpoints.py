"""How can today's ledger be held against us tomorrow? Signed checkpoints, each shown to continue the last.

A checkpoint binds only once it lies where the operator cannot change it: deliver it (`nurture audit checkpoint`).
The key lies outside the database, in a file of its own.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import insert, select

from consent import ConsentError, ledger, merkle, notes
from consent.schema import checkpoint
from consent.tiles import Tiles
from consent.treeheads import Proof, TreeHead

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

OTHERS = 0o077
"""Permission bits of everybody but the owner."""


class CheckpointError(ConsentError):
    """A checkpoint cannot be signed or proven; the message says why and what to do."""


class InconsistentError(CheckpointError):
    """The ledger does not continue its last checkpoint: something before it was changed or removed."""


@dataclass(frozen=True)
class Checkpoint:
    """A signed state of the ledger."""

    size: int
    """Entries that it covers: all with a smaller number."""
    root: bytes
    note: str
    """The C2SP signed note, as delivered."""
    signed_at: datetime


@dataclass(frozen=True)
class Signer:
    """The key that signs, and the name of the ledger it signs for."""

    origin: str
    private: Ed25519PrivateKey
    memory: Path
    """File beside the key that holds the last note signed: the database's owner may not reach it."""

    @property
    def verifier(self) -> notes.Verifier:
        """The public half; hand it to the auditor once, by a way of its own."""
        return notes.verifier(self.origin, self.private)

    def __repr__(self) -> str:
        """Say nothing of the key."""
        return f"Signer({self.origin})"

    @classmethod
    def load_or_create(cls, path: Path, origin: str) -> Signer:
        """Read the key file, made (0600) where there is none.

        `origin` counts for a new file only: a ledger keeps its name when the company's address changes. Raises
        CheckpointError for a file that others can read, or that holds no key.
        """
        if not path.exists():
            _store(path, origin)
        if path.stat().st_mode & OTHERS:
            raise CheckpointError(f"{path.name} is readable by others; run: chmod 600 {path.name}")
        try:
            held = json.loads(path.read_text("utf-8"))
            private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(held["private"], validate=True))
            named = str(held["origin"])
        except (ValueError, KeyError, TypeError):
            raise CheckpointError(f"{path.name} holds no signing key; restore it from your backup") from None
        if not notes.is_name(named):
            raise CheckpointError(f"{path.name} names an origin with spaces or a plus sign")
        return cls(named, private, path.with_name(f"{path.stem}.last"))

    def remembered(self) -> TreeHead | None:
        """Give what was signed last, as this file and not the database tells; None before the first."""
        try:
            note = self.memory.read_text("utf-8")
        except FileNotFoundError:
            return None
        return TreeHead.parse(notes.open_note(note, [self.verifier]))

    def remember(self, signed: Checkpoint) -> None:
        """Keep a checkpoint as the last one; call it once its transaction is committed."""
        known = self.remembered()
        if known is not None and known.size >= signed.size:
            return
        draft = self.memory.with_name(f".{self.memory.name}.{os.getpid()}.{os.urandom(4).hex()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(signed.note)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.memory)


def _store(path: Path, origin: str) -> None:
    """Write a new key, unless another process just did."""
    if not notes.is_name(origin):
        raise CheckpointError("the name of a ledger has neither spaces nor a plus sign")
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    text = json.dumps({"origin": origin, "private": base64.b64encode(private).decode()}, indent=2)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link never replaces: whoever comes second reads the first one's key.
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def sign(conn: Connection, signer: Signer, *, at: datetime) -> Checkpoint:
    """Sign the ledger as it stands, after showing that it continues the last checkpoint.

    Gives the last checkpoint again when nothing came since. Needs a transaction that writes; afterwards let the
    signer `remember` it. Raises InconsistentError when the tree up to the last checkpoint, in the database or in
    the signer's own memory, is not the one that was signed, CheckpointError for an empty ledger or another
    ledger's key.
    """
    head = ledger.lock(conn)
    if head.size == 0:
        raise CheckpointError("the ledger is empty; there is nothing to sign yet")
    last, tiles = latest(conn), Tiles(conn)
    root = merkle.root(head.size, tiles)
    if root.hex() != head.root_hex:
        raise InconsistentError("the tree is not the one its head names; run: nurture audit verify")
    heads = [signer.remembered()]
    if last is not None:
        heads.append(TreeHead.parse(notes.open_note(last.note, [signer.verifier])))
    for signed in heads:
        if signed is not None:
            _refuse_fork(signed, head.size, root, signer, tiles)
    if last is not None and last.size == head.size:
        return last
    note = notes.sign(str(TreeHead(signer.origin, head.size, root)), signer.origin, signer.private)
    made = Checkpoint(head.size, root, note, at)
    conn.execute(insert(checkpoint).values(size=made.size, root=root, note=note, signed_at=at))
    return made


def _refuse_fork(signed: TreeHead, size: int, root: bytes, signer: Signer, tiles: Tiles) -> None:
    """Refuse to sign what does not continue a checkpoint."""
    if signed.origin != signer.origin:
        raise CheckpointError("the key signs for another ledger")
    try:
        proof = merkle.consistency_proof(signed.size, size, tiles)
        merkle.verify_consistency(signed.size, size, proof, signed.root, root)
    except merkle.ProofError as error:
        raise InconsistentError(
            f"the ledger does not continue checkpoint {signed.size}: {error}. Stop sending and keep a copy. "
            f"Was an older backup restored? Then auditors must hear of it, and {signer.memory.name} be moved away"
        ) from error


def latest(conn: Connection) -> Checkpoint | None:
    """Give the newest checkpoint, or None before the first."""
    row = conn.execute(select(checkpoint).order_by(checkpoint.c.size.desc()).limit(1)).one_or_none()
    return None if row is None else Checkpoint(row.size, row.root, row.note, row.signed_at)


def every(conn: Connection) -> list[Checkpoint]:
    """Give all checkpoints, oldest first."""
    rows = conn.execute(select(checkpoint).order_by(checkpoint.c.size))
    return [Checkpoint(row.size, row.root, row.note, row.signed_at) for row in rows]


def tlog_proof(conn: Connection, seq: int, against: Checkpoint | None = None) -> str:
    """Give the text of a .tlog-proof file: entry `seq` stands in the tree of a checkpoint (the newest one).

    Raises CheckpointError where no checkpoint covers the entry yet, InconsistentError where the proof would not hold:
    the entry or its tile is not as it was written, and nobody shall find that out before a court.
    """
    against = against or latest(conn)
    if against is None or seq >= against.size:
        raise CheckpointError(f"no checkpoint covers entry {seq} yet; run: nurture audit checkpoint")
    hashes = merkle.inclusion_proof(seq, against.size, Tiles(conn))
    digest = merkle.leaf_hash(ledger.leaf(conn, seq))
    said = TreeHead.parse(notes.split(against.note)[0])
    try:
        merkle.verify_inclusion(digest, seq, said.size, hashes, said.root)
    except merkle.ProofError as error:
        raise InconsistentError(f"entry {seq} is not as it was written: {error}; run: nurture audit verify") from None
    return str(Proof(seq, tuple(hashes), against.note))
