"""Does PostgreSQL plan for the tables as they are, right after a large write?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from nurture.delivery.content.library import Library
from nurture.leads.importing.run import import_file
from nurture.sequences.tick import Tick, Ticked
from nurture.store import statistics
from tests.nurture.leads.conftest import WORDED
from tests.nurture.sequences.test_explaining import Silent

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.store.engine import Store
    from tests.nurture.sequences.conftest import World

HEAD = "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LEID,EUID\n"
ROW = "vera{n}@firma.example,Vera,3,2025-06-04 10:00:00,192.0.2.1,2025-06-04 10:05:00,192.0.2.1,{n},a\n"


def known(store: Store) -> set[str]:
    """Of which tables does PostgreSQL know what stands in them? None on SQLite, which is not asked."""
    if store.dialect != "postgresql":
        return set()
    with store.read() as conn:
        return set(conn.execute(text("select distinct tablename from pg_stats where schemaname = 'public'")).scalars())


def test_a_large_import_leaves_statistics_behind(world: World, tmp_path: Path, at: datetime) -> None:
    """Of people, consents and ledger: what the consent gate asks for each mail."""
    path = tmp_path / "leads.csv"
    path.write_text(HEAD + "".join(ROW.format(n=n) for n in range(statistics.MANY)), "utf-8")
    before = known(world.ws.store)
    assert import_file(world.ws, path, at=at, settings=WORDED).counts.consents == statistics.MANY
    wanted = {"identity", "lead", "consent_state", "ledger_entry"} if world.ws.store.dialect == "postgresql" else set()
    assert (before & wanted, known(world.ws.store) & wanted) == (set(), wanted)


def test_a_large_tick_leaves_statistics_behind(world: World, at: datetime) -> None:
    """Of enrolments, decisions and mails, before the first of these mails is sent."""
    world.people(statistics.MANY, at)
    library = Library.load(world.ws.settings.templates, zone=world.ws.settings.zone)
    Tick(world.ws, world.definitions, library, Silent(), sequence=None, at=at).decide(Ticked())
    wanted = {"enrolment", "decision", "message"} if world.ws.store.dialect == "postgresql" else set()
    assert known(world.ws.store) & wanted == wanted


def test_a_small_write_is_left_to_autovacuum(world: World, at: datetime) -> None:
    """It would cost each tick a look at the catalogue, and more."""
    world.people(statistics.MANY, at)
    assert (statistics.refresh(world.ws.store, statistics.MANY - 1), known(world.ws.store)) == ([], set())


def test_what_has_not_grown_is_not_looked_at_again(world: World, at: datetime) -> None:
    """So a table that grows evenly is looked at ever more seldom."""
    world.people(statistics.MANY, at)
    first = statistics.refresh(world.ws.store, statistics.MANY)
    assert ("identity" in first) == (world.ws.store.dialect == "postgresql")
    world.people(10, at, start=statistics.MANY)
    assert statistics.refresh(world.ws.store, statistics.MANY) == []
