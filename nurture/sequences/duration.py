"""How long? `30m`, `48h` and `3d` as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PATTERN = r"^[1-9][0-9]{0,5}[dhm]$"
LONGEST = timedelta(days=3 * 366)


@dataclass(frozen=True)
class Duration:
    """Whole days by the calendar, or an exact span. Days keep the time of day across clock changes."""

    days: int
    exact: timedelta

    def after(self, at: datetime, zone: ZoneInfo) -> datetime:
        """Give the moment (UTC) this long after `at`; days are counted in `zone`."""
        if self.days == 0:
            return (at + self.exact).astimezone(UTC)
        local = at.astimezone(zone)
        return (local + timedelta(days=self.days)).astimezone(UTC)

    @property
    def span(self) -> timedelta:
        """The length with days of 24 hours, for "no longer ago than"."""
        return timedelta(days=self.days) + self.exact

    def __str__(self) -> str:
        """Write it as people do."""
        if self.days:
            return f"{self.days}d"
        minutes = self.exact // timedelta(minutes=1)
        return f"{minutes}m" if minutes % 60 else f"{minutes // 60}h"


def read_duration(value: object) -> Duration:
    """Read `3d`, `48h` or `30m`. Raises ValueError that says how to write one."""
    if isinstance(value, Duration):
        return value
    if not isinstance(value, str) or not re.fullmatch(PATTERN, value, re.ASCII):
        raise ValueError("is no duration; write 3d, 48h or 30m")
    number, unit = int(value[:-1]), value[-1]
    read = {
        "d": Duration(number, timedelta()),
        "h": Duration(0, timedelta(hours=number)),
        "m": Duration(0, timedelta(minutes=number)),
    }[unit]
    if read.span > LONGEST:
        raise ValueError("is longer than three years")
    return read


Span = Annotated[
    Duration,
    BeforeValidator(read_duration),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "description": "3d, 48h or 30m"}),
]
