"""The edge on a fresh workspace with published wordings, and visitors to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from consent import texts, wording
from consent.schema import ledger_entry
from nurture.clock import VirtualClock
from nurture.store.tables import raw_event
from nurture.web.app import create_app
from tests.nurture.web.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from starlette.applications import Starlette

    from nurture.store.workspace import Workspace


@pytest.fixture
def clock(at: datetime) -> VirtualClock:
    """A clock that the test moves."""
    return VirtualClock(at)


@pytest.fixture
def ready(workspace: Workspace, at: datetime) -> Workspace:
    """A workspace with the standard wordings."""
    settings = workspace.settings
    with workspace.store.write() as conn:
        texts.publish(conn, wording.standard(settings.controller, settings.company), at=at)
    return workspace


@pytest.fixture
def app(ready: Workspace, clock: VirtualClock) -> Starlette:
    """The application, without the floor under its answers."""
    return create_app(ready, clock, answer_floor=0)


@pytest.fixture
def visitor(app: Starlette, clock: VirtualClock) -> Iterator[Visitor]:
    """Somebody at 203.0.113.7."""
    made = Visitor(app, clock)
    yield made
    made.close()


@pytest.fixture
def ledger(workspace: Workspace) -> Callable[[], list[str]]:
    """The types of all ledger entries so far."""

    def read() -> list[str]:
        with workspace.store.read() as conn:
            return list(conn.execute(select(ledger_entry.c.type).order_by(ledger_entry.c.seq)).scalars())

    return read


@pytest.fixture
def raw_count(workspace: Workspace) -> Callable[[], int]:
    """How many raw events were stored."""

    def count() -> int:
        with workspace.store.read() as conn:
            return conn.execute(select(func.count()).select_from(raw_event)).scalar_one()

    return count
