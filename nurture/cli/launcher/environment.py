"""Under which environment does Prefect run? Closed by default, and nothing of the user's own setup leaks in."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nurture.cli.launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOOPBACK = "127.0.0.1"
USER = "nurture"
DAY = 24 * 60 * 60
KEPT = frozenset({"PREFECT_LOGGING_LEVEL"})
"""The only settings of Prefect that a user's environment may pass on; everything else could open a door."""


def prefect_home(home: Path) -> Path:
    """Give Prefect's own folder in a workspace (0700), made when absent. The user's ~/.prefect is never touched."""
    folder = home / "prefect"
    # One after the other: `parents` would make the home folder readable by everybody.
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return folder


def auth_string(home: Path) -> str:
    """Give `user:password` of the local Prefect server, made at first use and kept in a file that only we can read.

    Raises LauncherError when the file is readable by others or spoilt.
    """
    path = prefect_home(home) / "auth"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise LauncherError("prefect/auth in the home folder is readable by others; chmod 600 it") from None
    else:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{USER}:{secrets.token_urlsafe(32)}\n")
    text = path.read_text("ascii").strip()
    if not text.startswith(f"{USER}:") or "\n" in text:
        raise LauncherError("prefect/auth in the home folder is spoilt; delete it and start again")
    return text


def refuse_open_profile(environ: Mapping[str, str], port: int) -> None:
    """Refuse an environment that points Prefect elsewhere: work would go to a server that we did not harden.

    Raises LauncherError with the remedy.
    """
    url = environ.get("PREFECT_API_URL", "")
    if not url:
        return
    parts = urlsplit(url)
    if parts.hostname in {LOOPBACK, "localhost"} and parts.port == port:
        return
    raise LauncherError(
        "PREFECT_API_URL in the environment points to another Prefect server. `nurture up` brings its own, "
        "with login and on loopback only; unset PREFECT_API_URL. To use your server instead: `prefect deploy --all` "
        "and `prefect worker start --pool nurture` there (docs/how-to)"
    )


def scratch(home: Path) -> Path:
    """Give the folder for temporary files of flow runs (0700): a killed run must leave nothing in /tmp."""
    folder = prefect_home(home) / "tmp"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def hardened(home: Path, port: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment for Prefect's server, worker and every flow run.

    Login and CSRF protection on, browsers of other origins refused, loopback only, no telemetry, old runs and
    events removed, results never pickled, and none of the caller's other PREFECT_* variables.
    """
    auth = auth_string(home)
    origin = f"http://{LOOPBACK}:{port}"
    base = {name: value for name, value in environ.items() if not name.startswith("PREFECT_") or name in KEPT}
    return {
        **base,
        "NURTURE_HOME": str(home),
        "TMPDIR": str(scratch(home)),
        "PREFECT_HOME": str(prefect_home(home)),
        "PREFECT_API_URL": f"{origin}/api",
        "PREFECT_API_AUTH_STRING": auth,
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        # Not --port: with it the pages ask port 4200.
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "DO_NOT_TRACK": "1",
        # We use no blocks (a secret in one would lie beside its key), and listing them costs 5 s of the first start.
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        # One by one, recording a task run costs the server five times as much.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "2",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * DAY),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P3D",
        # A busy SQLite file is waited for; the default gives up after 10 s.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_WEBSERVER_HOST": LOOPBACK,
        "PREFECT_LOGGING_EXTRA_LOGGERS": "nurture",
        "PREFECT_LOGGING_LOG_PRINTS": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_LOGGING_LEVEL": environ.get("PREFECT_LOGGING_LEVEL", "INFO"),
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        # A pickle in the results folder would be code that the worker runs.
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
    }
