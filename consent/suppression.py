"""Who must not be written to, whatever the consent says? Addresses by their keyed HMAC alone.

The list survives erasure: so a later import cannot revive an address whose owner had it erased. It
holds no address, and without the key file nobody can test one against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from consent import ledger, naming
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
GRAVITY = {"objection": 2, "complaint": 4, "complained": 4, BLOCKED: 3}
"""What a graver reason is, 0 where nothing stands here and 1 for a dead mailbox: an address said to be barred for two
reasons is barred for the graver one. What a person said outweighs what became of their mailbox: it holds for their
other addresses, too, and for their profile."""
CHUNK = 1000


@dataclass(frozen=True)
class Bar:
    """Why an address is barred, and since when."""

    reason: str
    since: datetime

    def joined(self, other: Bar) -> Bar:
        """Give what holds when both were said: the graver reason, of two equal ones the older.

        The time is that of the newer word, so that no request from between the two lifts it; where no request lifts
        it anyway, that of the reason.
        """
        older, newer = sorted((self, other), key=lambda bar: bar.since)
        graver = max((older, newer), key=lambda bar: gravity(bar.reason))
        return graver if graver.reason in LASTING else Bar(graver.reason, newer.since)


def gravity(reason: str) -> int:
    """Tell how much a reason weighs beside another one."""
    return GRAVITY.get(reason, int(reason in LASTING))


def add(
    conn: Connection,
    reasons: Mapping[bytes, str],
    *,
    controller: str = EVERYONE,
    at: datetime,
    index_key: int = 1,
    subject: str | None = None,
) -> int:
    """Suppress addresses by their index: {address_index: reason}; give how many were not barred for that before.

    One that is suppressed already keeps its reason unless this one is graver (see GRAVITY), and its time where that
    cannot be lifted. Appends one suppression.added per reason.
    """
    ledger.lock(conn)
    for reason in set(reasons.values()):
        naming.reason(reason)
    listed = list(reasons)
    new: dict[str, int] = {}
    for start in range(0, len(listed), CHUNK):
        said = {index: Bar(reasons[index], at) for index in listed[start : start + CHUNK]}
        for reason in _put(conn, said, controller, index_key):
            new[reason] = new.get(reason, 0) + 1
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


def _put(conn: Connection, said: Mapping[bytes, Bar], controller: str, index_key: int) -> list[str]:
    """Write one chunk; give the reason of each address that was not barred for it before."""
    query = select(suppression.c.address_index, suppression.c.reason, suppression.c.since)
    query = query.where(suppression.c.address_index.in_(list(said)), suppression.c.controller == controller)
    known = {index: Bar(reason, since) for index, reason, since in conn.execute(query)}
    rows = [
        {
            "address_index": index,
            "controller": controller,
            "index_key": index_key,
            "reason": bar.reason,
            "since": bar.since,
        }
        for index, bar in said.items()
        if index not in known
    ]
    if rows:
        statement = postgresql.insert(suppression) if conn.dialect.name == "postgresql" else sqlite.insert(suppression)
        conn.execute(statement.on_conflict_do_nothing(), rows)
    after = {index: bar.joined(said[index]) for index, bar in known.items()}
    changed = [
        {"of": index, "why": bar.reason, "when": bar.since} for index, bar in after.items() if bar != known[index]
    ]
    if changed:
        conn.execute(
            update(suppression)
            .where(suppression.c.address_index == bindparam("of"), suppression.c.controller == controller)
            .values(reason=bindparam("why"), since=bindparam("when")),
            changed,
        )
    return [str(row["reason"]) for row in rows] + [
        bar.reason for index, bar in after.items() if bar.reason != known[index].reason
    ]


def suppress_subject(conn: Connection, subject: str, reason: str, *, at: datetime, controller: str = EVERYONE) -> bool:
    """Suppress the address of a subject; tell whether it was not barred for that before.

    An erased subject has no address left. One that a rotation found twice has that of the subject that stayed.
    """
    # Without it a rotation could give the address another look-up key between the look and the entry.
    ledger.lock(conn)
    holds = select(func.coalesce(identity.c.same_as, identity.c.subject)).where(identity.c.subject == subject)
    query = select(identity.c.address_index, identity.c.index_key)
    query = query.where(identity.c.subject == holds.scalar_subquery())
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
