"""When does a legal span end? In the controller's calendar, not in UTC."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DECEMBER = 12


def month_later(start: datetime, zone: ZoneInfo) -> datetime:
    """Give the end (exclusive, UTC) of the month in which a request must be answered (GDPR Art. 12(3)).

    It ends with the day of the next month that bears the same number, or with that month's last day
    where it has none (Regulation 1182/71): the 31st of January counts to the end of February.
    """
    day = _months_on(start.astimezone(zone).date(), 1)
    return _midnight(day + timedelta(days=1), zone)


def months_before(moment: datetime, months: int, zone: ZoneInfo) -> datetime:
    """Give the moment (UTC) so many calendar months earlier, at the same local time; a day too many is the last."""
    local = moment.astimezone(zone)
    return datetime.combine(_months_on(local.date(), -months), local.timetz()).astimezone(UTC)


def end_of_calendar_year(start: datetime, years: int, zone: ZoneInfo) -> datetime:
    """Give the end (exclusive, UTC) of the n-th calendar year after the one that `start` falls into.

    What ended on any day of 2026 is kept for three years until 2030 begins in the legal zone (R25).
    """
    return _midnight(date(start.astimezone(zone).year + years + 1, 1, 1), zone)


def over_since(moment: datetime, years: int, zone: ZoneInfo) -> datetime:
    """Give the time (UTC) before which something must have ended for `end_of_calendar_year` to be past at `moment`."""
    return _midnight(date(moment.astimezone(zone).year - years, 1, 1), zone)


def _months_on(day: date, months: int) -> date:
    count = day.year * DECEMBER + day.month - 1 + months
    year, month = count // DECEMBER, count % DECEMBER + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(0), zone).astimezone(UTC)
