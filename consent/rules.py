"""Did every authorised message rest on a living consent? Answered from the entries alone, in their order.

Keeps, per subject, what is given at this point of the ledger. Knows no database: an auditor's copy and our own
nightly check come to the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from consent import canonical
from consent.entries import EVERYTHING, TRACKING, EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from consent.entries import Recorded

STALE_MONTHS = 24
"""A consent unused for this long no longer carries a send (half-open: exactly 24 months is stale)."""
NEVER = object()
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
    NOT_COVERED = "the wording agreed to does not name the scope of the message"
    """Also where no wording with the hash that was agreed to is known."""
    RESTRICTED = "the person's data was restricted"
    """Art. 18 GDPR: kept, and used for nothing."""
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
    text: str
    """SHA-256 of the wording."""


@dataclass
class _Request:
    """A double opt-in that was asked for and is still open."""

    about: tuple[str, str]
    """Controller and channel."""
    purposes: frozenset[str]
    expires: datetime


@dataclass
class Ledger:
    """What is given, per subject: {(controller, channel, purpose): consent}; memory grows with the people."""

    wordings: Mapping[str, str] | None = None
    """Published wordings by their SHA-256; None: not at hand, so that scopes cannot be judged."""
    given: dict[str, dict[tuple[str, str, str], _Given | None]] = field(default_factory=dict)
    """None: it was withdrawn."""
    requests: dict[str, dict[int, _Request]] = field(default_factory=dict)
    """Open double opt-ins of each subject by their entry: only these can be confirmed."""
    left: set[tuple[str, str, str]] = field(default_factory=set)
    """Who withdrew everything (subject, controller, channel): no import brings anything back."""
    restricted: set[str] = field(default_factory=set)
    entries: int = 0
    authorisations: int = 0
    breaches: int = 0
    listed: list[Breach] = field(default_factory=list)

    def follow(self, entry: Recorded) -> None:
        """Take in the next entry; one that authorises is judged by what stands before it."""
        self.entries += 1
        if entry.type == EntryType.AUTHORISED:
            self._judge(entry)
        elif entry.subject is not None:
            self._change(entry, entry.subject)

    def result(self) -> Replay:
        """Give what was found so far."""
        return Replay(self.entries, self.authorisations, self.breaches, tuple(self.listed))

    def _change(self, entry: Recorded, subject: str) -> None:
        """Follow an entry about one person. A merge changes nothing: what was said of either still stands."""
        if entry.type == EntryType.ERASED:
            self.given.pop(subject, None)
            self.requests.pop(subject, None)
        elif entry.type == EntryType.RESTRICTED:
            self.restricted.add(subject)
        elif entry.type == EntryType.UNRESTRICTED:
            self.restricted.discard(subject)
        elif entry.type == EntryType.REQUESTED:
            body = entry.body
            wanted = frozenset(item["purpose"] for item in body["purposes"])
            expires = canonical.utc_time(body["expires"])
            made = _Request((body["controller"], body["channel"]), wanted, expires)
            self.requests.setdefault(subject, {})[entry.seq] = made
        elif entry.type in {EntryType.CONFIRMED, EntryType.IMPORTED, EntryType.BASIS}:
            self._give(entry, subject)
        elif entry.type in {EntryType.WITHDRAWN, EntryType.LAPSED, EntryType.DECLINED}:
            self._end(entry, subject)

    def _give(self, entry: Recorded, subject: str) -> None:
        """Take a consent as given, unless it could not be: no open request behind it, or brought back by an import."""
        body, held = entry.body, self.given.setdefault(subject, {})
        about = (body["controller"], body["channel"])
        confirmed = entry.type == EntryType.CONFIRMED and self._asked(entry, subject)
        since = canonical.utc_time(body["confirmed"]) if entry.type == EntryType.IMPORTED else entry.at
        for item in body["purposes"]:
            key = (*about, item["purpose"])
            # Only the person's own press of the button brings back what was ended.
            withdrawn = (subject, *about) in self.left or held.get(key, NEVER) is None
            if confirmed or (entry.type != EntryType.CONFIRMED and not withdrawn):
                held[key] = _Given(entry.seq, since, item["text"])

    def _asked(self, entry: Recorded, subject: str) -> bool:
        """Does a confirmation answer an open request of this person for just that, in time? It is then settled."""
        body = entry.body
        request = self._settle(subject, body["request"])
        return (
            request is not None
            and request.about == (body["controller"], body["channel"])
            and request.purposes == {item["purpose"] for item in body["purposes"]}
            and entry.at < request.expires
        )

    def _settle(self, subject: str, seq: int) -> _Request | None:
        """Take a request from the open ones; None where it is none of this person's."""
        mine = self.requests.get(subject, {})
        request = mine.pop(seq, None)
        if not mine:
            self.requests.pop(subject, None)
        return request

    def _end(self, entry: Recorded, subject: str) -> None:
        """End consents and open requests; one that lapses or is declined settles its own."""
        body, held = entry.body, self.given.setdefault(subject, {})
        about, named = (body["controller"], body["channel"]), set(body["purposes"])
        everything = EVERYTHING in named
        ended = {key for key in held if key[:2] == about and (everything or key[2] in named)}
        if entry.type != EntryType.WITHDRAWN:
            for key in ended:
                del held[key]
            self._settle(subject, body["request"])
            return
        held.update(dict.fromkeys(ended | {(*about, purpose) for purpose in named - {EVERYTHING}}))
        for seq, request in list(self.requests.get(subject, {}).items()):
            if request.about == about and (everything or request.purposes & named):
                self._settle(subject, seq)
        if everything:
            self.left.add((subject, *about))

    def _judge(self, entry: Recorded) -> None:
        for permit in entry.body["permits"]:
            self.authorisations += 1
            for fault in self._faults(entry, permit):
                self.breaches += 1
                if len(self.listed) < SHOWN:
                    self.listed.append(Breach(entry.seq, permit[0], permit[1], fault))

    def _faults(self, entry: Recorded, permit: list[Any]) -> list[Fault]:
        """Judge one permit of a send.authorised entry, and count it as a use."""
        _, subject, consent_seq, tracking_seq = permit
        body, held = entry.body, self.given.get(subject, {})
        found = [Fault.RESTRICTED] if subject in self.restricted else []
        consent = held.get((body["controller"], body["channel"], body["purpose"]))
        if consent is None:
            found.append(Fault.NO_CONSENT)
        else:
            if consent.seq != consent_seq:
                found.append(Fault.OTHER_CONSENT)
            if entry.at >= stale_from(consent.last_use):
                found.append(Fault.STALE)
            if not self._covered(body.get("scope"), consent.text):
                found.append(Fault.NOT_COVERED)
            consent.last_use = max(consent.last_use, entry.at)
        tracked = held.get((body["controller"], body["channel"], TRACKING))
        if tracking_seq is not None and (tracked is None or tracked.seq != tracking_seq):
            found.append(Fault.NO_TRACKING)
        return found

    def _covered(self, scope: dict[str, Any] | None, text: str) -> bool:
        """Does the wording with this hash name the scope, where one is asked for?"""
        if scope is None or self.wordings is None:
            return True
        return covers(self.wordings.get(text, ""), scope["words"])


def judged(entries: Iterable[Recorded], wordings: Mapping[str, str] | None = None) -> Replay:
    """Judge every authorisation among these entries, which begin at the first of a ledger.

    `wordings` are the published ones by their SHA-256; without them scopes are not judged.
    """
    state = Ledger(wordings)
    for entry in entries:
        state.follow(entry)
    return state.result()


def covers(body: str, words: Iterable[str]) -> bool:
    """Does a wording name a scope, by one of its words, letter by letter?"""
    return any(word in body for word in words if word)


def stale_from(last_use: datetime) -> datetime:
    """When does a consent last used (or given) then turn stale? 24 calendar months later, UTC."""
    return months_after(last_use, STALE_MONTHS)


def months_after(moment: datetime, months: int) -> datetime:
    """Give the moment so many whole years (a multiple of 12 months) later; the 29th of February becomes the 28th."""
    year = moment.year + months // 12
    try:
        return moment.replace(year=year)
    except ValueError:
        return moment.replace(year=year, day=28)
