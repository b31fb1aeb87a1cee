"""Is somebody firing enquiries at us? Caps per inbox, per network and over all, within one hour.

Beyond them the form says so and keeps what was typed: an enquiry is never thrown away behind a thank-you.
They are counted in memory: the public edge is one process, a restart forgives an hour, and no address is
stored for it. Sign-ups have their caps in the database (consent/caps.py).
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_network
from threading import Lock

HOUR = timedelta(hours=1)
MOST_KEYS = 50_000


class Room(StrEnum):
    """Is there room for one more enquiry?"""

    FREE = "free"
    """It was counted."""
    OWN_FULL = "own_full"
    """This inbox, or this network, had as many as it may within the hour."""
    ALL_FULL = "all_full"
    """All together had."""


class Brake:
    """Counts the enquiries of the past hour."""

    def __init__(self, *, per_inbox: int = 5, per_network: int = 100, overall: int = 2_000) -> None:
        """Allow so many per inbox, per /24 or /64 and in sum, per hour."""
        self.per_inbox = per_inbox
        self.per_network = per_network
        self.overall = overall
        self._all: deque[datetime] = deque()
        self._each: dict[bytes | str, deque[datetime]] = {}
        self._lock = Lock()

    def room(self, inbox: bytes, network: str | None, *, at: datetime) -> Room:
        """Count one enquiry where there is room for it; `inbox` is any key of the mailbox.

        Loopback is not capped by itself: behind a proxy that is not named as trusted everybody
        comes from there, and one flood would close the form to all.
        """
        with self._lock:
            own = [(self._of(inbox, at), self.per_inbox)]
            if network is not None and not ip_network(network).is_loopback:
                own.append((self._of(network, at), self.per_network))
            _forget(self._all, at)
            if len(self._all) >= self.overall:
                return Room.ALL_FULL
            if any(len(times) >= most for times, most in own):
                return Room.OWN_FULL
            for times in (self._all, *(times for times, _ in own)):
                times.append(at)
            return Room.FREE

    def _of(self, key: bytes | str, at: datetime) -> deque[datetime]:
        if key not in self._each and len(self._each) >= MOST_KEYS:
            del self._each[next(iter(self._each))]
        times = self._each.setdefault(key, deque())
        _forget(times, at)
        return times


def _forget(times: deque[datetime], at: datetime) -> None:
    while times and times[0] <= at - HOUR:
        times.popleft()
