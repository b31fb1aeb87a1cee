"""How does an older database become the one in use without sending anything twice?

What it holds as planned may have been sent, and so may what it had not planned yet: sequences went on after the
backup. So the planner is let run over the lost time once more, and everything it would have sent is in doubt.
All mail stands still until the doubts were looked into and a person lets it go on.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from nurture import NurtureError
from nurture.delivery import brakes, gap, homes, switch
from nurture.delivery.brakes import Brake
from nurture.delivery.content.library import Library
from nurture.delivery.provider import open_provider
from nurture.sequences.definition import load
from nurture.sequences.tick import Tick, Ticked
from nurture.store import backup
from nurture.store.engine import StoreError, open_store
from nurture.store.keyrings import open_keyring
from nurture.store.migrations import upgrade
from nurture.store.tables import enrolment
from nurture.store.workspace import Workspace

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.settings import Settings

STEP = timedelta(minutes=15)
"""How closely the lost time is gone through."""


@dataclass(frozen=True)
class Restored:
    """What a restore did: the moment of the backup (UTC), messages now in doubt, where the former database lies."""

    since: datetime
    in_doubt: int
    aside: Path | None


def mark_gap(ws: Workspace, *, since: datetime, at: datetime) -> int:
    """Put into doubt whatever may have been sent between `since` and `at`; give how many messages. Safe to repeat.

    Raises NurtureError for a time to come.
    """
    if since > at:
        raise NurtureError("--since lies ahead; give the time of the backup")
    with ws.store.write() as conn:
        gap.announce(conn, since, at)
    _go_through(ws, since, at)
    with ws.store.write() as conn:
        count = gap.mark(conn, ws, since=since, at=at)
        marker = homes.adopt(conn)
    homes.write(ws.home, marker)
    return count


def _go_through(ws: Workspace, since: datetime, at: datetime) -> None:
    """Plan, as the lost database would have; nothing of it can leave, for all mail is stopped."""
    definitions = load(ws.settings.templates, ws.settings.policies)
    library = Library.load(ws.settings.templates, zone=ws.settings.zone)
    provider = open_provider(ws.settings, ws.keyring)
    moment = since
    while True:
        Tick(ws, definitions, library, provider, sequence=None, at=moment).decide(Ticked())
        if moment >= at:
            return
        with ws.store.read() as conn:
            next_due = conn.execute(
                select(func.min(enrolment.c.due_at)).where(
                    enrolment.c.state == "active", enrolment.c.sequence.in_(list(definitions))
                )
            ).scalar()
        if next_due is None or next_due > at:
            return
        moment = min(at, max(next_due, moment + STEP))


def restore(settings: Settings, path: Path, *, at: datetime, since: datetime | None, as_copy: bool) -> Restored:
    """Put a backup into place of the home's SQLite database; a former one goes aside.

    Everything is done to a copy beside it, which comes into place as a whole: a kill leaves the former database,
    or the marked one. With `as_copy` the database gets an environment id of its own and all mail is stopped by
    the kill switch: what the original planned is never sent from here. Raises StoreError, KeyringError.
    """
    place = sqlite_path(settings)
    found = backup.inspect(path)
    since = since or found.taken_at
    if since is None:
        raise StoreError(
            f"{path.name} does not say when it was made; add --since TIME (when it was copied, or earlier)"
        )
    fresh = place.with_name(place.name + ".restoring")
    backup.copy_private(path, fresh)
    count = 0
    with closing(open_store(f"sqlite:///{fresh}")) as store:
        upgrade(store.engine)
        # Raises before anything is replaced where the keys of this home do not open it.
        ws = Workspace(settings, store, open_keyring(store, settings.home / "keys.json"))
        if as_copy:
            _separate(ws, at)
        else:
            count = mark_gap(ws, since=since, at=at)
        with store.engine.connect() as raw:
            raw.exec_driver_sql("pragma wal_checkpoint(truncate)")
    for name in backup.BESIDE:
        fresh.with_name(fresh.name + name).unlink(missing_ok=True)
    _silence(place, at)
    aside = place.with_name(f"{place.name}.before-{at:%Y%m%dT%H%M%S}")
    moved = backup.put_in_place(fresh, place, aside)
    return Restored(since, count, aside if moved else None)


def _separate(ws: Workspace, at: datetime) -> None:
    """Make a copy that is nobody else: nothing planned is sent, and nothing new before a person says so."""
    with ws.store.write() as conn:
        homes.rename(conn)
        switch.stop(conn, switch.ALL, brakes.ITSELF, "restored as a copy of another installation", at)
        marker = homes.adopt(conn)
    homes.write(ws.home, marker)


def _silence(place: Path, at: datetime) -> None:
    """Let nothing that still holds the former database open send from it."""
    if not place.exists():
        return
    with suppress(DBAPIError), closing(open_store(f"sqlite:///{place}")) as store, store.write() as conn:
        brakes.pull(conn, Brake.COPIED, "replaced by a restored one", at)


def sqlite_path(settings: Settings) -> Path:
    """Give the file of the database; raises StoreError for PostgreSQL, which has tools of its own."""
    parsed = make_url(settings.database)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise StoreError(
            "this database is PostgreSQL: use pg_dump and pg_restore, then 'nurture delivery gap --since TIME' "
            "(docs/how-to/operate.md)"
        )
    return Path(parsed.database)
