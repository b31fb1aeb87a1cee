"""How do Prefect, its worker and the web app run on one machine? Hardened, together, and gone at the end.

This package is the only one beside `flows` and `tasks` that knows Prefect, and it talks to it as a
stranger would: by its command line, its environment and its HTTP interface.
"""

from __future__ import annotations

from nurture.cli.launcher.errors import LauncherError
from nurture.cli.launcher.server import in_process, prefect_server

__all__ = ["LauncherError", "in_process", "prefect_server"]
