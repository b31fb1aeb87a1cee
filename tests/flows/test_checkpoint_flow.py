"""Checkpoints are signed and taken to every target by a flow, against the real server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from consent.schema import checkpoint, checkpoint_delivery, ledger_head
from tests.flows import people
from tests.flows.house import Server, wait_for
from tests.nurture.audit.sabotage import forge_head

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.store.workspace import Workspace

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.timeout(900), pytest.mark.usefixtures("prefect_here")]


@pytest.fixture
def sign_checkpoint() -> Any:
    """The flow; imported late, so that Prefect reads the installation's settings."""
    from flows.checkpoints import sign_checkpoint  # noqa: PLC0415  see above

    return sign_checkpoint


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second disk, the one that is not plugged in first in the list."""
    (tmp_path / "disk").mkdir()
    monkeypatch.setenv("NURTURE_CHECKPOINT_TARGETS", f'["dir:{tmp_path}/away", "dir:{tmp_path}/disk"]')
    return tmp_path / "disk"


def outcomes(ws: Workspace) -> list[tuple[int, str]]:
    """Every delivery, in order."""
    with ws.store.read() as conn:
        rows = conn.execute(select(checkpoint_delivery).order_by(checkpoint_delivery.c.id))
        return [(row.size, row.outcome) for row in rows]


def test_an_empty_ledger_is_not_signed(sign_checkpoint: Any, workspace: Workspace, at: datetime) -> None:
    assert sign_checkpoint(at=at) == {}


def test_a_failing_target_raises_an_alarm_and_holds_up_no_other(
    sign_checkpoint: Any, workspace: Workspace, at: datetime, disk: Path, prefect_here: Server
) -> None:
    people.make_leads(workspace, people.addresses("anchor", 1), at=at)
    assert sign_checkpoint(at=at) == {"delivered": 1, "signed": 1, "undelivered": 1}
    [note] = [path for path in disk.iterdir() if path.name != "public_key.txt"]
    assert outcomes(workspace) == [(int(note.stem), "failed"), (int(note.stem), "delivered")]
    event = wait_for(lambda: prefect_here.events("nurture.alarm.checkpoint_undelivered"))[-1]
    assert event["payload"]["detail"] == "folder missing"


def test_the_next_run_tries_again_where_it_failed_and_nowhere_else(
    sign_checkpoint: Any, workspace: Workspace, at: datetime, disk: Path
) -> None:
    people.make_leads(workspace, people.addresses("again", 1), at=at)
    sign_checkpoint(at=at)
    disk.with_name("away").mkdir()
    assert sign_checkpoint(at=at + timedelta(hours=1)) == {"delivered": 1}
    assert sign_checkpoint(at=at + timedelta(hours=2)) == {}


def test_a_ledger_that_was_changed_is_never_signed_and_raises_an_alarm(
    sign_checkpoint: Any, workspace: Workspace, at: datetime, disk: Path, prefect_here: Server
) -> None:
    people.make_leads(workspace, people.addresses("forged", 1), at=at)
    sign_checkpoint(at=at)
    people.make_leads(workspace, people.addresses("later", 1), at=at)
    forge_head(workspace)
    counts = sign_checkpoint(at=at + timedelta(hours=1))
    assert (counts["refused"], counts.get("signed", 0)) == (1, 0)
    wait_for(lambda: prefect_here.events("nurture.alarm.checkpoint_refused"))
    with workspace.store.read() as conn:
        signed = conn.execute(select(checkpoint.c.size)).scalars().all()
        size = conn.execute(select(ledger_head.c.size)).scalar_one()
    assert max(signed) < size
