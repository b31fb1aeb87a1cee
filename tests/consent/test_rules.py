"""The rule for sends, from entries alone: no database, as an auditor's copy applies it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consent import canonical, rules
from consent.entries import EVERYTHING, NEWSLETTER, TRACKING, Recorded
from consent.rules import Breach, Fault, Replay

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
KIM = "k" * 26
BODY = {"controller": "default", "channel": "email"}
WORDINGS = {"t": "Musterwerk darf zu Sensoren schreiben."}


def told(*entries: tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], datetime]) -> list[Recorded]:
    """Number entries about one person; those about sends name them inside."""
    return [
        Recorded(seq, rest[0] if rest else AT, kind, None if kind.startswith("send.") else KIM, {**BODY, **body})
        for seq, (kind, body, *rest) in enumerate(entries)
    ]


def asked(*purposes: str, **changed: Any) -> tuple[str, dict[str, Any]]:
    """A request in a form, for seven days."""
    expires = canonical.utc_text(AT + 7 * DAY)
    return "consent.requested", {"purposes": named(*purposes), "expires": expires, **changed}


def pressed(request: int, *purposes: str, at: datetime = AT, **changed: Any) -> tuple[str, dict[str, Any], datetime]:
    """The button behind a request."""
    return "consent.confirmed", {"purposes": named(*purposes), "request": request, **changed}, at


def named(*purposes: str) -> list[dict[str, Any]]:
    return [{"purpose": purpose, "text": "t", "version": 1} for purpose in purposes or (NEWSLETTER,)]


def sent(consent: int, tracking: int | None = None, at: datetime = AT, **changed: Any) -> Any:
    """One message permitted."""
    return "send.authorised", {"purpose": NEWSLETTER, "permits": [["m", KIM, consent, tracking]], **changed}, at


def ended(kind: str, **body: Any) -> tuple[str, dict[str, Any]]:
    return kind, {"purposes": [NEWSLETTER], **body}


def faults(*entries: Any, wordings: dict[str, str] | None = None) -> list[Fault]:
    return [one.fault for one in rules.judged(told(*entries), wordings).listed]


def test_everything_is_counted_and_the_first_hundred_breaches_are_shown() -> None:
    """Entries, messages permitted, breaches; each breach with its entry, message and person."""
    permits = [[f"m{number}", f"s{number}", 1, None] for number in range(150)]
    found = rules.judged(told(asked(), pressed(0), sent(1), sent(1, permits=permits)))

    assert (found.entries, found.authorisations, found.breaches, found.ok) == (4, 151, 150, False)
    assert list(found.listed) == [Breach(3, f"m{number}", f"s{number}", Fault.NO_CONSENT) for number in range(100)]
    assert rules.judged(told(asked(), pressed(0), sent(1))) == Replay(3, 1, 0, ())


NO_CONSENT: dict[str, list[Any]] = {
    "never confirmed": [asked()],
    "confirmed without a request": [("consent.declined", {"purposes": [], "request": 5}), pressed(0)],
    "confirmed twice, in between withdrawn": [asked(), pressed(0), ended("consent.withdrawn"), pressed(0)],
    "confirmed too late": [asked(), pressed(0, at=AT + 7 * DAY)],
    "confirmed for something else": [asked(TRACKING), pressed(0)],
    "confirmed for more": [asked(), pressed(0, NEWSLETTER, TRACKING)],
    "confirmed for another controller": [asked(controller="other"), pressed(0)],
    "confirmed over another channel": [asked(channel="phone"), pressed(0)],
    "withdrawn": [asked(), pressed(0), ended("consent.withdrawn")],
    "withdrawn with everything": [asked(), pressed(0), ended("consent.withdrawn", purposes=[EVERYTHING])],
    "lapsed": [asked(), pressed(0), ended("consent.lapsed", request=0)],
    "declined": [asked(), pressed(0), ended("consent.declined", request=0)],
    "erased": [asked(), pressed(0), ("subject.erased", {})],
    "confirmed after the erasure": [asked(), ("subject.erased", {}), pressed(0)],
    "confirmed after the lapse": [asked(), ended("consent.lapsed", request=0), pressed(0)],
    "confirmed after a withdrawal of one": [asked(NEWSLETTER, TRACKING), ended("consent.withdrawn"),
                                            pressed(0, NEWSLETTER, TRACKING)],
    "confirmed after a withdrawal of all": [asked(), ended("consent.withdrawn", purposes=[EVERYTHING]), pressed(0)],
    "imported after a withdrawal": [ended("consent.withdrawn"),
                                    ("consent.imported", {"purposes": named(), "confirmed": canonical.utc_text(AT)})],
    "imported after a withdrawal of all": [ended("consent.withdrawn", purposes=[EVERYTHING]),
                                           ("consent.imported", {"purposes": named(),
                                                                 "confirmed": canonical.utc_text(AT)})],
    "a customer after a withdrawal": [ended("consent.withdrawn"), ("basis.recorded", {"purposes": named()})],
}  # fmt: skip


@pytest.mark.parametrize("case", NO_CONSENT)
def test_no_consent_stands(case: str) -> None:
    """However it came to be missing."""
    last = len(NO_CONSENT[case]) - 1

    assert faults(*NO_CONSENT[case], sent(last)) == [Fault.NO_CONSENT]


CARRIED: dict[str, list[Any]] = {
    "confirmed": [asked(), pressed(0)],
    "confirmed in the last moment": [asked(), pressed(0, at=AT + 7 * DAY - MOMENT)],
    "a withdrawal of something else": [asked(), pressed(0), ended("consent.withdrawn", purposes=[TRACKING])],
    "a withdrawal from another controller": [asked(), pressed(0),
                                             ended("consent.withdrawn", purposes=[EVERYTHING], controller="other")],
    "a request that another withdrawal left open": [asked(), ended("consent.withdrawn", purposes=[TRACKING]),
                                                    pressed(0)],
    "a request to one, everything withdrawn from another": [
        asked(), ended("consent.withdrawn", purposes=[EVERYTHING], controller="other"), pressed(0)],
    "a second request that lapsed": [asked(), pressed(0), asked(TRACKING),
                                     ended("consent.lapsed", purposes=[TRACKING], request=2)],
    "imported": [("consent.imported", {"purposes": named(), "confirmed": canonical.utc_text(AT)})],
    "imported after a withdrawal from another controller": [
        ended("consent.withdrawn", purposes=[EVERYTHING], controller="other"),
        ("consent.imported", {"purposes": named(), "confirmed": canonical.utc_text(AT)})],
    "a customer": [("basis.recorded", {"purposes": named()})],
    "restricted for a while": [asked(), pressed(0), ("subject.restricted", {}), ("subject.unrestricted", {})],
}  # fmt: skip


@pytest.mark.parametrize("case", CARRIED)
def test_a_consent_carries(case: str) -> None:
    """What does not end it leaves it as it is; a message names the entry that gave it."""
    entries = told(*CARRIED[case])
    given = [one.seq for one in entries if one.type in {"consent.confirmed", "consent.imported", "basis.recorded"}]

    assert faults(*CARRIED[case], sent(given[-1])) == []
    assert faults(*CARRIED[case], sent(99)) == [Fault.OTHER_CONSENT]


def test_a_restricted_person_is_written_to_by_nobody() -> None:
    """Whatever was agreed to."""
    assert faults(asked(), pressed(0), ("subject.restricted", {}), sent(1)) == [Fault.RESTRICTED]


def test_an_open_request_of_the_person_stays_open_beside_another() -> None:
    """Each is settled by its own confirmation."""
    assert faults(asked(), asked(TRACKING), pressed(0), pressed(1, TRACKING), sent(2, 3)) == []


def test_24_months_without_a_message_are_stale() -> None:
    """To the moment. Every message starts them anew, an older one takes nothing back; imports count from the proof."""
    late = AT.replace(year=2028)
    old = ("consent.imported", {"purposes": named(), "confirmed": canonical.utc_text(AT - DAY)})

    assert faults(asked(), pressed(0), sent(1, at=late - MOMENT)) == []
    assert faults(asked(), pressed(0), sent(1, at=late)) == [Fault.STALE]
    assert faults(asked(), pressed(0), sent(1, at=late - DAY), sent(1, at=AT), sent(1, at=late + DAY)) == []
    assert faults(old, sent(0, at=late - DAY)) == [Fault.STALE]
    assert rules.months_after(AT, 12) == AT.replace(year=2027)


def test_tracking_rests_on_a_consent_of_its_own() -> None:
    """The message may go; that it may be measured needs the active tracking consent, by its number."""
    both = asked(NEWSLETTER, TRACKING), pressed(0, NEWSLETTER, TRACKING)
    gone = ended("consent.withdrawn", purposes=[TRACKING])

    assert faults(*both, sent(1, 1)) == []
    assert faults(*both, sent(1, 0)) == [Fault.NO_TRACKING]
    assert faults(*both, gone, sent(1, 1)) == [Fault.NO_TRACKING]
    assert faults(*both, gone, sent(1, None)) == []
    assert faults(asked(), pressed(0), sent(1, 1)) == [Fault.NO_TRACKING]


def test_a_scope_must_be_named_by_the_wording() -> None:
    """By one of its words; a wording that is not at hand names nothing; without wordings nothing can be said."""
    given = asked(), pressed(0)

    def of(*words: str) -> Any:
        return sent(1, scope={"name": "n", "words": list(words)})

    assert faults(*given, of("Pumpen", "Sensoren"), wordings=WORDINGS) == []
    assert faults(*given, of("Pumpen"), wordings=WORDINGS) == [Fault.NOT_COVERED]
    assert faults(*given, of(""), wordings=WORDINGS) == [Fault.NOT_COVERED]
    assert faults(*given, of("Sensoren"), wordings={}) == [Fault.NOT_COVERED]
    assert faults(*given, of("Pumpen")) == []
    assert faults(*given, sent(1), wordings=WORDINGS) == []


def test_a_message_of_another_controller_needs_its_own_consent() -> None:
    """So does another channel or purpose."""
    given = asked(), pressed(0)

    others: list[dict[str, Any]] = [{"controller": "other"}, {"channel": "phone"}, {"purpose": "newsletter.events"}]
    for other in others:
        assert faults(*given, sent(1, **other)) == [Fault.NO_CONSENT]
