"""Copy the database while it is in use, and put a copy back without sending anything twice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The copy to make: one new file, readable by you alone.")
]
CopyArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A copy that 'nurture backup' made; it stays.")]
KeysOption = Annotated[Path | None, typer.Option("--keys", metavar="DIR", help="Copy the keys, too, into this folder.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="T", help="When FILE was made, where it does not say so itself.")
]
CopyOption = Annotated[
    bool, typer.Option("--as-copy", help="The original goes on elsewhere: never send what it planned.")
]
KEYS = ("keys.json", "checkpoint_key.json")


def register(app: typer.Typer) -> None:
    """Add `backup` and `restore`."""
    app.command()(backup)
    app.command()(restore)


def backup(file: FileArgument, keys: KeysOption = None) -> None:
    """Copy the database (SQLite) into FILE while everything runs. Keys stay out of it: keep them elsewhere.

    Example: nurture backup /backup/nurture-monday.db
    """
    import shutil

    from nurture import clock
    from nurture.cli.output import Exit, fail, note
    from nurture.sequences.restoring import sqlite_path
    from nurture.settings import Settings
    from nurture.store.backup import back_up

    settings = Settings()
    if keys is not None and keys.resolve() == file.resolve().parent:
        fail("--keys is the folder of the copy itself; together with the keys it can be read by anybody", Exit.USAGE)
    size = back_up(sqlite_path(settings), file, at=clock.now())
    print(f"written: {file} ({size / 1024 / 1024:.1f} MiB)")
    if keys is None:
        note(f"without {' and '.join(KEYS)} nobody can read it: keep those elsewhere (--keys DIR copies them)")
        return
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in KEYS:
        if (settings.home / name).exists():
            shutil.copy2(settings.home / name, keys / name)
            (keys / name).chmod(0o600)
            print(f"written: {keys / name}")


def restore(file: CopyArgument, since: SinceOption = None, as_copy: CopyOption = False) -> None:
    """Put FILE into place of the database (SQLite); the former one goes aside. All mail stands still afterwards.

    Example: nurture restore /backup/nurture-monday.db
    """
    from nurture import clock
    from nurture.cli.output import moment, note
    from nurture.sequences import restoring
    from nurture.settings import Settings

    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    done = restoring.restore(
        settings, file, at=clock.now(), since=None if since is None else moment(since), as_copy=as_copy
    )
    print(f"restored: the state of {done.since:%Y-%m-%d %H:%M} UTC")
    if done.aside is not None:
        print(f"the former database: {done.aside}")
    if as_copy:
        note("this is a copy with an id of its own: all mail is stopped, and what the original planned never leaves")
        return
    print(f"in doubt: {done.in_doubt} messages that may have been sent since")
    tell_gap()


def tell_gap() -> None:
    """Say what a database that lost some time does not know, and how mail goes on."""
    from nurture.cli.output import note

    note(
        "all mail stands still. This database does not know who withdrew, complained or was erased since: enter that "
        "first (nurture consent withdraw, lead erase; the provider's suppression lists as an import). Then:\n"
        "  nurture delivery reconcile\n"
        "  nurture resume --brake restored --reason ..."
    )
