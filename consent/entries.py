"""What can stand in the ledger, and as which bytes? The closed set of entries and their leaves.

A leaf is canonical JSON without personal data. Knows no database: whoever checks an export reads this, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from consent import ConsentError, canonical

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

EMAIL = "email"
"""The one channel so far; consent for it unlocks no other."""
NEWSLETTER = "newsletter.product"
"""The mails this product sends unless a sequence says otherwise."""
TRACKING = "email.tracking"
"""Measuring opens and clicks: a consent of its own, which falls with any mail consent."""
EVERYTHING = "*"
"""In place of a purpose: a withdrawal of all of them, also of those nobody asked for yet."""
LEAF_VERSION = 1
LONGEST_LEAF = 16 * 1024


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
    BASIS = "basis.recorded"
    """An existing customer may be written to without consent (s. 7(3) UWG); all four conditions are evidenced."""
    RESTRICTED = "subject.restricted"
    """A person's data is kept but used for nothing (Art. 18 GDPR)."""
    UNRESTRICTED = "subject.unrestricted"
    """The restriction ended."""
    MERGED = "subject.merged"
    """Two subjects turned out to be one person; what was said about either still stands."""
    EXPORTED = "record.exported"
    """Somebody took a copy out: a person's file, a proof, an audit."""
    KEY_ROTATED = "key.rotated"
    """A key has a successor; what the older one made still opens."""
    CLOCK = "clock.anomaly"
    """The wall clock ran back; the order of entries is their number, never their time."""


FIELDS: Mapping[str, frozenset[str]] = {
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
    EntryType.BASIS: frozenset({"controller", "channel", "purposes", "commit"}),
    EntryType.RESTRICTED: frozenset({"reason", "actor"}),
    EntryType.UNRESTRICTED: frozenset({"reason", "actor"}),
    EntryType.MERGED: frozenset({"into", "reason", "actor"}),
    EntryType.EXPORTED: frozenset({"kind", "scope", "count", "actor", "commit"}),
    EntryType.KEY_ROTATED: frozenset({"key", "version"}),
    EntryType.CLOCK: frozenset({"seen", "last"}),
}
"""Exactly these fields stand in the body of each type; another set is refused."""

OPTIONAL: Mapping[str, frozenset[str]] = {
    EntryType.AUTHORISED: frozenset({"scope"}),
    EntryType.BLOCKED: frozenset({"scope"}),
}
"""Fields that may stand there besides."""
_FIELDS = {str(kind): fields for kind, fields in FIELDS.items()}
_OPTIONAL = {str(kind): fields for kind, fields in OPTIONAL.items()}


@dataclass(frozen=True)
class Entry:
    """Something to append. `at` is aware; `subject` is the random id of the one person it is about."""

    type: str
    body: Mapping[str, Any]
    at: datetime
    subject: str | None = None


@dataclass(frozen=True)
class Recorded:
    """An entry as it stands in the ledger."""

    seq: int
    at: datetime
    type: str
    subject: str | None
    body: dict[str, Any]


def write(seq: int, entry: Entry) -> bytes:
    """Write out and check the bytes that are hashed.

    Raises LedgerError for an unknown type, a body with other fields than FIELDS says, an "@" (no address may
    enter), or a leaf beyond 16 KiB.
    """
    kind = str(entry.type)
    wanted = _FIELDS.get(kind)
    if wanted is None:
        raise LedgerError("an entry of an unknown type; the closed set is consent.entries.EntryType")
    if entry.body.keys() != wanted and entry.body.keys() - _OPTIONAL.get(kind, frozenset()) != wanted:
        raise LedgerError(f"{entry.type} needs exactly the fields {', '.join(sorted(wanted))}")
    # Keys in the order of the canonical form; putting the six together by hand takes half the time of encoding them.
    leaf = b'{"at":"%b","body":%b,"seq":%d,"subject":%b,"type":"%b","v":%d}' % (
        canonical.utc_text(entry.at).encode(),
        canonical.encode(dict(entry.body)),
        seq,
        canonical.encode(entry.subject),
        kind.encode(),
        LEAF_VERSION,
    )
    if b"@" in leaf:
        raise LedgerError(f'{entry.type} holds an "@"; addresses belong into the evidence, which is sealed')
    if len(leaf) > LONGEST_LEAF:
        raise LedgerError(f"{entry.type} is longer than {LONGEST_LEAF} bytes; spread it over several entries")
    return leaf


def read(leaf: bytes) -> Recorded:
    """Read a leaf back.

    Raises canonical.CanonicalError for bytes that are not canonical, LedgerError for another version or shape.
    """
    return parse(canonical.decode(leaf))


_SHAPE = {"v": int, "seq": int, "at": str, "type": str, "subject": str | None, "body": dict}


def parse(found: object) -> Recorded:
    """Read an entry from decoded JSON; raises as `read` does. Whether its bytes were canonical does not show here."""
    if not isinstance(found, dict) or found.keys() != _SHAPE.keys():
        raise LedgerError("a leaf has other fields than v, seq, at, type, subject, body")
    if found["v"] != LEAF_VERSION or not all(isinstance(found[name], kind) for name, kind in _SHAPE.items()):
        raise LedgerError("a leaf is of another version or shape")
    return Recorded(found["seq"], canonical.utc_time(found["at"]), found["type"], found["subject"], found["body"])
