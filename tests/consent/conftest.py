"""A store with published texts and people who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.consent.people import People

if TYPE_CHECKING:
    from datetime import datetime

    from consent.keys import Keyring
    from nurture.store.engine import Store


@pytest.fixture
def people(store: Store, keyring: Keyring, at: datetime) -> People:
    """Somebody to sign up, on a fresh database with published texts."""
    made = People(store, keyring, at)
    made.publish()
    return made
