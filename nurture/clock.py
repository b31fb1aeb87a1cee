"""What time is it? The only place that asks the system; everything else takes `at`."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that knows the time, aware and in UTC."""

    def now(self) -> datetime:
        """Give the present, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the present, UTC."""
        return datetime.now(UTC)


class VirtualClock:
    """A clock that stands where it is put; the demo, simulations and tests move it."""

    def __init__(self, start: datetime) -> None:
        """Start at an aware time."""
        self.move_to(start)

    def now(self) -> datetime:
        """Give the time it was put to, UTC."""
        return self._now

    def move_to(self, moment: datetime) -> None:
        """Put the clock to an aware time, earlier or later."""
        if moment.tzinfo is None:
            message = "a virtual clock needs a time with a zone"
            raise ValueError(message)
        self._now = moment.astimezone(UTC)


def now() -> datetime:
    """Give the present, UTC, by the machine's clock."""
    return SystemClock().now()


def stopwatch() -> float:
    """Give seconds since some moment, also those in which the machine was suspended: Linux's `time.monotonic` stops."""
    if not hasattr(time, "clock_gettime"):
        return time.monotonic()
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """Read a length of time such as `30m`, `48h`, `3d` or `2w`; raises ValueError naming the forms."""
    found = re.fullmatch(r"(\d{1,4})([smhdw])", text.strip())
    if found is None:
        message = f"{text!r} is no length of time; write 30m, 48h, 3d or 2w"
        raise ValueError(message)
    return timedelta(**{UNITS[found[2]]: int(found[1])})
