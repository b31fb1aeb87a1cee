"""Which leads and subjects are one person? Those that were merged, whichever of them one names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from consent.identity import mailbox
from nurture import NurtureError
from nurture.store.tables import lead

if TYPE_CHECKING:
    from sqlalchemy import Connection


class RightsError(NurtureError):
    """A person's right cannot be served as asked; the message says why and what to do, and names nobody."""


@dataclass(frozen=True)
class Group:
    """One person: subjects and leads, each ascending by when they came; last the subjects that are no lead."""

    subjects: tuple[str, ...]
    leads: tuple[int, ...]


def subject_of(conn: Connection, lead_id: int) -> str:
    """Give the subject of a lead; raises RightsError for an unknown one."""
    found: str | None = conn.execute(select(lead.c.subject).where(lead.c.id == lead_id)).scalar_one_or_none()
    if found is None:
        raise RightsError(f"there is no lead {lead_id}; 'nurture lead find' gives the number for an address")
    return found


def group_of(conn: Connection, subject: str) -> Group:
    """Give the person a subject belongs to; raises RightsError for an unknown subject.

    Who was merged, and who held the same address until a rotation found it twice.
    """
    subjects = mailbox(conn, [subject])
    if not subjects:
        raise RightsError("this person is unknown here")
    leads = _leads(conn, subjects)
    while others := set(leads.values()) - subjects:
        subjects |= mailbox(conn, others)
        leads = _leads(conn, subjects)
    return Group((*leads.values(), *sorted(subjects - set(leads.values()))), tuple(leads))


def _leads(conn: Connection, subjects: set[str]) -> dict[int, str]:
    """Give the leads of these subjects and whichever were merged with them, ascending: {lead: subject}."""
    found = set(conn.execute(select(lead.c.id).where(lead.c.subject.in_(subjects))).scalars())
    edge = found
    while edge:
        rows = conn.execute(
            select(lead.c.id, lead.c.merged_into).where(or_(lead.c.id.in_(edge), lead.c.merged_into.in_(edge)))
        ).all()
        near = {row.id for row in rows} | {row.merged_into for row in rows if row.merged_into is not None}
        edge, found = near - found, found | near
    if not found:
        return {}
    rows = conn.execute(select(lead.c.id, lead.c.subject).where(lead.c.id.in_(found)).order_by(lead.c.id)).all()
    return {row.id: row.subject for row in rows}
