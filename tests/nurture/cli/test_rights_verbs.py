"""`nurture lead ...` for the rights of a person, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from nurture.cli import leads
from tests.nurture.leads.rights.life import ADDRESS, Life

if TYPE_CHECKING:
    from datetime import datetime

    from typer.testing import Result

    from nurture.store.workspace import Workspace


@pytest.fixture
def life(workspace: Workspace, at: datetime, monkeypatch: pytest.MonkeyPatch) -> Life:
    """An installation that the command line opens."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    made = Life(workspace, at)
    made.publish()
    return made


def run(*words: str, typed: str | None = None) -> Result:
    """Type a command."""
    app = typer.Typer()
    leads.register(app)
    return CliRunner().invoke(app, ["lead", *words], input=typed)


def test_export_writes_two_files(life: Life, tmp_path: Path) -> None:
    """Readable by their owner only; the command names them and nobody."""
    lead_id = life.lives()
    done = run("export", str(lead_id), "-o", str(tmp_path / "out"), "--by", "vera", "--json")
    files = {kind: Path(path) for kind, path in json.loads(done.stdout).items() if kind != "lead"}

    assert done.exit_code == 0
    assert json.loads(files["json"].read_text("utf-8"))["persons"][0]["address"].lower() == ADDRESS.lower()
    assert files["pdf"].read_bytes().startswith(b"%PDF")
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert "@" not in done.stdout
    assert [entry.type for entry in life.entries("record.exported")] == ["record.exported"]


def test_export_goes_to_the_export_folder(life: Life) -> None:
    """Where retention and erasure look for it."""
    done = run("export", str(life.joins()), "--at", "2026-11-23T10:00")

    assert done.stdout.splitlines()[0] == str(life.ws.home / "exports" / "lead-1-20261123-100000.json")


def test_export_of_nobody_tells_the_remedy(life: Life) -> None:
    """A number that is no lead."""
    done = run("export", "77")

    assert done.exit_code == 1
    assert "lead find" in str(done.exception)
