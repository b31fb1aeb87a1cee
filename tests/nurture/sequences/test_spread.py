"""A large mailing is laid over its span when it is planned."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from nurture.delivery import gap
from nurture.sequences.planner import plan
from nurture.store.tables import send_batch
from nurture.store.workspace import Workspace
from tests.nurture.sequences.conftest import SHORT, World

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

BATCHES = 20


@pytest.fixture
def spread(world: World, tmp_path: Path) -> World:
    """An installation whose mailings take two hours."""
    policies = tmp_path / "spread" / "policies"
    policies.mkdir(parents=True)
    for path in world.ws.settings.policies.glob("*.yaml"):
        (policies / path.name).write_bytes(path.read_bytes())
    (policies / "sending.yaml").write_text("version: 1\nspread: 2h\n", "utf-8")
    settings = world.ws.settings.model_copy(update={"project": policies.parent})
    made = World(Workspace(settings, world.ws.store, world.ws.keyring), world.folder)
    made.write(SHORT)
    return made


def begins(world: World, at: datetime) -> list[timedelta]:
    """Plan a mail for everybody, one in a batch; give when each may leave, from now."""
    world.people(BATCHES, at)
    world.enrol(at)
    with world.ws.store.write() as conn:
        plan(
            conn, world.ws, world.definitions, world.texts, provider_name="outbox", batch_limit=1, sequence=None,
            at=at, limit=1000,
        )  # fmt: skip
    with world.ws.store.read() as conn:
        return sorted(start - at for start in conn.execute(select(send_batch.c.not_before)).scalars())


def test_batches_lie_over_the_span(spread: World, at: datetime) -> None:
    """None at once with another, none after the span, no long rest between."""
    starts = begins(spread, at)

    assert len(set(starts)) == BATCHES
    assert starts[-1] < timedelta(hours=2)
    assert max(after - before for before, after in pairwise(starts)) < timedelta(minutes=19)


def test_without_a_span_all_may_leave_at_once(world: World, at: datetime) -> None:
    """As shipped."""
    world.write(SHORT)

    assert set(begins(world, at)) == {timedelta(0)}


def test_a_gap_reaches_mails_that_would_lie_behind_it(spread: World, at: datetime) -> None:
    """Planned once more after a restore, they have another place in the span than the one they were sent at."""
    begins(spread, at)
    with spread.ws.store.write() as conn:
        gap.announce(conn, at, at)
        assert gap.mark(conn, spread.ws, since=at, at=at) == BATCHES
