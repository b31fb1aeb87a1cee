"""Which moment does a cell of an export mean? Refused where two readings are possible, never guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


class DateOrder(StrEnum):
    """How 3/4/2025 is to be read."""

    UNKNOWN = "unknown"
    """Not said: only what has one reading is accepted."""
    DAY_FIRST = "day_first"
    """3 April."""
    MONTH_FIRST = "month_first"
    """4 March."""


class UnreadableTime(ValueError):  # noqa: N818  reads as what it is
    """No form we know, or no date of the calendar."""


class AmbiguousTime(ValueError):  # noqa: N818  reads as what it is
    """Two readings are possible."""


_CLOCK = r"(?:[T ,]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?(?:\s*Uhr)?)?"
_ZONE = r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})" + _CLOCK + _ZONE)
_YEAR_SLASH = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})" + _CLOCK + _ZONE)
_GERMAN = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4}|\d{2})" + _CLOCK + _ZONE)
_SLASH = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})" + _CLOCK + _ZONE)
_NAMED = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})" + _CLOCK + _ZONE)
_EPOCH = re.compile(r"\d{10}|\d{13}")
_MONTHS = {
    name: number
    for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)  # noqa: SIM905
}
_MONTH_COUNT = 12
_NOTHING = {"", "0", "-", "--", "null", "none", "n/a", "0000-00-00", "0000-00-00 00:00:00"}


@lru_cache(maxsize=4096)
def read_moment(text: str, zone: ZoneInfo, order: DateOrder = DateOrder.UNKNOWN) -> datetime | None:
    """Read a moment, aware and in UTC; None for an empty cell. A date alone is its first moment in `zone`.

    Reads ISO 8601 with T or space, 2025/03/04, 04.03.2025 10:11, Mar 4, 2025 10:11 am, epoch seconds
    and milliseconds, and 3/4/2025 where the order is known or only one is possible. Times without a
    zone are in `zone`. Raises UnreadableTime or AmbiguousTime.
    """
    text = text.strip()
    if text.lower() in _NOTHING:
        return None
    if _EPOCH.fullmatch(text):
        return _epoch(text)
    year, month, day, rest = _date(text, order)
    return _resolve(year, month, day, rest, zone)


def _epoch(text: str) -> datetime:
    seconds = int(text) / (1000 if len(text) > 10 else 1)  # noqa: PLR2004  digits of epoch seconds until 2286
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


Clock = tuple[str | None, str | None, str | None, str | None, str | None]
"""Hour, minute, second, am or pm, zone."""


def _date(text: str, order: DateOrder) -> tuple[int, int, int, Clock]:
    if match := _ISO.fullmatch(text) or _YEAR_SLASH.fullmatch(text):
        year, month, day, *rest = match.groups()
        return int(year), int(month), int(day), _clock(rest)
    if match := _GERMAN.fullmatch(text):
        day, month, year, *rest = match.groups()
        return int(year) + (2000 if len(year) == 2 else 0), int(month), int(day), _clock(rest)  # noqa: PLR2004
    if match := _SLASH.fullmatch(text):
        first, second, year, *rest = match.groups()
        day_number, month_number = _in_order(int(first), int(second), order)
        return int(year), month_number, day_number, _clock(rest)
    if match := _NAMED.fullmatch(text):
        name, day, year, *rest = match.groups()
        named = _MONTHS.get(name[:3].lower())
        if named is None:
            raise UnreadableTime
        return int(year), named, int(day), _clock(rest)
    raise UnreadableTime


def _clock(parts: list[str | None]) -> Clock:
    hour, minute, second, half, zone = parts
    return hour, minute, second, half, zone


def _in_order(first: int, second: int, order: DateOrder) -> tuple[int, int]:
    """Give day and month."""
    if order is DateOrder.DAY_FIRST:
        return first, second
    if order is DateOrder.MONTH_FIRST:
        return second, first
    if first > _MONTH_COUNT:
        return first, second
    if second > _MONTH_COUNT:
        return second, first
    if first == second:
        return first, second
    raise AmbiguousTime


def _resolve(year: int, month: int, day: int, clock: Clock, zone: ZoneInfo) -> datetime:
    hour, minute, second, half, offset = clock
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= _MONTH_COUNT:
            raise UnreadableTime
        hours = hours % 12 + (12 if half[0] in "pP" else 0)
    try:
        local = datetime(year, month, day, hours, int(minute or 0), int(second or 0))  # noqa: DTZ001  zoned below
    except ValueError:
        raise UnreadableTime from None
    if offset in {"Z", "UTC", "GMT"}:
        return local.replace(tzinfo=UTC)
    if offset:
        return datetime.fromisoformat(f"{local.isoformat()}{offset}").astimezone(UTC)
    zoned = local.replace(tzinfo=zone)
    # The hour of the clock change stands twice on the clock, or never: both have no single reading.
    if zoned.utcoffset() != zoned.replace(fold=1).utcoffset():
        raise AmbiguousTime
    return zoned.astimezone(UTC)
