"""What do a person's rights change here? Restriction, hold, merge, and who took a copy out: each with its entry.

Erasure stands in identity.py. Callers decide who may ask; here it is done, in the caller's transaction.
`actor` and `reason` are an id or role and one word, else LedgerError (naming.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from consent import ledger, naming, suppression, withdrawal
from consent.identity import SubjectError, chunks
from consent.schema import identity, opt_in_request
from consent.schema import suppression as suppression_table
from consent.states import ACTIVE, State, standings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

HOLD = "hold"
"""Reason of a restriction: only the proof is kept, for legal claims (Art. 17(3)(e))."""
DEAD_MAILBOX = frozenset({"hard_bounce", "bounced"})
"""Reasons that say something about one mailbox and nothing about the person."""
MERGE = "merge"
"""Route of a withdrawal that the other half of a merged person had made."""


class Copy(StrEnum):
    """What kind of copy was taken out."""

    ACCESS = "access"
    """A person's own record (Art. 15, 20)."""
    AUDIT = "audit"
    """An export for an auditor or authority."""
    PROOF = "proof"
    """The proof of one consent or one mail."""


def exported(
    conn: Connection,
    kind: Copy,
    *,
    scope: str,
    count: int,
    actor: str,
    at: datetime,
    subject: str | None = None,
    commit: str | None = None,
) -> int:
    """Record that a copy was taken out; give the entry's number. `scope` and `actor` are ids or roles, never people."""
    body = {"kind": str(kind), "scope": scope, "count": count, "actor": naming.actor(actor), "commit": commit}
    [seq] = ledger.append(conn, [ledger.Entry(ledger.EntryType.EXPORTED, body, at, subject)])
    return seq


def restrict(conn: Connection, subject: str, *, reason: str, actor: str, at: datetime) -> int | None:
    """Keep a subject's data but use it for nothing (Art. 18); give the entry, None when it was so already.

    Raises SubjectError for an unknown or erased subject.
    """
    ledger.lock(conn)
    if _present(conn, subject).restricted_at is not None:
        return None
    conn.execute(update(identity).where(identity.c.subject == subject).values(restricted_at=at))
    return _entry(conn, ledger.EntryType.RESTRICTED, subject, {"reason": reason, "actor": actor}, at)


def unrestrict(conn: Connection, subject: str, *, reason: str, actor: str, at: datetime) -> int | None:
    """End a restriction; give the entry, None where there was none, and for one that holds an address no longer.

    Raises SubjectError for an unknown or erased subject, and for one whose proof alone is held: there is
    nothing left to go back to.
    """
    ledger.lock(conn)
    row = _present(conn, subject)
    if row.restricted_at is None or row.same_as is not None:
        return None
    if row.address_index is None:
        raise SubjectError("only the proof of this person is held; the restriction ends when it is destroyed")
    conn.execute(update(identity).where(identity.c.subject == subject).values(restricted_at=None))
    return _entry(conn, ledger.EntryType.UNRESTRICTED, subject, {"reason": reason, "actor": actor}, at)


def restricted(conn: Connection, subjects: Iterable[str]) -> set[str]:
    """Who of these is restricted?"""
    found: set[str] = set()
    for chunk in chunks(subjects):
        query = select(identity.c.subject).where(identity.c.subject.in_(chunk), identity.c.restricted_at.is_not(None))
        found.update(conn.execute(query).scalars())
    return found


def hold(conn: Connection, subject: str, *, actor: str, keep_suppression: str | None, at: datetime) -> int | None:
    """Destroy all that says who a subject is but what their proof needs, and restrict that; give the entry.

    Left are the proof vault, its key and the sealed address. The look-up index goes: nobody finds them by it,
    and a later sign-up makes a new subject. With `keep_suppression` (a reason) the address stays barred.
    None when it was held already. Raises SubjectError for an unknown or erased subject.
    """
    ledger.lock(conn)
    row = _present(conn, subject)
    if row.address_index is None:
        return None
    if keep_suppression:
        suppression.suppress_subject(conn, subject, keep_suppression, at=at)
    conn.execute(
        update(identity)
        .where(identity.c.subject == subject)
        .values(address_index=None, sealed_person=None, restricted_at=row.restricted_at or at)
    )
    forget_sign_ups(conn, [subject])
    return _entry(conn, ledger.EntryType.RESTRICTED, subject, {"reason": HOLD, "actor": actor}, at)


def forget_sign_ups(conn: Connection, subjects: Iterable[str]) -> None:
    """Empty what requests hold of these subjects: links, and the keyed hashes that caps count by."""
    for chunk in chunks(subjects):
        conn.execute(
            update(opt_in_request)
            .where(opt_in_request.c.subject.in_(chunk))
            .values(sealed_token=None, abuse_index=None, network_index=None, domain_index=None)
        )


@dataclass(frozen=True)
class Merged:
    """What a merge did to consent. Sequence numbers of the ledger."""

    entry: int
    withdrawn: tuple[int, ...]
    """Entries that ended a consent of one half because the other half had ended it."""
    suppressed: bool
    """Was an address barred because the other one was?"""


def merge(
    conn: Connection, goes: str, stays: str, *, controllers: Sequence[str], reason: str, actor: str, at: datetime
) -> Merged:
    """Record that two subjects are one person; the more restrictive word wins for each purpose, on both.

    Nothing is given to an address that its owner did not give to it: a consent of the one never permits
    mail to the other. A suppression that is about the person bars both addresses, one about a dead mailbox
    its own. A restriction holds for both. Raises SubjectError for an unknown or erased one, one whose proof alone is
    held, or for one twice.
    """
    if goes == stays:
        raise SubjectError("a person cannot be merged with themselves")
    ledger.lock(conn)
    if any(_present(conn, one).address_index is None for one in (goes, stays)):
        raise SubjectError("one of the two was erased but for the proof, which is held; nobody can be joined to that")
    entry = _entry(conn, ledger.EntryType.MERGED, goes, {"into": stays, "reason": reason, "actor": actor}, at)
    withdrawn: list[int] = []
    for controller in controllers:
        for one, other in ((goes, stays), (stays, goes)):
            withdrawn += _follow(conn, one, other, controller=controller, actor=actor, at=at)
    barred = [_bar(conn, one, other, at=at) for one, other in ((goes, stays), (stays, goes))]
    if restricted(conn, [goes, stays]):
        for one in (goes, stays):
            restrict(conn, one, reason=MERGE, actor=actor, at=at)
    return Merged(entry, tuple(withdrawn), any(barred))


def _follow(conn: Connection, one: str, other: str, *, controller: str, actor: str, at: datetime) -> list[int]:
    """End for `other` what `one` ended."""

    def end(purposes: Sequence[str] | None) -> list[int]:
        return withdrawal.withdraw(
            conn, subject=other, controller=controller, purposes=purposes, route=MERGE, actor=actor, at=at
        )

    if withdrawal.everything_ended(conn, [one], controller):
        return end(None)
    ended = {row.purpose for row in standings(conn, one, controller=controller) if row.state is State.WITHDRAWN}
    held = {row.purpose for row in standings(conn, other, controller=controller) if row.state in ACTIVE}
    both = sorted(ended & held)
    return end(both) if both else []


def _bar(conn: Connection, one: str, other: str, *, at: datetime) -> bool:
    """Bar the address of `other` for what `one` is barred for."""
    rows = conn.execute(
        select(suppression_table.c.controller, suppression_table.c.reason)
        .join(identity, identity.c.address_index == suppression_table.c.address_index)
        .where(identity.c.subject == one, suppression_table.c.reason.not_in(sorted(DEAD_MAILBOX)))
    ).all()
    done = [suppression.suppress_subject(conn, other, row.reason, at=at, controller=row.controller) for row in rows]
    return any(done)


def _present(conn: Connection, subject: str) -> Any:  # noqa: ANN401  a row of four columns
    """Read a subject's row; raises SubjectError for an unknown or erased one."""
    row = conn.execute(
        select(identity.c.address_index, identity.c.restricted_at, identity.c.erased_at, identity.c.same_as).where(
            identity.c.subject == subject
        )
    ).one_or_none()
    if row is None or row.erased_at is not None:
        raise SubjectError("the subject is unknown or erased")
    return row


def _entry(conn: Connection, kind: str, subject: str, body: dict[str, str], at: datetime) -> int:
    naming.actor(body["actor"])
    naming.reason(body["reason"])
    [seq] = ledger.append(conn, [ledger.Entry(kind, body, at, subject)])
    return seq
