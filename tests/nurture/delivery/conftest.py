"""The small installation as a fixture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.nurture.delivery.world import World

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.workspace import Workspace


@pytest.fixture
def world(workspace: Workspace, at: datetime) -> World:
    """An installation without people yet."""
    return World(workspace, at)
