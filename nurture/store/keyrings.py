"""Are these the keys that this database was made with? Told by fingerprints, which say nothing about the keys.

With other keys nobody here would be found: everybody who said no would be a stranger to the next import. So
nothing is opened with them, and none are made for a database that has its own somewhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from consent.keys import Keyring, KeyringError
from consent.schema import identity, suppression
from consent.sealing import SealError
from nurture.store.inserting import insert_new
from nurture.store.tables import setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from nurture.store.engine import Store

PREFIX = "key:"
"""Before a key's name and version in the name of the row that holds its fingerprint."""
REMEDY = "copy it from the machine that began, or restore it from your backup"


def open_keyring(store: Store, path: Path) -> Keyring:
    """Give the keys in the file; for a database without any, make them.

    Raises KeyringError where the file is missing, holds other keys than this database was made with, or lacks the
    newest of them.
    """
    with store.read() as conn:
        known = _known(conn)
        missing = not path.exists() and bool(known or _used(conn))
    if missing:
        raise KeyringError(f"{path.name} is missing in {path.parent}, and this database was made with one: {REMEDY}")
    keyring = Keyring.load_or_create(path)
    _refuse(keyring, known)
    if keyring.fingerprints().keys() - known.keys():
        remember(store, keyring)
    return keyring


def remember(store: Store, keyring: Keyring) -> None:
    """Note the fingerprints that the database does not know yet; raises as `open_keyring` does."""
    with store.write() as conn:
        if not _known(conn):
            _try(conn, keyring)
        rows = [{"name": PREFIX + name, "value": value} for name, value in sorted(keyring.fingerprints().items())]
        insert_new(conn, setting, rows)
        # Where another machine came first with keys of its own, its rows stand, and ours were left out.
        _refuse(keyring, _known(conn))


def _known(conn: Connection) -> dict[str, str]:
    """Read the fingerprints: {"master/1": ...}."""
    rows = conn.execute(select(setting.c.name, setting.c.value).where(setting.c.name.startswith(PREFIX)))
    return {row.name.removeprefix(PREFIX): row.value for row in rows}


def _used(conn: Connection) -> bool:
    """Does anything here rest on keys?"""
    person = select(identity.c.subject).where(identity.c.wrapped_key.is_not(None)).limit(1)
    return any(conn.execute(one).first() for one in (person, select(suppression.c.index_key).limit(1)))


def _try(conn: Connection, keyring: Keyring) -> None:
    """Open one person, in a database from before there were fingerprints."""
    query = select(identity.c.subject, identity.c.wrapped_key, identity.c.wrap_key)
    row = conn.execute(query.where(identity.c.wrapped_key.is_not(None)).limit(1)).one_or_none()
    if row is None:
        return
    try:
        keyring.unwrap(*row)
    except SealError:
        raise KeyringError(f"keys.json opens nobody in this database, so it is another one's: {REMEDY}") from None


def _refuse(keyring: Keyring, known: Mapping[str, str]) -> None:
    """Raise KeyringError for keys that are not those known, and for a file from before a rotation.

    A former version that the file lacks was destroyed on purpose (`rotation.forget`).
    """
    held = keyring.fingerprints()
    for name, value in sorted(known.items()):
        if held.get(name, value) != value:
            raise KeyringError(f"keys.json is not the one this database was made with ({name} differs): {REMEDY}")
        key, _, version = name.partition("/")
        if int(version) > keyring.newest(key):
            raise KeyringError(f"keys.json is from before {name} was made: copy it again from where keys were rotated")
