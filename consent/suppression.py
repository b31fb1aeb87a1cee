"""Who must not be written to, whatever the consent says? Addresses by their keyed HMAC alone.

The list survives erasure: so a later import cannot revive an address whose owner had it erased. It
holds no address, and without the key file nobody can test one against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from consent import ledger
from consent.schema import identity, suppression

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

EVERYONE = "*"
"""In place of a controller: holds for all of them."""
BLOCKED = "blocked"
"""Barred for good by an operator."""
LASTING = frozenset({BLOCKED, "hard_bounce", "bounced", "complaint", "complained"})
"""Reasons that no later double opt-in lifts: no confirmation mail goes to a dead mailbox or to who complained.

The longer word is what a provider reported, the other what an imported list said.
"""
CHUNK = 1000


def add(
    conn: Connection,
    reasons: Mapping[bytes, str],
    *,
    controller: str = EVERYONE,
    at: datetime,
    index_key: int = 1,
    subject: str | None = None,
) -> int:
    """Suppress addresses by their index: {address_index: reason}; give how many are new.

    One already suppressed keeps its first reason and time. Appends one suppression.added per reason.
    """
    ledger.lock(conn)
    listed = list(reasons)
    new: dict[str, int] = {}
    for start in range(0, len(listed), CHUNK):
        chunk = listed[start : start + CHUNK]
        query = select(suppression.c.address_index)
        query = query.where(suppression.c.address_index.in_(chunk), suppression.c.controller == controller)
        known = set(conn.execute(query).scalars())
        rows = [
            {
                "address_index": index,
                "controller": controller,
                "index_key": index_key,
                "reason": reasons[index],
                "since": at,
            }
            for index in chunk
            if index not in known
        ]
        if rows:
            statement = (
                postgresql.insert(suppression) if conn.dialect.name == "postgresql" else sqlite.insert(suppression)
            )
            conn.execute(statement.on_conflict_do_nothing(), rows)
        for row in rows:
            new[str(row["reason"])] = new.get(str(row["reason"]), 0) + 1
    ledger.append(
        conn,
        [
            ledger.Entry(
                ledger.EntryType.SUPPRESSED, {"controller": controller, "reason": reason, "count": count}, at, subject
            )
            for reason, count in sorted(new.items())
        ],
    )
    return sum(new.values())


def suppress_subject(conn: Connection, subject: str, reason: str, *, at: datetime, controller: str = EVERYONE) -> bool:
    """Suppress the address of a subject; tell whether that is new. An erased subject has none left."""
    query = select(identity.c.address_index, identity.c.index_key).where(identity.c.subject == subject)
    row = conn.execute(query).one_or_none()
    if row is None or row.address_index is None:
        return False
    added = add(
        conn, {row.address_index: reason}, controller=controller, at=at, index_key=row.index_key, subject=subject
    )
    return added > 0


def suppressed(conn: Connection, indexes: Iterable[bytes], *, controller: str | None = None) -> set[bytes]:
    """Which of these address indexes are suppressed, for this controller or (None) for any?"""
    found: set[bytes] = set()
    listed = list(dict.fromkeys(indexes))
    for start in range(0, len(listed), CHUNK):
        query = select(suppression.c.address_index)
        query = query.where(suppression.c.address_index.in_(listed[start : start + CHUNK]))
        if controller is not None:
            query = query.where(suppression.c.controller.in_([EVERYONE, controller]))
        found.update(conn.execute(query).scalars())
    return found


def lasting(
    conn: Connection, requests: Iterable[tuple[bytes, datetime]], *, controller: str
) -> set[tuple[bytes, datetime]]:
    """Which of these requests (address index, time) could no confirmation carry through?

    Those whose address is suppressed by what `lift` would leave: a lasting reason, or one not older than
    the request. To ask these for a confirmation would promise what cannot be kept.
    """
    asked = set(requests)
    listed = list({index for index, _ in asked})
    found: dict[bytes, datetime | None] = {}
    for start in range(0, len(listed), CHUNK):
        query = select(suppression.c.address_index, suppression.c.since, suppression.c.reason).where(
            suppression.c.address_index.in_(listed[start : start + CHUNK]),
            suppression.c.controller.in_([EVERYONE, controller]),
        )
        for index, since, reason in conn.execute(query):
            latest = found.get(index, since)
            found[index] = None if reason in LASTING or latest is None else max(latest, since)
    return {(index, at) for index, at in asked if index in found and ((since := found[index]) is None or since >= at)}


def lift(conn: Connection, subject: str, *, controller: str, older_than: datetime) -> int:
    """Take a subject's address off the list after a newer double opt-in; give how many rows fell.

    Only entries from before `older_than` (the time of the request) fall, and never one whose reason is
    in LASTING. The caller records it: `lifted` in consent.confirmed.
    """
    index = select(identity.c.address_index).where(identity.c.subject == subject).scalar_subquery()
    fallen = conn.execute(
        delete(suppression).where(
            suppression.c.address_index == index,
            or_(suppression.c.controller == EVERYONE, suppression.c.controller == controller),
            suppression.c.since < older_than,
            suppression.c.reason.not_in(sorted(LASTING)),
        )
    )
    return fallen.rowcount
