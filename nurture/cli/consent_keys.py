"""How do keys get successors? `nurture consent keys`."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from nurture.cli.output import Exit, fail, happened, note, print_json, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from consent.keys import Keyring
    from nurture.store.engine import Store

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
At = Annotated[str | None, typer.Option(help="As if at this time (ISO 8601).")]
FILE = "keys.json"


def register(verbs: typer.Typer) -> None:
    """Add `nurture consent keys ...`."""
    keys = typer.Typer(help="Keys: which versions there are, and how they get successors.", no_args_is_help=True)
    keys.command("status")(status)
    keys.command("rotate")(rotate)
    keys.command("forget")(forget)
    verbs.add_typer(keys, name="keys")


def status(json: Json = False) -> None:
    """Show each key's versions and what still rests on former ones. Example: nurture consent keys status."""
    from consent import rotation
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as conn:
        left = rotation.behind(conn, workspace.keyring)
        versions = {name: sorted(held) for name, held in workspace.keyring.keys.items()}
    if json:
        print_json({"versions": versions, "behind": vars(left)})
        return
    resting = {"master": f"{left.master} people", "index": f"{left.index} people, {left.suppressed} suppressed"}
    rows = [(name, ", ".join(map(str, held)), resting.get(name, "")) for name, held in versions.items()]
    table("", ["key", "versions, the last writes", "under former versions"], rows)


def rotate(
    which: Annotated[str, typer.Option(help="master, index, link or inbox.")],
    at: At = None,
    json: Json = False,
) -> None:
    """Give a key a successor and rewrite what rests on it. Example: nurture consent keys rotate --which master.

    Refused while `nurture up` runs here; stop workers elsewhere, too: a running process knows only the
    keys it started with. Stopped in the middle, the same command goes on and makes no further version. Back up
    keys.json afterwards: the copy from before opens nothing that is written from now on.
    """
    from consent import rotation
    from nurture.failpoints import reach
    from nurture.store import keyrings
    from nurture.store.workspace import open_workspace

    if which not in set(rotation.Key):
        fail("--which is one of master, index, link, inbox", Exit.USAGE)
    key, now = rotation.Key(which), happened(at)
    with open_workspace() as workspace, _alone(workspace.home):
        keyring, store = workspace.keyring, workspace.store
        resumed = _unfinished(store, keyring, now)
        if not resumed:
            keyring = rotation.begin(workspace.home / FILE, key)
            keyrings.remember(store, keyring)
        with store.write() as conn:
            rotation.announce(conn, keyring, at=now)
        rewritten = 0
        while True:
            with store.write() as conn:
                done = rotation.step(conn, keyring, at=now)
            if not done:
                break
            rewritten += done
            reach("keyrotate.mid")
        with store.read() as conn:
            left = rotation.behind(conn, keyring)
    if json:
        print_json({"resumed": resumed, "version": keyring.newest(key), "rewritten": rewritten, "behind": vars(left)})
        return
    begun = "finished what an earlier run began" if resumed else f"{key} has version {keyring.newest(key)} now"
    print(f"{begun}; {rewritten} people rewritten")
    if left.suppressed:
        note(f"{left.suppressed} suppressed addresses of nobody we know stay under a former key: keep it.")
    note("Back up keys.json now, and start nurture up anew.")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep `nurture up` out meanwhile: with the former keys it would not find people that were rewritten."""
    from nurture.cli.launcher.errors import LauncherError
    from nurture.cli.launcher.lock import only_one

    try:
        with only_one(home):
            yield
    except LauncherError as error:
        fail(f"{error}; stop it first, a running process knows only the keys it started with")


def _unfinished(store: Store, keyring: Keyring, at: datetime) -> bool:
    """Did an earlier rotation stop before its end? Then its entry is written here."""
    from consent import rotation

    with store.write() as conn:
        announced = rotation.announce(conn, keyring, at=at)
        left = rotation.behind(conn, keyring)
    return bool(announced or left.master or left.index)


def forget(
    which: Annotated[str, typer.Option(help="master, index, link or inbox.")],
    version: Annotated[int, typer.Option(help="The former version to destroy.")],
    yes: Annotated[bool, typer.Option("--yes", help="I know that it cannot be brought back.")] = False,
) -> None:
    """Destroy a former version for good. Example: nurture consent keys forget --which master --version 1 --yes.

    Refused while the database needs it, or `nurture up` runs here. Of `inbox` it needs what came in and waits, and why
    addresses were shown in exports. Older backups that rest on it become unreadable; links in mails
    from before a rotation of `link` stop working, also those for unsubscribing: keep that one for years.
    """
    from consent import rotation
    from consent.keys import KeyringError
    from nurture.audit import book
    from nurture.store.workspace import open_workspace
    from nurture.tracking import intake

    if which not in set(rotation.Key):
        fail("--which is one of master, index, link, inbox", Exit.USAGE)
    if not yes:
        fail("this cannot be undone; say --yes", Exit.USAGE)
    with open_workspace() as workspace, _alone(workspace.home), workspace.store.read() as conn:
        wanted = chain(intake.kept(conn), book.kept_reasons(conn))
        try:
            rotation.forget(conn, workspace.home / FILE, rotation.Key(which), version, inbox=wanted)
        except KeyringError as error:
            fail(str(error))
    print(f"version {version} of {which} is gone")
