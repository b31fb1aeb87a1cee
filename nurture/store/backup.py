"""How does a SQLite database become one file elsewhere, while it is in use, and how is such a file looked at?

Keys stay out: file and keys together are readable, apart they are not.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nurture.failpoints import reach
from nurture.store.engine import StoreError

if TYPE_CHECKING:
    from pathlib import Path

PAGES = 2048
"""Pages in one step: 8 MiB, then other work gets its turn."""
TAKEN = "backup taken"
"""The setting, in the copy only, that holds when it was made."""
BESIDE = ("-wal", "-shm")


@dataclass(frozen=True)
class Backup:
    """A file that can be restored, and when it was made (UTC; None where it was copied by other means)."""

    path: Path
    taken_at: datetime | None


def back_up(source: Path, target: Path, *, at: datetime) -> int:
    """Copy a database into a new file, readable by its owner alone; give its size in bytes.

    The copy is the state of one moment, whatever others write meanwhile. A kill leaves no target, at most a
    file with `.part` at its end. Raises StoreError when there is a target, no folder for it, or no source.
    """
    if target.exists():
        raise StoreError(f"{target.name} exists already; a backup overwrites none: give it another name")
    if not target.parent.is_dir():
        raise StoreError(f"there is no folder {target.parent}; make it first")
    if not source.is_file():
        raise StoreError(f"there is no database {source.name} in {source.parent}")
    part = target.with_name(target.name + ".part")
    _touch_private(part)
    try:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(part)) as copy:
            # An open reading transaction holds one view; else each write of others would begin the copy anew.
            live.execute("begin")
            live.execute("select count(*) from sqlite_master").fetchone()
            live.backup(copy, pages=PAGES, progress=lambda *_: reach("backup.mid"))
            # One file, without a log beside it that somebody could forget.
            copy.execute("pragma journal_mode=delete")
            moment = at.astimezone(UTC).isoformat()
            copy.execute("insert or replace into setting (name, value) values (?, ?)", (TAKEN, moment))
            copy.commit()
        inspect(part)
        _sync(part)
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"the database could not be copied: {error}") from error
    part.rename(target)
    _sync(target.parent)
    return target.stat().st_size


def inspect(path: Path) -> Backup:
    """Say what a file is; raises StoreError for one that is no whole database of ours."""
    if not path.is_file():
        raise StoreError(f"there is no file {path.name} in {path.parent}")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as found:
            whole = found.execute("pragma integrity_check(1)").fetchone()[0]
            if whole != "ok":
                raise StoreError(f"{path.name} is damaged: {whole}")
            found.execute("select count(*) from ledger_entry").fetchone()
            row = found.execute("select value from setting where name = ?", (TAKEN,)).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path.name} is no database of nurture: {error}") from error
    return Backup(path, datetime.fromisoformat(row[0]) if row else None)


def copy_private(source: Path, target: Path) -> None:
    """Copy a backup to a file readable by its owner alone, through to the disk."""
    _touch_private(target)
    address = f"{source.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as found, closing(sqlite3.connect(target)) as copy:
        found.backup(copy)
    _sync(target)


def put_in_place(fresh: Path, place: Path, aside: Path) -> bool:
    """Make `fresh` the database at `place`; what was there goes aside. Tells whether something was there.

    Between the two renames there is no database, and never two.
    """
    there = place.exists()
    if there:
        with suppress(sqlite3.Error), closing(sqlite3.connect(place)) as old:
            old.execute("pragma wal_checkpoint(truncate)")
        place.rename(aside)
    for name in BESIDE:
        beside = place.with_name(place.name + name)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + name))
    fresh.rename(place)
    _sync(place.parent)
    return there


def _touch_private(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
