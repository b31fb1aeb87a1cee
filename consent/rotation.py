"""How does a key get a successor, losing nothing, however often the machine stops on the way?

The new version goes into the key file first, whole or not at all; from then on it writes and all
versions read. The ledger names it (key.rotated). Then what lies under older versions is rewritten in
small transactions, each of which leaves everything readable: killed anywhere, the next call goes on.

`master`: every subject's key is wrapped anew. `index`: look-up keys are computed anew from the sealed
addresses, suppressions of the same address move with them, and two who hold one address become one.
`link` and `inbox`: nothing to rewrite; links in mails that are out, and what came in before, stay good
under the former version.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, or_, select, update

from consent import identity as identities
from consent import ledger, lookup, rights, sealing
from consent import suppression as suppression_list
from consent.addresses import Address
from consent.keys import Keyring, KeyringError
from consent.schema import identity, suppression

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

CHUNK = 500
"""People in one transaction: a second or so."""


class Key(StrEnum):
    """What can be rotated."""

    MASTER = "master"
    """Wraps the key of every person."""
    INDEX = "index"
    """Finds people and suppressed addresses."""
    LINK = "link"
    """Authenticates links."""
    INBOX = "inbox"
    """Seals what came in and is not understood yet."""


@dataclass(frozen=True)
class Behind:
    """What still lies under a former version."""

    master: int
    """People whose key is wrapped by a former master key."""
    index: int
    """People found by a former look-up key."""
    suppressed: int
    """Suppressed addresses under a former look-up key. Those of nobody we know stay so until they are met again."""


def begin(path: Path, key: Key) -> Keyring:
    """Give the key in the file a successor, and the keyring that holds both."""
    made = Keyring.load_or_create(path).with_successor(key)
    made.replace(path)
    return made


def announce(conn: Connection, keyring: Keyring, *, at: datetime) -> list[int]:
    """Name in the ledger every version that it does not name yet; give the entries appended."""
    ledger.lock(conn)
    known = {(entry.body["key"], entry.body["version"]) for entry in ledger.read(conn, types=[KEY_ROTATED])}
    new = [
        {"key": name, "version": version}
        for name, versions in sorted(keyring.keys.items())
        for version in sorted(versions)
        if version > 1 and (name, version) not in known
    ]
    return ledger.append(conn, [ledger.Entry(KEY_ROTATED, body, at) for body in new])


def step(conn: Connection, keyring: Keyring, *, at: datetime) -> int:
    """Rewrite the next people that lie under former versions; give how many. 0: all is done that can be."""
    ledger.lock(conn)
    return _rewrap(conn, keyring) or _reindex(conn, keyring, at)


def behind(conn: Connection, keyring: Keyring) -> Behind:
    """Count what still lies under former versions."""

    def count(*where: object) -> int:
        return conn.execute(select(func.count()).where(*where)).scalar_one()  # type: ignore[arg-type]

    return Behind(
        count(identity.c.wrapped_key.is_not(None), identity.c.wrap_key < keyring.master_version),
        count(identity.c.address_index.is_not(None), identity.c.index_key < keyring.index_version),
        count(suppression.c.index_key < keyring.index_version),
    )


def forget(conn: Connection, path: Path, key: Key, version: int, *, inbox: Iterable[tuple[bytes, bytes]]) -> Keyring:
    """Destroy a former version for good: backups that rest on it become unreadable, which may be the point.

    `inbox` is what that key sealed and is still wanted, each with its additional data. Raises KeyringError while
    anything in the database still needs the version, and for the newest.
    """
    held = Keyring.load_or_create(path)
    left = behind(conn, held)
    made = held.without(key, version)
    needed = {Key.MASTER: left.master, Key.INDEX: left.index + left.suppressed}.get(key, 0)
    if key is Key.INBOX:
        needed = sum(_opens(held, *one) and not _opens(made, *one) for one in inbox)
    if needed:
        raise KeyringError(f"{needed} rows still rest on a former version of {key}; nothing was destroyed")
    made.replace(path)
    return made


def _opens(keyring: Keyring, sealed: bytes, aad: bytes) -> bool:
    """Does this keyring open what came in?"""
    try:
        keyring.open(sealed, aad=aad)
    except sealing.SealError:
        return False
    return True


KEY_ROTATED = ledger.EntryType.KEY_ROTATED
TWICE, ACTOR = "address_twice", "rotation"
"""Why two subjects were merged that nobody asked to merge, and who did it."""


def _rewrap(conn: Connection, keyring: Keyring) -> int:
    """Wrap keys of people anew."""
    query = select(identity.c.subject, identity.c.wrapped_key, identity.c.wrap_key).where(
        identity.c.wrapped_key.is_not(None), identity.c.wrap_key < keyring.master_version
    )
    rows = conn.execute(query.order_by(identity.c.subject).limit(CHUNK)).all()
    values = [
        {"of": row.subject, "wrapped": keyring.wrap(row.subject, keyring.unwrap(*row)), "by": keyring.master_version}
        for row in rows
    ]
    if values:
        conn.execute(
            update(identity)
            .where(identity.c.subject == bindparam("of"))
            .values(wrapped_key=bindparam("wrapped"), wrap_key=bindparam("by")),
            values,
        )
    return len(values)


def _reindex(conn: Connection, keyring: Keyring, at: datetime) -> int:
    """Compute look-up keys anew, those of the same address on the suppression list with them; make one of two."""
    query = select(identity).where(identity.c.address_index.is_not(None), identity.c.index_key < keyring.index_version)
    rows = conn.execute(query.order_by(identity.c.subject).limit(CHUNK)).all()
    successor = {}
    for row in rows:
        own = keyring.unwrap(row.subject, row.wrapped_key, row.wrap_key)
        place = sealing.place("identity", "sealed_address", row.subject)
        address = Address.of(sealing.unseal(own, row.sealed_address, aad=place).decode())
        successor[row.address_index] = keyring.address_index(address.identity)
    moved = lookup.move_people(conn, successor, keyring.index_version)
    lookup.move_suppressions(conn, successor, keyring.index_version)
    stayed = identity.c.address_index.in_(list(successor))
    twice = conn.execute(select(identity.c.subject, identity.c.address_index).where(stayed)).all()
    for row in twice:
        holds = select(identity.c.subject).where(identity.c.address_index == successor[row.address_index])
        _join(conn, keyring, row.subject, conn.execute(holds).scalar_one(), at=at)
    again = {row.address_index: successor[row.address_index] for row in twice}
    lookup.move_suppressions(conn, again, keyring.index_version)
    return moved + len(twice)


def _join(conn: Connection, keyring: Keyring, goes: str, stays: str, *, at: datetime) -> None:
    """Make one of two subjects that hold one address: of each word the more restrictive wins.

    A process that wrote with the former key while it was rotated left the second. From now on the one that stays holds
    the address; of the other only the proof is kept, as `rights.hold` does, and it points to the first, so that a no by
    a link in its mails, or a complaint about one, is heard for the mailbox.
    """
    people = identities.reveal(conn, keyring, [goes, stays])
    identities.describe(conn, keyring, {stays: people[goes].details | people[stays].details})
    words = [entry.body for one in (goes, stays) for entry in ledger.read(conn, subject=one)]
    controllers = {body["controller"] for body in words if "controller" in body} - {suppression_list.EVERYONE}
    rights.merge(conn, goes, stays, controllers=sorted(controllers), reason=TWICE, actor=ACTOR, at=at)
    rights.hold(conn, goes, actor=ACTOR, keep_suppression=None, at=at)
    conn.execute(
        update(identity).where(or_(identity.c.subject == goes, identity.c.same_as == goes)).values(same_as=stays)
    )
