"""When may a mail leave? Days, hours, zone and holidays, right in every zone and at every clock change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FURTHEST = 800
"""Days to look ahead. Every calendar of holidays leaves an open day long before."""


@dataclass(frozen=True)
class Calendar:
    """Public holidays of a country, or of one of its parts (`subdivision`, such as BY)."""

    country: str
    subdivision: str | None = None


@dataclass(frozen=True)
class Window:
    """Open on `days` (0 is Monday) from `opens` until before `closes`, wall time, except on holidays."""

    days: frozenset[int]
    opens: time
    closes: time
    zone: str = "lead"
    """`lead`, or the IANA zone that holds for everybody."""
    calendar: Calendar | None = None


ALWAYS = Window(frozenset(range(7)), time(0), time(23, 59, 59, 999999))


def calendar_known(calendar: Calendar) -> bool:
    """Tell whether we have the holidays of a country (and of the part of it that is named)."""
    parts = holidays.list_supported_countries().get(calendar.country)
    return parts is not None and calendar.subdivision in {None, *parts}


def calendar_for(window: Window, country: str | None) -> Calendar | None:
    """Whose holidays hold for a lead? Its own country's where known, else those of the definition."""
    own = window.calendar
    if own is None or country is None or country == own.country:
        return own
    theirs = Calendar(country)
    return theirs if calendar_known(theirs) else own


@lru_cache(maxsize=64)
def _holidays(calendar: Calendar) -> holidays.HolidayBase:
    return holidays.country_holidays(calendar.country, subdiv=calendar.subdivision)


def holiday_name(calendar: Calendar | None, day: date) -> str | None:
    """Name the holiday a day is; None on ordinary days."""
    return None if calendar is None else _holidays(calendar).get(day)


def is_open(window: Window, zone: ZoneInfo, at: datetime, *, country: str | None = None) -> bool:
    """Tell whether the window is open at an aware time, for a lead in `zone` and `country`."""
    local = at.astimezone(zone_of(window, zone))
    if local.weekday() not in window.days or not window.opens <= local.time() < window.closes:
        return False
    return holiday_name(calendar_for(window, country), local.date()) is None


def zone_of(window: Window, zone: ZoneInfo) -> ZoneInfo:
    """Which zone's wall clock counts: the lead's, unless the window names one."""
    return zone if window.zone == "lead" else ZoneInfo(window.zone)


def next_open(window: Window, zone: ZoneInfo, at: datetime, *, country: str | None = None) -> datetime:
    """Give the first moment (UTC) from `at` on, `at` included, at which the window is open.

    `zone` and `country` are the lead's. A wall time that a clock change leaves out opens right after
    the change; one that occurs twice counts both times.
    """
    at = at.astimezone(UTC)
    if is_open(window, zone, at, country=country):
        return at
    there = zone_of(window, zone)
    first = at.astimezone(there).date()
    for ahead in range(FURTHEST):
        day = first + timedelta(days=ahead)
        moments = [m for m in _edges(there, day, window.opens) if m >= at and is_open(window, zone, m, country=country)]
        if moments:
            return min(moments)
    raise ValueError("the send window never opens; every day of it is a holiday or lost in a clock change")


def closing(window: Window, zone: ZoneInfo, at: datetime, *, country: str | None = None) -> datetime:
    """Give the first moment (UTC) after `at` at which a window that is open at `at` is closed.

    Looks a day ahead: an opening that goes on over midnight ends, for the caller, within two days.
    """
    there, end = zone_of(window, zone), at.astimezone(UTC)
    for _ in range(2):
        day = end.astimezone(there).date()
        ends = [
            m for m in _edges(there, day, window.closes) if m > end and not is_open(window, zone, m, country=country)
        ]
        end = min(ends, default=end + timedelta(days=1))
        if window.closes != time.max:
            return end
        end += timedelta(microseconds=1)
        if not is_open(window, zone, end, country=country):
            return end
    return end


def _edges(zone: ZoneInfo, day: date, clock: time) -> list[datetime]:
    """Give the moments of a local day at which a window may open or close: both readings of `clock`, a clock change."""
    # Samoa had no 30 December 2011: both readings of a time on it fall on other days.
    edges = [datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    start = datetime.combine(day, time(0), zone).astimezone(UTC) - timedelta(hours=2)
    end = start + timedelta(hours=28)
    if start.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
        edges.append(_clock_change(zone, start, end))
    # A change in the first hours of the next day is not this day's.
    return [edge for edge in edges if edge.astimezone(zone).date() == day]


def _clock_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime:
    """Find the first second with the new offset, given that the offset differs at both ends."""
    before = start.astimezone(zone).utcoffset()
    while end - start > timedelta(seconds=1):
        middle = start + timedelta(seconds=(end - start) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == before:
            start = middle
        else:
            end = middle
    return end
