"""In which language does a page speak, and how does it name times and purposes? Strings stand in catalogue/."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from babel.dates import format_date, format_datetime

from nurture.web.catalogue import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from nurture.leads.wordings import Purpose

LANGUAGES = ("de", "en")
LONGEST_HEADER = 200


class Words:
    """The catalogue in one language."""

    def __init__(self, language: str, zone: ZoneInfo, purposes: Mapping[str, Purpose] | None = None) -> None:
        """Speak `language`; show times in `zone`, and purposes by the names that consent.yaml gives them."""
        self.language = language
        self.zone = zone
        self.purposes = purposes or {}

    def __call__(self, key: str, **values: str) -> str:
        """Give a string; raises KeyError for an unknown key or a missing value."""
        return WORDS[key][self.language].format_map(values)

    def purpose(self, purpose: str) -> str:
        """Name a purpose: by its title in consent.yaml, by the catalogue, or by its id."""
        held = self.purposes.get(purpose)
        title = held.title.get(self.language) if held else None
        return title or WORDS.get(f"purpose.{purpose}", {}).get(self.language, purpose)

    def purpose_what(self, purpose: str, company: str) -> str:
        """Say what a purpose means; one the catalogue does not know by what its wording is about."""
        known = WORDS.get(f"purpose.{purpose}.what", {}).get(self.language)
        if known is not None:
            return known.format_map({"company": company})
        held = self.purposes.get(purpose)
        return held.about.get(self.language, "") if held else ""

    def day(self, at: datetime) -> str:
        """Show the day of a time in the legal zone, such as `23. November 2026`."""
        return format_date(
            at.astimezone(self.zone), {"de": "d. MMMM y", "en": "d MMMM y"}[self.language], self.language
        )

    def last_day(self, end: datetime) -> str:
        """Show the last day before a time that is no longer part of a span."""
        return self.day(end - timedelta(seconds=1))

    def moment(self, at: datetime) -> str:
        """Show a time in the legal zone, such as `23. November 2026, 09:00 Uhr`."""
        pattern = {"de": "d. MMMM y, HH:mm 'Uhr'", "en": "d MMMM y, HH:mm"}[self.language]
        return format_datetime(at.astimezone(self.zone), pattern, locale=self.language)


def choose(asked: str | None, header: str, default: str) -> str:
    """Choose the language: `?lang=` first, then Accept-Language by its weights, then the default."""
    if asked in LANGUAGES:
        return asked
    best, weight = default, 0.0
    for part in header[:LONGEST_HEADER].split(","):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().lower()[:2]
        try:
            q = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and q > weight:
            best, weight = language, q
    return best
