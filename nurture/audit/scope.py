"""What does an export show? A period, a controller, some people or all; addresses only when two stand for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from consent import canonical
from nurture.audit import AuditError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

NAME = re.compile(r"[a-z0-9_.-]{1,32}")
LONGEST_REASON = 500
DESCRIBED = re.compile(r"(\S+)/(\S+), controller (.+), (all|\d+) people, (addresses shown|pseudonymous)")
"""What `Scope.describe` writes."""
ONE_PERSON = "person"
"""The scope of a copy that a person asked for."""


@dataclass(frozen=True)
class Reveal:
    """Why addresses and evidence are shown, and which two people stand for it. The reason never enters the ledger."""

    by: str
    second: str
    reason: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse one person under two names' places, and a reason that says nothing."""
        if not (NAME.fullmatch(self.by) and NAME.fullmatch(self.second)):
            raise AuditError("--by and --second are short names or roles in lower case, such as vera; no addresses")
        if self.by.casefold() == self.second.casefold():
            raise AuditError("--second must be somebody else: addresses are shown when two stand for it")
        if not self.reason.strip() or len(self.reason) > LONGEST_REASON:
            raise AuditError(f"--reason says in at most {LONGEST_REASON} characters who wants to see addresses and why")


@dataclass(frozen=True)
class Scope:
    """What is shown. The chain of entries itself is always whole, else it could not be verified."""

    since: datetime | None = None
    until: datetime | None = None
    """Half-open: what happened at `until` is not in it."""
    controller: str | None = None
    subjects: tuple[str, ...] = ()
    """Empty for all people."""
    reveal: Reveal | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Give the values that the queries of `facts` take."""
        return {
            "since": canonical.utc_text(self.since) if self.since else None,
            "until": canonical.utc_text(self.until) if self.until else None,
            "controller": self.controller,
            "everybody": int(not self.subjects),
        }

    def describe(self) -> str:
        """Name it for the ledger and the cover: no person, no reason."""
        begin = canonical.utc_text(self.since) if self.since else "begin"
        end = canonical.utc_text(self.until) if self.until else "end"
        people = f"{len(self.subjects)} people" if self.subjects else "all people"
        shown = "addresses shown" if self.reveal else "pseudonymous"
        return f"{begin}/{end}, controller {self.controller or 'all'}, {people}, {shown}"


def days(since: datetime | None, until: datetime | None, zone: ZoneInfo) -> str:
    """Name the first and the last day of a half-open period, both included; … where it is open."""
    last = until - timedelta(microseconds=1) if until else None
    begin, end = (f"{one.astimezone(zone):%Y-%m-%d}" if one else "…" for one in (since, last))
    return f"{begin} – {end}"  # noqa: RUF001  typography


def said(description: str, language: str, zone: tzinfo = UTC) -> str:
    """Say to people what `describe` names, also that of an older entry; times in `zone`."""
    found = DESCRIBED.fullmatch(description)
    if found is None:
        return "eine Person" if language == "de" and description == ONE_PERSON else description
    begin, end, controller, people, shown = found.groups()
    words = ("ab", "bis vor") if language == "de" else ("from", "to before")
    parts = [
        f"{word} {datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
        for word, text in zip(words, (begin, end), strict=True)
        if "T" in text
    ]
    if language != "de":
        period = " ".join(parts) or "all of it"
        return f"{period}, controller {controller}, {'1 person' if people == '1' else f'{people} people'}, {shown}"
    whose = {"all": "alle Personen", "1": "1 Person"}.get(people, f"{people} Personen")
    return ", ".join(
        [
            " ".join(parts) or "gesamter Zeitraum",
            "alle Verantwortlichen" if controller == "all" else f"Verantwortlicher {controller}",
            whose,
            "Adressen gezeigt" if shown == "addresses shown" else "pseudonym",
        ]
    )


def period(text: str, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Read `2026`, `2026-11`, `2026-11-23` or `FROM..TO` (both days included) as half-open times in the legal zone.

    Raises AuditError naming the forms.
    """
    first, cut, last = text.partition("..")
    begin = _span(first, zone)[0] if first or not cut else None
    if not cut:
        return _span(first, zone)
    end = _span(last, zone)[1] if last else None
    if begin and end and begin >= end:
        raise AuditError("--period ends before it begins")
    return begin, end


def _span(text: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    parts = text.split("-") if re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", text) else ["none"]
    try:
        year, month, day = (*map(int, parts), 1, 1)[:3]
        begin = datetime(year, month, day, tzinfo=zone)
        if len(parts) == 1:
            end = datetime(year + 1, 1, 1, tzinfo=zone)
        elif len(parts) == 2:  # noqa: PLR2004  year and month
            end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
        else:
            # By the calendar: a day of the clock change has 23 or 25 hours.
            end = datetime.combine(begin.date() + timedelta(days=1), time(), tzinfo=zone)
    except (ValueError, OverflowError):
        raise AuditError("--period is written 2026, 2026-11, 2026-11-23 or 2026-01-01..2026-06-30") from None
    return begin.astimezone(UTC), end.astimezone(UTC)
