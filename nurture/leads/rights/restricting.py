"""What if data may be kept but not used, or somebody objects? Restriction (Art. 18) and objection (Art. 21).

Both end mail at once: the gate refuses a restricted person, and an objection ends every consent and bars the
address. Both end profiling: such a person has no score (nurture/scoring reads it as a fact).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from consent import rights, suppression, withdrawal
from consent.schema import consent_state, identity
from nurture.leads.rights.group import Group, RightsError, group_of
from nurture.leads.rights.requests import Kind, answered
from nurture.store.tables import lead_score

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

OBJECTION = "objection"
"""Reason of the suppression and route of the withdrawals; a later double opt-in lifts it."""
ASKED = "request"


def restrict(conn: Connection, subject: str, *, route: str, actor: str, zone: ZoneInfo, at: datetime) -> bool:
    """Keep a person's data and use it for nothing from now on; False when it was so already.

    Raises RightsError for an unknown or erased person.
    """
    group = _living(conn, subject)
    changed = [rights.restrict(conn, one, reason=ASKED, actor=actor, at=at) for one in group.subjects]
    answered(conn, subject, Kind.RESTRICT, route=route, actor=actor, zone=zone, at=at, reason=ASKED)
    score_anew(conn, group, at=at)
    return any(seq is not None for seq in changed)


def unrestrict(conn: Connection, subject: str, *, route: str, actor: str, zone: ZoneInfo, at: datetime) -> bool:
    """End a restriction; False where there was none. Tell the person before you do (Art. 18(3)).

    Raises RightsError for an unknown or erased person, SubjectError where only a proof is held.
    """
    group = _living(conn, subject)
    changed = [rights.unrestrict(conn, one, reason=ASKED, actor=actor, at=at) for one in group.subjects]
    answered(conn, subject, Kind.UNRESTRICT, route=route, actor=actor, zone=zone, at=at, reason=ASKED)
    score_anew(conn, group, at=at)
    return any(seq is not None for seq in changed)


def object_(conn: Connection, subject: str, *, controller: str, actor: str, at: datetime) -> bool:
    """Note that a person objects to direct marketing: no mail, no profile for it. False when nothing was new.

    Every consent ends, the address is barred, the score goes. Raises RightsError for an unknown or erased person.
    """
    group = _living(conn, subject)
    new = False
    for one in group.subjects:
        known = select(consent_state.c.controller).where(consent_state.c.subject == one)
        for name in sorted({controller, *conn.execute(known).scalars()}):
            new |= bool(
                withdrawal.withdraw(
                    conn, subject=one, controller=name, purposes=None, route=OBJECTION, actor=actor, at=at
                )
            )
        new |= suppression.suppress_subject(conn, one, OBJECTION, at=at)
    score_anew(conn, group, at=at)
    return new


def score_anew(conn: Connection, group: Group, *, at: datetime) -> None:
    """Have the scores of a person computed again at the next run."""
    conn.execute(update(lead_score).where(lead_score.c.lead_id.in_(group.leads)).values(cools_at=at))


def _living(conn: Connection, subject: str) -> Group:
    """Give the person, without halves that were erased."""
    group = group_of(conn, subject)
    alive = select(identity.c.subject).where(identity.c.subject.in_(group.subjects), identity.c.erased_at.is_(None))
    left = set(conn.execute(alive).scalars())
    if not left:
        raise RightsError("this person was erased; nothing about them is left")
    return Group(tuple(one for one in group.subjects if one in left), group.leads)
