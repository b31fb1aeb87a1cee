"""What `nurture handover list` shows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import typer
from sqlalchemy import insert
from typer.testing import CliRunner

from consent import identity
from consent.addresses import Address
from nurture import clock
from nurture.cli import handover as verbs
from nurture.leads.register import NewLead, register
from nurture.store.tables import handover

if TYPE_CHECKING:
    from nurture.store.workspace import Workspace


@pytest.mark.parametrize(("state", "overdue"), [("created", True), ("dead", True), ("accepted", False)])
def test_undelivered_past_the_deadline_is_shown(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, state: str, *, overdue: bool
) -> None:
    """Sales does not know of it, so whoever looks here has to."""
    at = clock.now() - timedelta(days=9)
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
    app = typer.Typer()
    verbs.register(app)
    done = CliRunner().invoke(app, ["handover", "list", "--json"])

    assert [row["overdue"] for row in json.loads(done.stdout)] == [overdue]
