"""Which port can we have?"""

from __future__ import annotations

import socket

from nurture.cli.launcher.environment import LOOPBACK
from nurture.cli.launcher.errors import LauncherError

NEIGHBOURS = 20


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether we could listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_for_pages(port: int, host: str) -> None:
    """Raise LauncherError where another program has the port of the public pages.

    It stands in mails already sent, so a taken one is never replaced in silence.
    """
    if not is_free(port, host):
        raise LauncherError(
            f"port {port} of the public pages is taken by another program; stop that one, "
            "or set NURTURE_WEB_PORT and NURTURE_PUBLIC_URL"
        )


def any_free() -> int:
    """Give a port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def near(port: int) -> int:
    """Give the wanted port, or the next free one after it, or any free one."""
    wanted = range(port, min(port + NEIGHBOURS, 65_536))
    return next((candidate for candidate in wanted if is_free(candidate)), 0) or any_free()
