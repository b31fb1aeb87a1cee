"""Somebody with a whole life in a fresh installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.nurture.leads.rights.life import Life

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.workspace import Workspace


@pytest.fixture
def life(workspace: Workspace, at: datetime) -> Life:
    """An installation with published wordings and nobody in it."""
    made = Life(workspace, at)
    made.publish()
    return made
