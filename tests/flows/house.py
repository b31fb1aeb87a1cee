"""What the flow tests look at: a running installation, through its API."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from nurture.cli.launcher import LauncherError
from nurture.clock import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from nurture.cli.launcher.api import PrefectApi
    from nurture.cli.launcher.supervisor import Up
    from nurture.store.workspace import Workspace

T = TypeVar("T")


def wait_for(question: Callable[[], T], seconds: float = 240.0, pause: float = 0.3) -> T:
    """Ask until the answer is true; fail after a time that only a saturated machine needs."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := question():
                return answer
        except LauncherError:
            # A server that has too much to do now; the deadline judges.
            pass
        assert time.monotonic() < deadline, f"still waiting after {seconds:.0f} s"
        time.sleep(pause)


@dataclass
class Server:
    """A Prefect server, with eyes on it."""

    api: PrefectApi
    env: dict[str, str]

    def events(self, name: str, since: datetime | None = None) -> list[dict[str, Any]]:
        """Give the stored events of a name, oldest first."""
        asked = {"filter": {"event": {"name": [name]}, "order": "ASC"}, "limit": 50}
        page = self.api.post("/events/filter", asked)
        found: list[dict[str, Any]] = list(page["events"])
        while page["next_page"]:
            page = self.api.get(page["next_page"].partition("/api")[2])
            found += page["events"]
        return [one for one in found if since is None or datetime.fromisoformat(one["occurred"]) >= since]

    def emit(self, name: str) -> None:
        """Say what the web app says when it stored events."""
        self.api.emit(name, "nurture.web", {"count": 1}, at=now().isoformat())


@dataclass
class Installation(Server):
    """What `nurture up` made, with eyes on it."""

    running: Up
    ws: Workspace
    scheduled_after: dict[str, float] = field(default_factory=dict)
    """Seconds after the deployment until a deployment had a Scheduled run."""

    def deployments(self) -> dict[str, dict[str, Any]]:
        """Give all deployments by name."""
        return {row["name"]: row for row in self.api.post("/deployments/filter", {"limit": 200})}

    def runs(self, deployment: str, **state: object) -> list[dict[str, Any]]:
        """Give a deployment's runs, oldest first."""
        by_name = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        rows: list[dict[str, Any]] = self.api.post("/flow_runs/filter", {**by_name, "limit": 200, **state})
        return rows

    def triggered(self, deployment: str, since: datetime | None = None) -> list[dict[str, Any]]:
        """Give the runs that an event started."""
        rows = [row for row in self.runs(deployment) if (row["created_by"] or {}).get("type") == "AUTOMATION"]
        return [row for row in rows if since is None or datetime.fromisoformat(row["created"]) >= since]

    def quiet(self, deployment: str) -> bool:
        """Tell whether no run of a deployment is under way, and none comes within some seconds."""
        before = self.runs(deployment)
        time.sleep(4)
        return len(self.runs(deployment)) == len(before) and all(self.ended(run) for run in before)

    def run(self, deployment: str, **parameters: object) -> dict[str, Any]:
        """Start a deployment by hand."""
        found = self.deployments()[deployment]
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        made: dict[str, Any] = self.api.post(f"/deployments/{found['id']}/create_flow_run", body)
        return made

    def state(self, run: dict[str, Any]) -> str:
        """Give the type of a run's state now."""
        return str(self.api.get(f"/flow_runs/{run['id']}")["state_type"])

    def ended(self, run: dict[str, Any]) -> str:
        """Give the type of a run's last state, empty while it goes on."""
        state = self.state(run)
        return state if state in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else ""
