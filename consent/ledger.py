"""What happened, in which order, and was any of it changed since? The append-only chain of entries.

Leaf: canonical JSON without personal data. leaf_hash = SHA-256(0x00 || leaf); chain_hash =
SHA-256(0x02 || chain_hash of the entry before || leaf_hash); before the first stand 32 zero bytes.
The order is `seq`; times are evidence, never order. Only this module writes the two tables.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from consent import ConsentError, canonical
from consent.schema import ledger_entry, ledger_head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

GENESIS = bytes(32)
"""Chain hash before the first entry."""
LEAF_VERSION = 1
LONGEST_LEAF = 16 * 1024
CHUNK = 1000
"""Entries per statement, written or read: bounds memory."""


class LedgerError(ConsentError):
    """An entry cannot be appended as it is, or the ledger's head is missing."""


class EntryType(StrEnum):
    """What an entry can be about; the fields of each stand in FIELDS and in README.md."""

    REQUESTED = "consent.requested"
    """Somebody asked for mail in a form; the address is not confirmed yet."""
    CONFIRMED = "consent.confirmed"
    """The button behind the link in the confirmation mail was pressed: consent is given."""
    IMPORTED = "consent.imported"
    """A consent proven elsewhere was taken over with its evidence."""
    WITHDRAWN = "consent.withdrawn"
    """The person, or somebody for them, ended the consent."""
    LAPSED = "consent.lapsed"
    """A request was never confirmed in time, or its mail could not be delivered."""
    DECLINED = "consent.declined"
    """The person answered the confirmation mail with "that was not me"."""
    AUTHORISED = "send.authorised"
    """Messages were permitted, each resting on the consent entry it names."""
    BLOCKED = "send.blocked"
    """Messages were refused at the last gate, each with its reason."""
    ERASED = "subject.erased"
    """Identity, keys and evidence of a subject were destroyed."""
    SUPPRESSED = "suppression.added"
    """Addresses were put on the list of those never to be written to."""


FIELDS: Mapping[EntryType, frozenset[str]] = {
    EntryType.REQUESTED: frozenset({"controller", "channel", "purposes", "language", "source", "expires", "commit"}),
    EntryType.CONFIRMED: frozenset({"controller", "channel", "purposes", "request", "lifted", "commit"}),
    EntryType.IMPORTED: frozenset({"controller", "channel", "purposes", "confirmed", "commit"}),
    EntryType.WITHDRAWN: frozenset({"controller", "channel", "purposes", "route", "actor", "ends", "voids"}),
    EntryType.LAPSED: frozenset({"controller", "channel", "purposes", "request", "reason"}),
    EntryType.DECLINED: frozenset({"controller", "channel", "purposes", "request"}),
    EntryType.AUTHORISED: frozenset({"controller", "channel", "purpose", "lease_until", "permits"}),
    EntryType.BLOCKED: frozenset({"controller", "channel", "purpose", "refusals"}),
    EntryType.ERASED: frozenset({"reason"}),
    EntryType.SUPPRESSED: frozenset({"controller", "reason", "count"}),
}
"""Exactly these fields stand in the body of each type; another set is refused."""


@dataclass(frozen=True)
class Entry:
    """Something to append. `at` is aware; `subject` is the random id of the one person it is about."""

    type: str
    body: Mapping[str, Any]
    at: datetime
    subject: str | None = None


@dataclass(frozen=True)
class Head:
    """How long the ledger is and the hash that stands for all of it."""

    size: int
    root_hex: str


@dataclass(frozen=True)
class Recorded:
    """An entry as it stands in the ledger."""

    seq: int
    at: datetime
    type: str
    subject: str | None
    body: dict[str, Any]


@dataclass(frozen=True)
class Verification:
    """What recomputing the whole chain showed."""

    ok: bool
    size: int
    """Entries that the head claims."""
    root: str
    """Chain hash recomputed up to the first problem, hexadecimal."""
    problem: str | None = None
    """What is wrong, naming the first bad entry; None when all is well."""
    bad_seq: int | None = None


def lock(conn: Connection) -> Head:
    """Become the one writer until the transaction ends, and give the head.

    Everything that reads a state and then appends calls this first: two of them never decide on the
    same past. It comes before the first identity or lead that the transaction writes, even where only
    its end appends: two that meet a person and the head in different orders wait for each other for
    ever. PostgreSQL locks the head row; SQLite's writers hold the file since BEGIN IMMEDIATE.
    """
    row = conn.execute(select(ledger_head).where(ledger_head.c.id == 1).with_for_update()).one_or_none()
    if row is None:
        raise LedgerError("the ledger has no head row; run: nurture db upgrade")
    return Head(row.size, row.chain_hash.hex())


def append(conn: Connection, entries: Sequence[Entry]) -> list[int]:
    """Append entries in order, in chunks of one statement each; give their sequence numbers.

    Raises LedgerError for an unknown type, a body with other fields than FIELDS says, an "@" (no
    address may enter), or a leaf beyond 16 KiB. Nothing is appended then.
    """
    if not entries:
        return []
    head = lock(conn)
    chain = bytes.fromhex(head.root_hex)
    rows: list[dict[str, Any]] = []
    for seq, entry in enumerate(entries, head.size):
        leaf = _leaf(seq, entry)
        digest = leaf_hash(leaf)
        chain = chain_hash(chain, digest)
        rows.append(
            {
                "seq": seq,
                "at": entry.at,
                "type": str(entry.type),
                "subject": entry.subject,
                "leaf": leaf,
                "leaf_hash": digest,
                "chain_hash": chain,
            }
        )
    for first in range(0, len(rows), CHUNK):
        _write(conn, rows[first : first + CHUNK])
    return list(range(head.size, head.size + len(rows)))


def _write(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Insert one chunk and move the head onto its last entry, comparing first."""
    # With RETURNING, SQLAlchemy sends the rows as one multi-row statement on both databases.
    conn.execute(insert(ledger_entry).returning(ledger_entry.c.seq), rows).all()
    moved = conn.execute(
        update(ledger_head)
        .where(ledger_head.c.id == 1, ledger_head.c.size == rows[0]["seq"])
        .values(size=rows[-1]["seq"] + 1, chain_hash=rows[-1]["chain_hash"])
    )
    if moved.rowcount != 1:
        raise LedgerError("another writer moved the ledger's head; the transaction must be repeated")


def head(conn: Connection) -> Head:
    """Give the ledger's present length and root."""
    row = conn.execute(select(ledger_head.c.size, ledger_head.c.chain_hash).where(ledger_head.c.id == 1)).one()
    return Head(row.size, row.chain_hash.hex())


def leaf_hash(leaf: bytes) -> bytes:
    """Hash a leaf as RFC 6962 does, so that the same leaf can stand in a Merkle tree later."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def chain_hash(previous: bytes, digest: bytes) -> bytes:
    """Link a leaf hash to everything before it."""
    return hashlib.sha256(b"\x02" + previous + digest).digest()


def read(
    conn: Connection, *, subject: str | None = None, types: Sequence[str] = (), before: int | None = None
) -> Iterator[Recorded]:
    """Give entries in order, in bounded memory; only those about one subject or of some types if asked.

    Entries that name a subject inside a list (send.authorised, send.blocked) are not "about" them here.
    """
    query = select(
        ledger_entry.c.seq, ledger_entry.c.at, ledger_entry.c.type, ledger_entry.c.subject, ledger_entry.c.leaf
    )
    if subject is not None:
        query = query.where(ledger_entry.c.subject == subject)
    if types:
        query = query.where(ledger_entry.c.type.in_([str(item) for item in types]))
    if before is not None:
        query = query.where(ledger_entry.c.seq < before)
    for row in _paged(conn, query):
        yield Recorded(row.seq, row.at, row.type, row.subject, canonical.decode(row.leaf)["body"])


def verify(conn: Connection) -> Verification:
    """Recompute the chain from zero and compare; names the first entry that is not as it was written.

    Checks for each entry its place, that the plain columns say what the leaf says, both hashes, and at
    the end that the head stands on the last entry. Memory does not grow with the ledger.
    """
    claimed = head(conn)
    chain, expected = GENESIS, 0
    for row in _paged(conn, select(ledger_entry).where(ledger_entry.c.seq < claimed.size)):
        problem = _problem(row, expected, chain)
        if problem:
            return Verification(False, claimed.size, chain.hex(), f"entry {expected}: {problem}", expected)
        chain, expected = row.chain_hash, expected + 1
    if expected != claimed.size:
        return Verification(False, claimed.size, chain.hex(), f"entry {expected}: it is missing", expected)
    if chain.hex() != claimed.root_hex:
        last = max(expected - 1, 0)
        return Verification(False, claimed.size, chain.hex(), f"head: its hash is not that of entry {last}", last)
    # One statement, one moment: entries behind the head would be lost to every later check.
    size, stored = conn.execute(
        select(ledger_head.c.size, select(func.count()).select_from(ledger_entry).scalar_subquery())
    ).one()
    if stored != size:
        return Verification(False, claimed.size, chain.hex(), f"entry {size}: it stands behind the head", size)
    return Verification(True, claimed.size, chain.hex())


def _problem(row: Any, expected: int, chain: bytes) -> str | None:  # noqa: ANN401  a row
    """Say what is wrong with one entry, given where it should stand and the chain before it."""
    if row.seq != expected:
        return "it is missing"
    try:
        leaf = canonical.decode(row.leaf)
    except canonical.CanonicalError:
        return "its leaf is no canonical JSON"
    shown = {
        "v": LEAF_VERSION,
        "seq": row.seq,
        "type": row.type,
        "subject": row.subject,
        "at": canonical.utc_text(row.at),
    }
    if not isinstance(leaf, dict) or {key: leaf.get(key) for key in shown} != shown:
        return "its columns say something else than its leaf"
    if leaf_hash(row.leaf) != row.leaf_hash:
        return "its leaf was changed"
    if chain_hash(chain, row.leaf_hash) != row.chain_hash:
        return "it does not follow from the entry before"
    return None


def _paged(conn: Connection, query: Any) -> Iterator[Any]:  # noqa: ANN401  a select of any columns
    """Read by key, page by page: no cursor stays open on a long ledger, on either database."""
    last = -1
    while rows := conn.execute(query.where(ledger_entry.c.seq > last).order_by(ledger_entry.c.seq).limit(CHUNK)).all():
        yield from rows
        last = rows[-1].seq


def _leaf(seq: int, entry: Entry) -> bytes:
    """Write out and check the bytes that are hashed."""
    try:
        wanted = FIELDS[EntryType(entry.type)]
    except ValueError:
        raise LedgerError("an entry of an unknown type; the closed set is consent.ledger.EntryType") from None
    if entry.body.keys() != wanted:
        raise LedgerError(f"{entry.type} needs exactly the fields {', '.join(sorted(wanted))}")
    leaf = canonical.encode(
        {
            "v": LEAF_VERSION,
            "seq": seq,
            "at": canonical.utc_text(entry.at),
            "type": str(entry.type),
            "subject": entry.subject,
            "body": dict(entry.body),
        }
    )
    if b"@" in leaf:
        raise LedgerError(f'{entry.type} holds an "@"; addresses belong into the evidence, which is sealed')
    if len(leaf) > LONGEST_LEAF:
        raise LedgerError(f"{entry.type} is longer than {LONGEST_LEAF} bytes; spread it over several entries")
    return leaf
