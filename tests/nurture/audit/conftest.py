"""A workspace with published texts and people who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nurture.audit.export import Order
from tests.consent.people import People

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.store.workspace import Workspace


@pytest.fixture
def people(workspace: Workspace, at: datetime) -> People:
    """Somebody to sign up, on a fresh database with published texts."""
    made = People(workspace.store, workspace.keyring, at)
    made.publish()
    return made


@pytest.fixture
def order(at: datetime) -> Order:
    """Who makes the export, and when."""
    return Order("vera", at, "0.1.0")


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not in the home folder: addresses may be exported there."""
    return tmp_path_factory.mktemp("outside")
