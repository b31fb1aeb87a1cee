"""What can go wrong while things are started?"""

from __future__ import annotations

from nurture import NurtureError


class LauncherError(NurtureError):
    """Something could not be started, or died; the message says which, why, and what to do."""


class PortTakenError(LauncherError):
    """Between our look and our server's start, another program came to the port; another one will do."""
