"""What does one installation consist of? Settings, database and keys, opened together."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurture.settings import Settings
from nurture.store.engine import Store, open_store
from nurture.store.keyrings import open_keyring
from nurture.store.migrations import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consent.keys import Keyring


@dataclass(frozen=True)
class Workspace:
    """Everything a unit of work needs from outside."""

    settings: Settings
    store: Store
    keyring: Keyring

    @property
    def home(self) -> Path:
        """The folder that holds it all."""
        return self.settings.home


@contextmanager
def open_workspace(settings: Settings | None = None) -> Iterator[Workspace]:
    """Open the configured workspace and bring its database up to date.

    Makes the home folder (0700), the key file (0600) and the tables when they do not exist. Raises KeyringError
    for a database that was made with other keys than those in the file, or whose key file is missing.
    """
    settings = settings or Settings()
    with open_database(settings) as store:
        yield Workspace(settings, store, open_keyring(store, settings.home / "keys.json"))


@contextmanager
def open_database(settings: Settings) -> Iterator[Store]:
    """Open the configured database without its keys and bring it up to date; makes home folder and tables."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = open_store(settings.database)
    try:
        upgrade(store.engine)
        yield store
    finally:
        store.close()
