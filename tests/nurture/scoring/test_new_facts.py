"""Do facts that an import brings reach the scores with the next run?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from nurture.leads.importing.run import import_file
from nurture.scoring import policy as policies
from nurture.scoring.project import cooling, rescore
from nurture.scoring.replay import replay
from nurture.store.tables import lead_score

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.scoring.replay import Replay
    from nurture.store.workspace import Workspace

POLICY = policies.load(Path(__file__).parents[3] / "policies")


def take(workspace: Workspace, content: str, at: datetime) -> None:
    """Import a list."""
    path = workspace.home / "leads.csv"
    path.write_text(content)
    import_file(workspace, path, at=at)


def run(workspace: Workspace, at: datetime) -> list[int]:
    """Score whoever is due, as the run of ingest does."""
    with workspace.store.write() as conn:
        due = cooling(conn, at=at, limit=1000)
        rescore(conn, POLICY, due, at=at)
    return due


def compared(workspace: Workspace) -> Replay:
    """Fold everything from zero."""
    with workspace.store.read() as conn:
        return replay(conn, POLICY)


def fits(workspace: Workspace) -> list[float]:
    """Read the stored points for facts."""
    with workspace.store.read() as conn:
        return list(conn.execute(select(lead_score.c.fit).order_by(lead_score.c.lead_id)).scalars())


def test_imported_leads_are_scored_once(workspace: Workspace, at: datetime) -> None:
    take(workspace, "email,job title\nanna@musterfirma.example,Geschäftsführerin\nbert@musterfirma.example,\n", at)
    assert [len(run(workspace, at)), len(run(workspace, at))] == [2, 0]
    assert fits(workspace)[0] > fits(workspace)[1]


@pytest.mark.requirement(62)
def test_replay_agrees_after_new_facts(workspace: Workspace, at: datetime) -> None:
    take(workspace, "email\nanna@musterfirma.example\n", at)
    run(workspace, at)
    before = fits(workspace)
    later = at + timedelta(hours=1)
    take(workspace, "email,job title\nanna@musterfirma.example,Geschäftsführerin\n", later)
    run(workspace, later)
    found = compared(workspace)
    assert (found.different, found.unscored, found.outdated) == ((), 0, 0)
    assert fits(workspace) > before


def test_replay_agrees_before_the_first_run(workspace: Workspace, at: datetime) -> None:
    take(workspace, "email\nanna@musterfirma.example\n", at)
    assert compared(workspace).different == ()
