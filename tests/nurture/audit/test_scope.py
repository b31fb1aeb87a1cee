"""What an export shows is said in plain forms, and addresses only when two people stand for it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from consent import canonical
from nurture.audit import AuditError
from nurture.audit.scope import Reveal, Scope, days, period, said

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026", "2025-12-31T23:00:00.000000Z", "2026-12-31T23:00:00.000000Z"),
        ("2026-11", "2026-10-31T23:00:00.000000Z", "2026-11-30T23:00:00.000000Z"),
        ("2026-12", "2026-11-30T23:00:00.000000Z", "2026-12-31T23:00:00.000000Z"),
        ("2026-11-23", "2026-11-22T23:00:00.000000Z", "2026-11-23T23:00:00.000000Z"),
        ("2026-10-25", "2026-10-24T22:00:00.000000Z", "2026-10-25T23:00:00.000000Z"),
        ("2026-01-01..2026-06-30", "2025-12-31T23:00:00.000000Z", "2026-06-30T22:00:00.000000Z"),
    ],
)
def test_periods_are_days_in_the_legal_zone(text: str, begin: str, end: str) -> None:
    since, until = period(text, BERLIN)
    assert since is not None
    assert until is not None
    assert (canonical.utc_text(since), canonical.utc_text(until)) == (begin, end)


def test_a_period_may_be_open_at_one_end() -> None:
    assert period("2026..", BERLIN)[1] is None
    assert period("..2026", BERLIN)[0] is None


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13", "2026-02-30", "26", "2026-1-1", "2026..x", "9999", "2026..2025"]
)
def test_other_spellings_are_refused_by_name(text: str) -> None:
    with pytest.raises(AuditError, match="--period"):
        period(text, BERLIN)


@pytest.mark.parametrize(
    ("by", "second", "reason"),
    [
        ("vera", "vera", "authority"),
        ("vera", "Vera", "authority"),
        ("vera", "", "authority"),
        ("vera@firma.example", "kim", "authority"),
        ("vera", "kim", "  "),
        ("vera", "kim", "x" * 501),
    ],
)
def test_addresses_need_two_people_and_a_reason(by: str, second: str, reason: str) -> None:
    with pytest.raises(AuditError, match="--"):
        Reveal(by, second, reason)


def test_the_description_names_no_person_and_no_reason() -> None:
    scope = Scope(subjects=("a" * 26,), reveal=Reveal("vera", "kim", "request of Erika Muster"))
    said = scope.describe() + repr(scope)
    assert "Erika" not in said
    assert scope.describe() == "begin/end, controller all, 1 people, addresses shown"


@pytest.mark.parametrize(
    ("description", "german", "english"),
    [
        (
            Scope().describe(),
            "gesamter Zeitraum, alle Verantwortlichen, alle Personen, pseudonym",
            "all of it, controller all, all people, pseudonymous",
        ),
        (
            Scope(*period("2026", BERLIN), "a", ("a",), Reveal("vera", "kim", "x")).describe(),
            (
                "ab 2026-01-01 00:00:00 CET bis vor 2027-01-01 00:00:00 CET, Verantwortlicher a, 1 Person, "
                "Adressen gezeigt"
            ),
            "from 2026-01-01 00:00:00 CET to before 2027-01-01 00:00:00 CET, controller a, 1 person, addresses shown",
        ),
        ("person", "eine Person", "person"),
        ("of an older version", "of an older version", "of an older version"),
    ],
)
def test_what_an_entry_says_of_a_copy_is_told_in_the_legal_zone(description: str, german: str, english: str) -> None:
    assert (said(description, "de", BERLIN), said(description, "en", BERLIN)) == (german, english)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("2026", "2026-01-01 – 2026-12-31"),  # noqa: RUF001  typography
        ("2026-11-23", "2026-11-23 – 2026-11-23"),  # noqa: RUF001  typography
        ("2026-03-29..2026-10-25", "2026-03-29 – 2026-10-25"),  # noqa: RUF001  typography
        ("2026..", "2026-01-01 – …"),  # noqa: RUF001  typography
    ],
)
def test_the_cover_names_the_last_day_and_not_the_one_after(text: str, named: str) -> None:
    """Both ends are included, and days end where the legal zone ends them."""
    assert days(*period(text, BERLIN), BERLIN) == named
