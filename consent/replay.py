"""Did every authorised message rest on a living consent? Answered from the ledger alone.

Reads the entries in order and keeps, per subject, what is given at that point. No other table is
asked: whoever holds a copy of the ledger comes to the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from consent import canonical, ledger
from consent.gate import stale_from
from consent.ledger import EntryType
from consent.states import EVERYTHING, TRACKING

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

SHOWN = 100
"""Breaches listed in a report; all are counted."""


class Fault(StrEnum):
    """What can be wrong with an authorisation."""

    NO_CONSENT = "no active consent stands before it"
    """Never given, or ended by withdrawal, lapse, denial or erasure."""
    OTHER_CONSENT = "it names another entry than the active consent"
    """A consent is active, but not the one the authorisation rests on."""
    STALE = "the consent had been unused for too long"
    """24 months without a send."""
    NO_TRACKING = "it allows tracking without an active tracking consent"
    """The message's own consent may be fine."""


@dataclass(frozen=True)
class Breach:
    """An authorisation that the ledger does not carry."""

    seq: int
    """The send.authorised entry."""
    message_id: str
    subject: str
    fault: Fault


@dataclass(frozen=True)
class Replay:
    """What the replay found."""

    entries: int
    authorisations: int
    """Messages permitted, not entries."""
    breaches: int
    listed: tuple[Breach, ...]
    """The first 100 of them."""

    @property
    def ok(self) -> bool:
        """Does every authorisation rest on a living consent?"""
        return self.breaches == 0


@dataclass
class _Given:
    """A consent that is active at this point of the replay."""

    seq: int
    last_use: datetime


class _State:
    """What is given, per subject: {(controller, channel, purpose): consent}."""

    def __init__(self) -> None:
        """Begin before the first entry: nothing is given."""
        self.given: dict[str, dict[tuple[str, str, str], _Given]] = {}

    def follow(self, entry: ledger.Recorded) -> None:
        """Take in an entry about one subject."""
        body, subject = entry.body, entry.subject or ""
        if entry.type == EntryType.ERASED:
            self.given.pop(subject, None)
        elif entry.type in {EntryType.CONFIRMED, EntryType.IMPORTED}:
            since = canonical.utc_time(body["confirmed"]) if entry.type == EntryType.IMPORTED else entry.at
            for item in body["purposes"]:
                key = (body["controller"], body["channel"], item["purpose"])
                self.given.setdefault(subject, {})[key] = _Given(entry.seq, since)
        elif entry.type in {EntryType.WITHDRAWN, EntryType.LAPSED, EntryType.DECLINED}:
            held = self.given.get(subject, {})
            for key in list(held):
                controller, channel, purpose = key
                ended = purpose in body["purposes"] or EVERYTHING in body["purposes"]
                if ended and (controller, channel) == (body["controller"], body["channel"]):
                    del held[key]

    def faults(self, entry: ledger.Recorded, permit: list[Any]) -> list[Fault]:
        """Judge one permit of a send.authorised entry, and count it as a use."""
        _, subject, consent_seq, tracking_seq = permit
        body, held = entry.body, self.given.get(subject, {})
        found = []
        consent = held.get((body["controller"], body["channel"], body["purpose"]))
        if consent is None:
            found.append(Fault.NO_CONSENT)
        else:
            if consent.seq != consent_seq:
                found.append(Fault.OTHER_CONSENT)
            if entry.at >= stale_from(consent.last_use):
                found.append(Fault.STALE)
            consent.last_use = max(consent.last_use, entry.at)
        tracked = held.get((body["controller"], body["channel"], TRACKING))
        if tracking_seq is not None and (tracked is None or tracked.seq != tracking_seq):
            found.append(Fault.NO_TRACKING)
        return found


def replay(conn: Connection) -> Replay:
    """Check every authorisation in the ledger; memory grows with the people, not with the messages.

    Run `ledger.verify` first: this reads what the entries say, not whether they were changed.
    """
    state = _State()
    entries = authorisations = breaches = 0
    listed: list[Breach] = []
    for entry in ledger.read(conn):
        entries += 1
        if entry.type != EntryType.AUTHORISED:
            state.follow(entry)
            continue
        for permit in entry.body["permits"]:
            authorisations += 1
            for fault in state.faults(entry, permit):
                breaches += 1
                if len(listed) < SHOWN:
                    listed.append(Breach(entry.seq, permit[0], permit[1], fault))
    return Replay(entries, authorisations, breaches, tuple(listed))
