"""Who clears up runs that nobody ends? Two automations, applied as code at every start.

After a power cut Prefect shows a run as Running for ever, and one whose worker died between claiming
and starting stays Pending and blocks its deployment. A run of ours is harmless to start again: every
flow begins with recovery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nurture.cli.launcher.api import PrefectApi

HEARTBEAT_SECONDS = 180
"""Prefect's default."""
PENDING_SECONDS = 600

ENDED = [f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")]


def _silence(
    name: str, description: str, *, after: list[str], expect: list[str], within: int, why: str
) -> dict[str, Any]:
    """Form an automation that marks a run as crashed when nothing expected followed in time."""
    return {
        "name": name,
        "description": description,
        "enabled": True,
        "trigger": {
            "type": "event",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "after": after,
            "expect": expect,
            "for_each": ["prefect.resource.id"],
            "posture": "Proactive",
            "threshold": 1,
            "within": within,
        },
        "actions": [{"type": "change-flow-run-state", "state": "CRASHED", "message": why}],
    }


AUTOMATIONS = (
    _silence(
        "nurture: runs without heartbeat",
        "A run whose process is gone ends as Crashed.",
        # Also after Running: the first heartbeat comes late, and the process may die before it.
        after=["prefect.flow-run.Running", "prefect.flow-run.heartbeat"],
        expect=["prefect.flow-run.heartbeat", *ENDED],
        within=3 * HEARTBEAT_SECONDS,
        why="no heartbeat",
    ),
    _silence(
        "nurture: runs stuck in Pending",
        "A run that was claimed and never started gives its place free.",
        after=["prefect.flow-run.Pending"],
        expect=["prefect.flow-run.Running", *ENDED],
        within=PENDING_SECONDS,
        why="never started",
    ),
)


def apply(api: PrefectApi) -> None:
    """Create or renew our automations, known by their names."""
    known = {row["name"]: row["id"] for row in api.post("/automations/filter", {"limit": 200})}
    for automation in AUTOMATIONS:
        if automation["name"] in known:
            api.put(f"/automations/{known[automation['name']]}", automation)
        else:
            api.post("/automations/", automation)
