"""The real thing: server, worker, deployments, events; nothing is simulated."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import select

from nurture.cli.launcher import automations, deployments
from nurture.clock import now
from nurture.store.tables import flow_summary, handover
from tests.flows import people
from tests.flows.house import Installation, wait_for

if TYPE_CHECKING:
    from nurture.store.workspace import Workspace

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.timeout(900)]

DOWNSTREAM = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "downstream"
BURST = 100


@dataclass
class Told:
    """What happened after events came in, once for a burst and once for a single lead."""

    leads: int
    delivered: int
    qualified_events: list[dict[str, Any]]
    handover_runs: list[dict[str, Any]]
    burst_seconds: float
    downstream_run: dict[str, Any]
    single: str
    delays: dict[str, float]


def moment(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text)


def delivered(ws: Workspace) -> list[str]:
    """Give the public ids of handovers that reached sales, oldest first."""
    with ws.store.read() as conn:
        query = select(handover.c.public_id).where(handover.c.state == "delivered").order_by(handover.c.id)
        return list(conn.execute(query).scalars())


@pytest.fixture(scope="module")
def told(installation: Installation) -> Told:
    """Let a burst qualify, then one more lead with somebody else's flow listening."""
    ws = installation.ws
    # Flows that other tests called in their own process emit real events, and these start real runs.
    wait_for(lambda: installation.quiet("handovers"))
    first = now()
    burst = people.addresses("burst", BURST)
    leads = people.make_leads(ws, burst, at=now())
    begun = now()
    people.request_demo(ws, burst, at=now())
    installation.emit("nurture.events.received")
    wait_for(lambda: len(delivered(ws)) == BURST)
    burst_seconds = (now() - begun).total_seconds()
    # The run tells its events before it ends; those of the burst must be over before somebody else listens.
    wait_for(lambda: all(installation.ended(run) for run in installation.triggered("handovers", first)))
    wait_for(lambda: len(installation.events("nurture.handover.created", first)) >= BURST)
    runs, events = installation.triggered("handovers", first), installation.events("nurture.leads.qualified", first)

    deploy_downstream(installation)
    one = people.addresses("single", 1)
    people.make_leads(ws, one, at=now())
    begun = now()
    people.request_demo(ws, one, at=now())
    installation.emit("nurture.events.received")
    found = wait_for(lambda: installation.triggered("tell-crm", begun))
    wait_for(lambda: installation.ended(found[0]))
    theirs = wait_for(lambda: installation.triggered("tell-crm", begun))[0]
    event = wait_for(lambda: installation.events("nurture.leads.qualified", first)[1:])[0]
    run = wait_for(lambda: installation.triggered("handovers", first)[1:])[0]
    delays = {
        "event stored -> leads.qualified emitted": (moment(event["occurred"]) - begun).total_seconds(),
        "leads.qualified -> handover run exists": (moment(run["created"]) - moment(event["occurred"])).total_seconds(),
        "leads.qualified -> handover run running": (
            moment(run["start_time"]) - moment(event["occurred"])
        ).total_seconds(),
        "event stored -> somebody else's flow done": (moment(theirs["end_time"]) - begun).total_seconds(),
    }
    return Told(len(leads), BURST, events, runs, burst_seconds, theirs, delivered(ws)[-1], delays)


def deploy_downstream(installation: Installation) -> None:
    """Deploy the example as its owner would."""
    answer = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=DOWNSTREAM,
        env={**installation.running.env, "DOWNSTREAM_HOME": str(DOWNSTREAM)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_everything_promised_is_deployed(installation: Installation) -> None:
    expected = deployments.read(installation.running.settings.project)
    assert deployments.missing(installation.running.api, expected) == []


def test_a_missing_deployment_is_noticed(installation: Installation) -> None:
    more = [deployments.Expected("unheard-of", "flows.nothing.at_all", 0, 0)]
    assert deployments.missing(installation.running.api, more) == ["deployment unheard-of"]


def test_deployments_bear_the_version(installation: Installation) -> None:
    assert {row["version"] for name, row in installation.deployments().items() if name != "tell-crm"} == {"0.0.1"}


def test_every_schedule_makes_runs_within_a_minute(installation: Installation) -> None:
    print(f"\nscheduled after: {installation.scheduled_after}")  # noqa: T201  the figure is asked for
    assert set(installation.scheduled_after) == {
        "confirmations", "welcome", "reengage", "signals", "handovers", "housekeeping", "checkpoints",
    }  # fmt: skip
    assert max(installation.scheduled_after.values()) < 60


def test_janitor_automations_are_in_place(installation: Installation) -> None:
    names = {row["name"] for row in installation.running.api.post("/automations/filter", {"limit": 200})}
    assert {automation["name"] for automation in automations.AUTOMATIONS} <= names


def test_strangers_read_nothing(installation: Installation) -> None:
    url = installation.running.env["PREFECT_API_URL"]
    answers = [httpx.post(f"{url}/flow_runs/filter", json={}), httpx.get(f"{url}/version"),
               httpx.post(f"{url}/flow_runs/filter", json={}, auth=("nurture", "guessed"))]  # fmt: skip
    assert {answer.status_code for answer in answers} <= {401, 403}


def test_a_foreign_page_is_refused(installation: Installation) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{installation.running.env['PREFECT_API_URL']}/flow_runs/filter", headers=headers)
    assert answer.status_code >= 400
    assert "access-control-allow-origin" not in answer.headers


def test_writing_needs_a_csrf_token(installation: Installation) -> None:
    env = installation.running.env
    user, _, password = env["PREFECT_API_AUTH_STRING"].partition(":")
    answer = httpx.post(f"{env['PREFECT_API_URL']}/variables/", json={"name": "x", "value": 1}, auth=(user, password))
    assert answer.status_code == 403


def test_the_server_listens_on_loopback_only(installation: Installation) -> None:
    port = int(installation.running.env["PREFECT_SERVER_API_PORT"])
    sockets = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    bound = {line.split()[1] for line in sockets if line.split()[1].endswith(f":{port:04X}")}
    assert {address.partition(":")[0] for address in bound} == {"0100007F"}


def test_the_web_app_answers(installation: Installation) -> None:
    assert httpx.get(installation.running.addresses["health"]).is_success


@pytest.mark.requirement(71)
def test_an_event_hands_leads_to_sales(told: Told) -> None:
    print("\n" + "\n".join(f"{what}: {seconds:.1f} s" for what, seconds in told.delays.items()))  # noqa: T201
    assert told.handover_runs[0]["state_type"] == "COMPLETED"
    assert told.delivered == told.leads


def test_a_burst_is_one_event_and_one_run(told: Told) -> None:
    print(f"\n{BURST} leads, event stored -> all with sales: {told.burst_seconds:.1f} s")  # noqa: T201
    assert [len(event["payload"]["handovers"]) for event in told.qualified_events] == [BURST]
    assert len(told.handover_runs) == 1


def test_somebody_elses_flow_starts_on_a_handover(told: Told) -> None:
    assert told.downstream_run["state_type"] == "COMPLETED"
    assert told.downstream_run["parameters"] == {"handover": told.single}


def test_each_run_leaves_its_counts(told: Told, installation: Installation) -> None:
    with installation.ws.store.read() as conn:
        rows = conn.execute(select(flow_summary.c.counts).where(flow_summary.c.flow == "hand_over")).scalars().all()
    assert {"delivered": BURST} in rows


def test_artifacts_hold_counts(told: Told, installation: Installation) -> None:
    found = installation.running.api.get("/artifacts/nurture-ingest-events/latest")
    assert "| qualified |" in found["data"]


def test_prefect_knows_nobody(told: Told, installation: Installation) -> None:
    home = installation.running.settings.home
    folders = [home / "prefect", home / "logs"]
    marker = people.MARKER.encode()
    guilty = [
        path for folder in folders for path in folder.rglob("*") if path.is_file() and marker in path.read_bytes()
    ]
    assert guilty == []


def test_the_same_prefect_yaml_is_not_applied_twice(installation: Installation) -> None:
    settings = installation.running.settings
    mark = deployments.fingerprint(settings.project, "0.0.1")
    assert deployments.is_applied(settings.home / "prefect", mark)
