"""Who lives in a simulated installation? A few people with consent, a few who have yet to confirm; made once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from consent.keys import Keyring
from nurture.settings import PROJECT, Settings
from nurture.store.engine import open_store
from nurture.store.migrations import upgrade
from nurture.store.workspace import Workspace
from tests.nurture.delivery.world import World

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
"""A Monday morning in winter, 09:00 in Berlin."""
PEOPLE = 10
REQUESTS = 3
CAP = 3
"""Mails per lead and day: enough that mails flow, few enough that it bites."""


@dataclass(frozen=True)
class Template:
    """An installation to copy: its database, its keys, its people."""

    database: Path
    keys: Path
    subjects: tuple[str, ...]
    sequence: int
    """Id of the sequence's version."""


def build(folder: Path) -> Template:
    """Make the template in a folder (SQLite)."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = Settings(home=folder, database_url=f"sqlite:///{folder / 'template.db'}")
    store = open_store(chosen.database)
    upgrade(store.engine)
    world = World(Workspace(chosen, store, Keyring.load_or_create(folder / "keys.json")), START)
    subjects = tuple(world.person(tracking=number % 3 == 0) for number in range(PEOPLE))
    for number in range(REQUESTS):
        world.sign_up(f"new{number}")
    # One planned mail makes the sequence and the enrolments; it is sent or not as any other.
    world.plan(*subjects, batch_limit=PEOPLE)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return Template(folder / "template.db", folder / "keys.json", subjects, world.sequence)


def project(folder: Path, *, most: int = CAP) -> Path:
    """Give a project folder whose policies are the product's, but for the cap and the budget of doubts.

    Faults come here by the dozen: the budget would stop what is to meet them.
    """
    made = folder / "project"
    shutil.copytree(PROJECT / "policies", made / "policies")
    (made / "templates").symlink_to(PROJECT / "templates")
    policy = made / "policies" / "frequency.yaml"
    policy.write_text(f"version: 1\nmarketing:\n  most: {most}\n  per: day\n", "utf-8")
    (made / "policies" / "sending.yaml").write_text("version: 1\nin_doubt: {most_percent: 100}\n", "utf-8")
    return made


def copy(template: Template, database: Path) -> None:
    """Put a fresh copy of the template's database in place of another that nobody has open."""
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(template.database, database)
