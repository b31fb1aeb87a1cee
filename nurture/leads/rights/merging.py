"""What if two leads are one person? They are joined so that nobody gets a permission they did not give.

The lead that goes keeps its own history (mails, stages, handovers) and points to the one that stays. Its
events move over, because a score is a function of a person's events; each says where it came from. What was
planned for it does not leave: the last look before a mail is handed over finds it merged (nurture/delivery/intent.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from consent import identity as identities
from consent import rights
from consent.schema import consent_state
from nurture.leads import stages
from nurture.leads.rights.group import Group, RightsError
from nurture.leads.rights.requests import Kind, answered
from nurture.leads.rights.restricting import score_anew
from nurture.store.inserting import insert_or_update
from nurture.store.tables import enrolment, event, lead, lead_score, mail_preference, points, send_slot, signal

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from nurture.store.workspace import Workspace

MERGED = "merged"
"""Why the enrolments of the lead that goes end."""
FACTS = ("country", "industry", "company_size")
RUNNING = ("active", "paused")
RESTRICTIVE = stages.GONE | stages.AT_SALES
"""Stages in which marketing is silent: they win."""


@dataclass(frozen=True)
class Joined:
    """What a merge did."""

    entry: int
    """Ledger entry subject.merged."""
    withdrawn: tuple[int, ...]
    """Entries that ended a consent of one because the other had ended it."""
    suppressed: bool
    events: int
    """Events that moved to the lead that stays."""


def merge(
    conn: Connection, workspace: Workspace, goes: int, stays: int, *, reason: str, actor: str, at: datetime
) -> Joined:
    """Join lead `goes` into lead `stays`; of two words on one purpose the more restrictive wins, on both.

    Raises RightsError for an unknown lead, one that was merged before, or one and the same, SubjectError for one that
    was erased, also where its proof is held: a later erasure would find the person erased already, and spare the other.
    """
    old, new = _standing(conn, goes), _standing(conn, stays)
    if goes == stays:
        raise RightsError("these are one and the same lead")
    controllers = _controllers(conn, workspace, (old.subject, new.subject))
    done = rights.merge(conn, old.subject, new.subject, controllers=controllers, reason=reason, actor=actor, at=at)
    # One level deep: whoever points to the lead that goes points to the one that stays from now on.
    conn.execute(update(lead).where(lead.c.merged_into == goes).values(merged_into=stays))
    conn.execute(update(lead).where(lead.c.id == goes).values(merged_into=stays))
    conn.execute(
        update(enrolment)
        .where(enrolment.c.lead_id == goes, enrolment.c.state.in_(RUNNING))
        .values(state="exited", exit_reason=MERGED, left_at=at)
    )
    moved = _move_events(conn, goes, stays)
    _move_slots(conn, goes, stays)
    _fill_gaps(conn, workspace, old, new)
    _keep_preferences(conn, old.subject, new.subject, at=at)
    if old.stage in RESTRICTIVE and new.stage not in RESTRICTIVE:
        stages.move(conn, {stays: old.stage}, cause=f"{MERGED}:{goes}", at=at)
    score_anew(conn, Group((old.subject, new.subject), (goes, stays)), at=at)
    zone = workspace.settings.tz
    answered(conn, old.subject, Kind.MERGE, route="cli", actor=actor, zone=zone, at=at, reason=reason)
    return Joined(done.entry, done.withdrawn, done.suppressed, moved)


def _standing(conn: Connection, lead_id: int) -> Row[Any]:
    row = conn.execute(select(lead).where(lead.c.id == lead_id)).one_or_none()
    if row is None:
        raise RightsError(f"there is no lead {lead_id}; 'nurture lead find' gives the number for an address")
    if row.merged_into is not None:
        raise RightsError(f"lead {lead_id} was merged into lead {row.merged_into}; name that one")
    return row


def _controllers(conn: Connection, workspace: Workspace, subjects: tuple[str, str]) -> list[str]:
    known = select(consent_state.c.controller).where(consent_state.c.subject.in_(subjects)).distinct()
    return sorted({workspace.settings.controller, *conn.execute(known).scalars()})


def _move_events(conn: Connection, goes: int, stays: int) -> int:
    """Move what happened, each event with a mark of the lead it came from; points are computed anew."""
    rows = conn.execute(select(event.c.id, event.c.attributes).where(event.c.lead_id == goes)).all()
    for row in rows:
        marked = {"merged_from": goes, **row.attributes}
        conn.execute(update(event).where(event.c.id == row.id).values(lead_id=stays, attributes=marked))
    conn.execute(update(signal).where(signal.c.lead_id == goes).values(lead_id=stays))
    # The unique key of points is event and rule: those of the old lead would stand in the way.
    conn.execute(delete(points).where(points.c.lead_id == goes))
    conn.execute(update(lead_score).where(lead_score.c.lead_id == goes).values(score=0, engagement=0, fit=0))
    return len(rows)


def _move_slots(conn: Connection, goes: int, stays: int) -> None:
    """Let the mails that left for the lead that goes count in the cap of the one that stays: it is one person's."""
    rows = conn.execute(
        select(send_slot).where(send_slot.c.lead_id.in_([goes, stays])).order_by(send_slot.c.slot)
    ).all()
    taken = {(row.window, row.slot) for row in rows if row.lead_id == stays}
    for row in rows:
        if row.lead_id == goes:
            slot = next(number for number in count(1) if (row.window, number) not in taken)
            taken.add((row.window, slot))
            mine = send_slot.c.message_id == row.message_id
            conn.execute(update(send_slot).where(mine).values(lead_id=stays, slot=slot))


def _fill_gaps(conn: Connection, workspace: Workspace, old: Row[Any], new: Row[Any]) -> None:
    """Take over what the lead that stays does not know; what contradicts stays with its own lead."""
    facts = {
        name: getattr(old, name) for name in FACTS if getattr(new, name) is None and getattr(old, name) is not None
    }
    if (new.role or "unknown") == "unknown" and old.role:
        facts["role"] = old.role
    if facts:
        conn.execute(update(lead).where(lead.c.id == new.id).values(facts))
    known = identities.reveal(conn, workspace.keyring, [old.subject, new.subject])
    has = known[new.subject].details
    gaps = {name: text for name, text in known[old.subject].details.items() if name not in has}
    if gaps:
        identities.describe(conn, workspace.keyring, {new.subject: gaps})


def _keep_preferences(conn: Connection, old: str, new: str, *, at: datetime) -> None:
    """Let the fewer mails and the longer pause hold."""
    rows = conn.execute(select(mail_preference).where(mail_preference.c.subject.in_([old, new]))).all()
    if not any(row.subject == old for row in rows):
        return
    weeks = [row.per_week for row in rows if row.per_week is not None]
    pauses = [row.paused_until for row in rows if row.paused_until is not None]
    chosen = {"per_week": min(weeks, default=None), "paused_until": max(pauses, default=None)}
    insert_or_update(conn, mail_preference, [{"subject": new, **chosen, "changed_at": at}])
