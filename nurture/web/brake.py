"""Is somebody firing sign-ups at us? Caps per network and over all, within one hour (A8).

The caps per address are consent's and lie in the database; these are a second net against one
sender with many addresses. They are counted in memory: the public edge is one process, a restart
forgives an hour, and no IP address is stored for it.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from ipaddress import ip_network
from threading import Lock

HOUR = timedelta(hours=1)
MOST_NETWORKS = 50_000


class Brake:
    """Counts sign-ups of the past hour."""

    def __init__(self, *, per_network: int = 100, overall: int = 2_000) -> None:
        """Allow so many per /24 or /64 and in sum, per hour."""
        self.per_network = per_network
        self.overall = overall
        self._all: deque[datetime] = deque()
        self._each: dict[str, deque[datetime]] = {}
        self._lock = Lock()

    def allows(self, network: str | None, *, at: datetime) -> bool:
        """Count one sign-up and say whether it may go on.

        Loopback is not capped by itself: behind a proxy that is not named as trusted everybody
        comes from there, and one flood would close the form to all.
        """
        with self._lock:
            own = self._own(network, at)
            _forget(self._all, at)
            if len(self._all) >= self.overall or (own is not None and len(own) >= self.per_network):
                return False
            self._all.append(at)
            if own is not None:
                own.append(at)
            return True

    def _own(self, network: str | None, at: datetime) -> deque[datetime] | None:
        if network is None or ip_network(network).is_loopback:
            return None
        if network not in self._each and len(self._each) >= MOST_NETWORKS:
            del self._each[next(iter(self._each))]
        own = self._each.setdefault(network, deque())
        _forget(own, at)
        return own


def _forget(times: deque[datetime], at: datetime) -> None:
    while times and times[0] <= at - HOUR:
        times.popleft()
