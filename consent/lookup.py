"""Under which key is an address found, when the key that makes look-up keys has had successors?

People and suppressed addresses are found by a keyed HMAC. After a rotation, rows made under a former
key are rewritten: people by `rotation`, at once, because their sealed address tells the new value;
suppressed addresses of nobody we know when their address is met again, which is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from consent.keys import KeyringError
from consent.schema import identity, suppression
from consent.suppression import Bar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from consent.addresses import Address
    from consent.keys import Keyring

CHUNK = 1000
SAMPLE = 20
"""Rows looked at for the newest key: the first to be rewritten, and enough where one of them could not be."""


def adopt(conn: Connection, keyring: Keyring, addresses: Iterable[Address]) -> None:
    """Bring whatever is known of these addresses under the newest key, before anybody asks by that alone.

    Whoever decides on an address calls this first. It costs a look at the newest key until one was rotated. Raises
    KeyringError as `refuse_former` does.
    """
    refuse_former(conn, keyring)
    successor = {
        old: keyring.address_index(address.identity)
        for address in addresses
        for old in keyring.former_address_indexes(address.identity)
    }
    olds = list(successor)
    for start in range(0, len(olds), CHUNK):
        part = olds[start : start + CHUNK]
        known = select(identity.c.address_index).where(identity.c.address_index.in_(part))
        move_people(conn, {old: successor[old] for old in conn.execute(known).scalars()}, keyring.index_version)
        move_suppressions(conn, {old: successor[old] for old in part}, keyring.index_version)


def refuse_former(conn: Connection, keyring: Keyring) -> None:
    """Raise KeyringError where the look-up key has a successor that this keyring does not hold.

    To a process that started before the rotation everybody is a stranger: it would find nobody whose no it hears, and
    make people anew who said no before.
    """
    # Rotation begins with the people of the lowest ids, so a few of these tell, by the primary key.
    people = select(identity.c.index_key).where(identity.c.address_index.is_not(None))
    barred = select(suppression.c.index_key).order_by(suppression.c.address_index)
    queries = (people.order_by(identity.c.subject).limit(SAMPLE), barred.limit(SAMPLE))
    newest = max((version for query in queries for version in conn.execute(query).scalars()), default=0)
    if newest > keyring.index_version:
        raise KeyringError(
            f"people are found by version {newest} of the index key, which this process does not hold; "
            "was it rotated? Start this process anew"
        )


def move_people(conn: Connection, successor: Mapping[bytes, bytes], version: int) -> int:
    """Rewrite look-up keys of people: {old: new}; give how many moved. One whose new key is taken stays.

    So does one of two whom former keys found by the same address.
    """
    taken = select(identity.c.address_index).where(identity.c.address_index.in_(list(successor.values())))
    held = set(conn.execute(taken).scalars())
    moving = {new: old for old, new in successor.items() if new not in held}
    values = [{"old": old, "new": new} for new, old in moving.items()]
    if values:
        conn.execute(
            update(identity)
            .where(identity.c.address_index == bindparam("old"))
            .values(address_index=bindparam("new"), index_key=version),
            values,
        )
    return len(values)


def move_suppressions(conn: Connection, successor: Mapping[bytes, bytes], version: int) -> None:
    """Rewrite look-up keys of suppressed addresses: {old: new}; reason and time stay as they were.

    An address barred under both keys is barred by what weighs more, as if both had been said under one. Where somebody
    still stands under the old key, because the new one names another subject, both keys are barred.
    """
    these = suppression.c.address_index.in_([*successor, *successor.values()])
    bars: dict[tuple[bytes, str], Bar] = {}
    moving = False
    for row in conn.execute(select(suppression).where(these)):
        moving |= row.address_index in successor
        place = (successor.get(row.address_index, row.address_index), row.controller)
        bar = Bar(row.reason, row.since)
        bars[place] = bars[place].joined(bar) if place in bars else bar
    if not bars:
        return
    under: dict[bytes, list[tuple[bytes, int]]] = {}
    left = select(identity.c.address_index, identity.c.index_key).where(identity.c.address_index.in_(list(successor)))
    for old, older in conn.execute(left):
        under.setdefault(successor[old], []).append((old, older))
    if not moving and not under:
        return
    conn.execute(delete(suppression).where(these))
    rows: list[dict[str, Any]] = [
        {
            "address_index": place,
            "controller": controller,
            "index_key": key,
            "reason": bar.reason,
            "since": bar.since,
        }
        for (index, controller), bar in bars.items()
        for place, key in ((index, version), *under.get(index, ()))
    ]
    insert = postgresql.insert(suppression) if conn.dialect.name == "postgresql" else sqlite.insert(suppression)
    conn.execute(insert.on_conflict_do_nothing(), rows)
