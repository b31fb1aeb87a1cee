"""What was signed reaches every target once, and what no target has is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from consent.checkpoints import InconsistentError
from consent.notes import Verifier, open_note
from consent.schema import checkpoint_delivery
from nurture.audit import anchoring
from nurture.audit.targets import Folder
from tests.nurture.audit.sabotage import forge_head

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.workspace import Workspace
    from tests.consent.people import People

GUIDE = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "how-to" / "audit.md"


@pytest.fixture
def disk(tmp_path: Path) -> Folder:
    """A second disk that is there."""
    (tmp_path / "disk").mkdir()
    return Folder(tmp_path / "disk")


@pytest.fixture
def away(tmp_path: Path) -> Folder:
    """A disk that is not."""
    return Folder(tmp_path / "away")


def test_the_first_checkpoint_names_the_ledger_for_good(workspace: Workspace, people: People, at: datetime) -> None:
    """As docs/how-to/audit.md warns: after the public_url of then."""
    people.confirmed()
    first = anchoring.sign(workspace, at=at)
    moved = replace(workspace, settings=workspace.settings.model_copy(update={"public_url": "https://other.example"}))
    people.confirmed("lee@firma.example")
    second = anchoring.sign(moved, at=at)
    assert first.note.startswith("127.0.0.1:8321/default\n")
    assert (second.origin, second.public_key) == (first.origin, first.public_key)
    guide = GUIDE.read_text("utf-8")
    assert f"`{first.origin}`" in guide
    assert "Set `public_url` and `controller` before the first checkpoint." in guide


def test_what_is_delivered_is_signed_by_the_key_beside_it(
    workspace: Workspace, people: People, disk: Folder, at: datetime
) -> None:
    people.confirmed()
    anchor = anchoring.sign(workspace, at=at)
    anchoring.deliver_all(workspace, [disk], anchor, at=at)
    key = Verifier.parse((disk.folder / "public_key.txt").read_text("utf-8"))
    text = open_note((disk.folder / "2.txt").read_text("utf-8"), [key])
    assert text.split("\n")[:2] == [anchor.origin, "2"]


def test_a_target_that_fails_holds_up_no_other(
    workspace: Workspace, people: People, disk: Folder, away: Folder, at: datetime
) -> None:
    people.confirmed()
    done = anchoring.deliver_all(workspace, [away, disk], anchoring.sign(workspace, at=at), at=at)
    assert [(one.taken, one.detail) for one in done] == [(False, "folder missing"), (True, "written")]


def test_only_what_is_missing_is_delivered_again(
    workspace: Workspace, people: People, disk: Folder, away: Folder, at: datetime
) -> None:
    people.confirmed()
    anchor = anchoring.sign(workspace, at=at)
    anchoring.deliver_all(workspace, [away, disk], anchor, at=at)
    away.folder.mkdir()
    again = anchoring.deliver_all(workspace, [away, disk], anchor, at=at + timedelta(hours=1))
    assert [(one.target, one.taken) for one in again] == [(away.label, True)]


def test_every_delivery_is_remembered(
    workspace: Workspace, people: People, disk: Folder, away: Folder, at: datetime
) -> None:
    people.confirmed()
    anchoring.deliver_all(workspace, [away, disk], anchoring.sign(workspace, at=at), at=at)
    with workspace.store.read() as conn:
        rows = conn.execute(select(checkpoint_delivery).order_by(checkpoint_delivery.c.id)).all()
    assert [(row.size, row.target, row.outcome) for row in rows] == [
        (2, away.label, "failed"),
        (2, disk.label, "delivered"),
    ]


def test_without_new_entries_the_checkpoint_stays(workspace: Workspace, people: People, at: datetime) -> None:
    people.confirmed()
    assert anchoring.sign(workspace, at=at) == anchoring.sign(workspace, at=at + timedelta(hours=1))


def test_a_ledger_that_was_changed_is_not_signed(workspace: Workspace, people: People, at: datetime) -> None:
    people.confirmed()
    anchoring.sign(workspace, at=at)
    forge_head(workspace)
    with pytest.raises(InconsistentError):
        anchoring.sign(workspace, at=at)


def test_status_tells_age_exposure_and_each_target(
    workspace: Workspace, people: People, disk: Folder, away: Folder, at: datetime
) -> None:
    subject = people.confirmed()
    anchoring.deliver_all(workspace, [away, disk], anchoring.sign(workspace, at=at), at=at)
    people.ask(subject)
    with workspace.store.read() as conn:
        told = anchoring.status(conn, [away, disk], at=at + timedelta(minutes=90))
    assert told["checkpoint"]["age_seconds"] == 5400
    assert (told["entries"], told["checkpoint"]["entries_since"], told["exposed_entries"]) == (3, 1, 1)
    assert [(one["delivered_size"], one["last"]["outcome"]) for one in told["targets"]] == [
        (0, "failed"),
        (2, "delivered"),
    ]


def test_status_before_the_first_checkpoint(workspace: Workspace, people: People, disk: Folder, at: datetime) -> None:
    people.confirmed()
    with workspace.store.read() as conn:
        told = anchoring.status(conn, [disk], at=at)
    assert (told["checkpoint"], told["exposed_entries"], told["targets"][0]["last"]) == (None, 2, None)


def test_the_ledger_keeps_its_name(workspace: Workspace, people: People, at: datetime) -> None:
    """A company that moves to another domain signs on under the first one, else old checkpoints would be orphans."""
    people.confirmed()
    first = anchoring.sign(workspace, at=at)
    moved = workspace.settings.model_copy(update={"public_url": "https://new.example"})
    people.confirmed("lee@firma.example")
    later = anchoring.sign(type(workspace)(moved, workspace.store, workspace.keyring), at=at)
    assert first.origin == later.origin == "127.0.0.1:8321/default"
