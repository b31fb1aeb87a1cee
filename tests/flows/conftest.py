"""One real installation for all flow tests: hardened server, worker, web app, everything deployed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from nurture.cli.launcher.server import connect, in_process, prefect_server
from nurture.cli.launcher.supervisor import Up, up
from nurture.settings import Settings
from nurture.store.workspace import Workspace, open_workspace
from tests.flows.house import Installation, Server, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Run `nurture up` for the session; its schedules are switched off once they are seen to work."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("NURTURE_", "PREFECT_")) and name != "NURTURE_TEST_POSTGRES":
                patch.delenv(name)
        # Small batches, so that a killed worker leaves some sent and some not.
        patch.setenv("NURTURE_BATCH_SIZE", "5")
        settings = Settings(home=tmp_path_factory.mktemp("nurture"), web_port=0)
        with open_workspace(settings) as workspace, up(settings, version="0.0.1", say=lambda _: None) as running:
            begun = time.monotonic()
            made = Installation(running.api, dict(running.env), running, workspace)
            scheduled = {"type": {"any_": ["SCHEDULED"]}}
            for name, row in made.deployments().items():
                if row["schedules"]:
                    wait_for(lambda name=name: made.runs(name, flow_runs={"state": scheduled}))  # type: ignore[misc]
                    made.scheduled_after[name] = round(time.monotonic() - begun, 1)
                for schedule in row["schedules"]:
                    _switch_off(running, row["id"], schedule["id"])
            yield made


def _switch_off(running: Up, deployment: str, schedule: str) -> None:
    running.api.patch(f"/deployments/{deployment}/schedules/{schedule}", {"active": False})


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a hardened server with no deployments and no worker, for flows called in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("NURTURE_", "PREFECT_")) and name != "NURTURE_TEST_POSTGRES":
                patch.delenv(name)
        with prefect_server(tmp_path_factory.mktemp("bare")) as env:
            api = connect(env)
            yield Server(api, env)
            api.close()


@pytest.fixture
def prefect_here(bare: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Let flows called in this process act on the test's own workspace and report to a real server."""
    with in_process(bare.env):
        monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
        monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
        yield bare
