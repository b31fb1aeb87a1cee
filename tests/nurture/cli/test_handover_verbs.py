"""What `nurture handover` shows and takes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import typer
from sqlalchemy import insert, select
from typer.testing import CliRunner

from consent import identity
from consent.addresses import Address
from nurture import clock
from nurture.cli import handover as verbs
from nurture.leads.register import NewLead, register
from nurture.store.tables import handover, stage_change

if TYPE_CHECKING:
    from datetime import datetime

    from typer.testing import Result

    from nurture.store.workspace import Workspace


def opened(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *, state: str, at: datetime) -> None:
    """Have one handover in a state since then, in the workspace that the command line opens."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.settings.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.store.engine.url.render_as_string(hide_password=False))
    with workspace.store.write() as connection:
        subject = identity.ensure(connection, workspace.keyring, Address.of("a@example.org"), at=at)
        new = NewLead(subject=subject, language="de", source="import")
        lead_id = register(connection, [new], at=at, keyring=workspace.keyring)[subject]
        connection.execute(
            insert(handover).values(
                public_id="abc", lead_id=lead_id, epoch=1, state=state, reason="threshold", policy_version=1,
                created_at=at, deadline_at=at + timedelta(days=2), attempts=1,
            )
        )  # fmt: skip


def run(*words: str) -> Result:
    """Type it."""
    app = typer.Typer()
    verbs.register(app)
    return CliRunner().invoke(app, ["handover", *words])


@pytest.mark.parametrize(("state", "overdue"), [("created", True), ("dead", True), ("accepted", False)])
def test_undelivered_past_the_deadline_is_shown(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, state: str, *, overdue: bool
) -> None:
    """Sales does not know of it, so whoever looks here has to."""
    opened(workspace, monkeypatch, state=state, at=clock.now() - timedelta(days=9))
    done = run("list", "--json")

    assert [row["overdue"] for row in json.loads(done.stdout)] == [overdue]


@pytest.mark.parametrize("by", ["vera@firma.example", "Vera Beispiel", "v" * 33, "vera\n"])
@pytest.mark.parametrize("verb", [("accept", "abc"), ("return", "abc", "--reason", "too_early")])
def test_who_answers_is_a_short_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...], by: str
) -> None:
    """It stays in the history of the lead in clear, where no address and no full name may stand."""
    opened(workspace, monkeypatch, state="delivered", at=clock.now())
    done = run(*verb, "--by", by)
    with workspace.store.read() as connection:
        state = connection.execute(select(handover.c.state)).scalar_one()

    assert (done.exit_code, state) == (64, "delivered")


def test_a_short_name_may_answer(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept as the cause of the lead's stage."""
    opened(workspace, monkeypatch, state="delivered", at=clock.now())
    done = run("accept", "abc", "--by", "vera.b")
    with workspace.store.read() as connection:
        causes = connection.execute(select(stage_change.c.cause)).scalars().all()

    assert (done.exit_code, causes[-1]) == (0, "sales:accepted:vera.b")


def test_a_state_that_does_not_exist_is_wrong_usage(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list would look like an answer."""
    opened(workspace, monkeypatch, state="created", at=clock.now())

    assert (run("list", "--state", "nonsense").exit_code, run("list", "--state", "dead").exit_code) == (64, 0)
    assert "choose one of created, delivered" in run("list", "--state", "nonsense").stderr
