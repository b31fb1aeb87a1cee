"""Does `nurture score` tell what the rows say?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import typer
from sqlalchemy import insert
from typer.testing import CliRunner

from consent import identity
from consent.addresses import Address
from nurture.cli import score
from nurture.leads import register
from nurture.scoring import policy, project
from nurture.settings import Settings
from nurture.store.tables import event, lead_score
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    score.register(made)
    made.command("other")(lambda: None)
    return made


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A home folder with one lead who asked for a demo."""
    monkeypatch.setenv("NURTURE_HOME", str(tmp_path))
    monkeypatch.delenv("NURTURE_DATABASE_URL", raising=False)
    with open_workspace(Settings(home=tmp_path)) as ws, ws.store.write() as conn:
        subject = identity.ensure(conn, ws.keyring, Address.of("erika@musterfirma.example"), at=AT)
        lead_id = register.register(conn, [register.NewLead(subject, "de", "form")], at=AT)[subject]
        row = {"key": "1:a", "kind": "demo_requested", "lead_id": lead_id, "at": AT, "received_at": AT}
        conn.execute(insert(event), [row | {"verdict": "human", "verdict_reason": "declared", "attributes": {}}])
        project.rescore(conn, policy.load(ws.settings.policies), [lead_id], at=AT)
    return lead_id


def test_show_names_every_point(app: typer.Typer, scored: int) -> None:
    done = CliRunner().invoke(app, ["score", "show", str(scored), "--at", AT.isoformat(), "--json"])
    told = json.loads(done.stdout)
    assert (told["shown"], told["temperature"]) == (25, "cold")
    assert [(each["rule"], each["points"], each["reason"]) for each in told["contributions"]] == [
        ("demo", 25, "demo_requested")
    ]


def test_show_knows_the_past(app: typer.Typer, scored: int) -> None:
    done = CliRunner().invoke(app, ["score", "show", str(scored), "--at", "2026-11-22", "--json"])
    assert json.loads(done.stdout)["contributions"] == []


def test_an_unknown_lead_is_an_error(app: typer.Typer, scored: int) -> None:
    assert CliRunner().invoke(app, ["score", "show", str(scored + 1)]).exit_code == 1


def test_replay_finds_nothing(app: typer.Typer, scored: int) -> None:
    done = CliRunner().invoke(app, ["score", "replay", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["differences"]) == (0, 0)


def test_replay_ends_with_4_when_rows_differ(app: typer.Typer, scored: int, tmp_path: Path) -> None:
    with open_workspace(Settings(home=tmp_path)) as ws, ws.store.write() as conn:
        conn.execute(lead_score.update().values(score=99))
    done = CliRunner().invoke(app, ["score", "replay", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["different"]) == (4, [scored])


def test_check_counts_once(app: typer.Typer, scored: int) -> None:
    assert json.loads(CliRunner().invoke(app, ["score", "check", "--json"]).stdout)["counted_once"] == 90


def test_the_schema_is_printed(app: typer.Typer) -> None:
    assert json.loads(CliRunner().invoke(app, ["score", "schema"]).stdout)["title"] == "ScoringPolicy"
