"""Which deployments should exist, are they there, and when must they be applied again?

`prefect deploy` says "fine" even where it could not load a flow and put a placeholder in its place,
and a bad schedule makes it apply nothing. So what it did is always looked up afterwards.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from nurture.cli.launcher.errors import LauncherError

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.cli.launcher.api import PrefectApi

POOL = "nurture"
STAMP = "deployed.json"
FILE = "prefect.yaml"


@dataclass(frozen=True)
class Expected:
    """What one entry of prefect.yaml promises."""

    name: str
    entrypoint: str
    schedules: int
    triggers: int


def read(project: Path) -> list[Expected]:
    """Read prefect.yaml of the project folder. Raises LauncherError when it is not there."""
    try:
        data = YAML(typ="safe").load((project / FILE).read_text("utf-8"))
    except OSError as error:
        raise LauncherError(f"{FILE} cannot be read in the project folder: {error.strerror}") from error
    return [
        Expected(
            entry["name"], entry["entrypoint"], len(entry.get("schedules") or []), len(entry.get("triggers") or [])
        )
        for entry in data["deployments"]
    ]


def fingerprint(project: Path, version: str) -> str:
    """Give the hash of everything that a deployment is made of: prefect.yaml, the flows' signatures, our version."""
    parts = [(project / FILE).read_bytes(), version.encode()]
    folder = project / "flows"
    parts += [path.read_bytes() for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_applied(home: Path, mark: str) -> bool:
    """Tell whether this fingerprint was applied to this Prefect home."""
    try:
        return bool(json.loads((home / STAMP).read_text("utf-8"))["fingerprint"] == mark)
    except (OSError, ValueError, KeyError):
        return False


def remember(home: Path, mark: str) -> None:
    """Note that a fingerprint was applied."""
    (home / STAMP).write_text(json.dumps({"fingerprint": mark}), "utf-8")


def command() -> list[str]:
    """Give the command that applies all; to be run in the project folder, because entrypoints are modules."""
    return [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", FILE]


def make_pool(api: PrefectApi) -> None:
    """Make the process work pool unless it is there; the worker fills in its template."""
    if not any(pool["name"] == POOL for pool in api.post("/work_pools/filter", {"limit": 200})):
        api.post("/work_pools/", {"name": POOL, "type": "process", "description": "runs of nurture on this machine"})


def missing(api: PrefectApi, expected: list[Expected]) -> list[str]:
    """Name what the server lacks: deployments, active schedules, automations of triggers."""
    found: dict[str, dict[str, Any]] = {
        row["name"]: row for row in api.post("/deployments/filter", {"limit": 200}) if row["work_pool_name"] == POOL
    }
    gaps: list[str] = []
    for want in expected:
        row = found.get(want.name)
        if row is None or row["entrypoint"] != want.entrypoint:
            gaps.append(f"deployment {want.name}")
            continue
        # Schedules removed from the file stay on the server, switched off or not: more is no gap.
        if len(row["schedules"]) < want.schedules:
            gaps.append(f"schedule of {want.name}")
        owned = api.get(f"/automations/related-to/prefect.deployment.{row['id']}") if want.triggers else []
        if len(owned) < want.triggers:
            gaps.append(f"trigger of {want.name}")
    return gaps


def worker_is_online(api: PrefectApi) -> bool:
    """Tell whether a worker polls our pool."""
    rows = api.post(f"/work_pools/{POOL}/workers/filter", {"limit": 50})
    return any(row["status"] == "ONLINE" for row in rows)
