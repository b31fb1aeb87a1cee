"""Which leads are there? Numbers and facts, never who they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, exists, func, not_, select

from consent.schema import consent_state, identity, suppression
from consent.states import EMAIL, TRACKING, State
from consent.suppression import EVERYONE
from nurture.store.tables import lead, lead_score

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Listed:
    """One lead, without a name."""

    lead: int
    stage: str
    owner: str
    temperature: str
    score: float
    mailable: bool
    """A mail consent stands given and nothing bars the address; the gate still decides each mail."""
    created_at: datetime


def listed(
    conn: Connection,
    *,
    controller: str,
    stage: str | None = None,
    temperature: str | None = None,
    mailable: bool | None = None,
    merged: bool = False,
    after: int = 0,
    limit: int = 50,
) -> list[Listed]:
    """Give leads in the order of their numbers, beginning behind `after`; those merged away only if asked for."""
    band = func.coalesce(lead_score.c.temperature, "cold")
    reachable = may_be_mailed(controller)
    query = (
        select(lead, band.label("temperature"), func.coalesce(lead_score.c.score, 0.0).label("score"),
               reachable.label("mailable"))
        .join(identity, identity.c.subject == lead.c.subject)
        .outerjoin(lead_score, lead_score.c.lead_id == lead.c.id)
        .where(lead.c.id > after, identity.c.erased_at.is_(None), identity.c.address_index.is_not(None))
        .order_by(lead.c.id)
        .limit(limit)
    )  # fmt: skip
    if stage is not None:
        query = query.where(lead.c.stage == stage)
    if temperature is not None:
        query = query.where(band == temperature)
    if mailable is not None:
        query = query.where(reachable if mailable else not_(reachable))
    if not merged:
        query = query.where(lead.c.merged_into.is_(None))
    return [
        Listed(row.id, row.stage, row.owner, row.temperature, round(row.score, 1), bool(row.mailable), row.created_at)
        for row in conn.execute(query)
    ]


def may_be_mailed(controller: str) -> ColumnElement[bool]:
    """Ask of a row of `lead` joined with `identity`: could a mail to it pass the gate, staleness left aside?"""
    given = exists().where(
        consent_state.c.subject == lead.c.subject,
        consent_state.c.controller == controller,
        consent_state.c.channel == EMAIL,
        consent_state.c.purpose != TRACKING,
        consent_state.c.state == State.GIVEN,
    )
    barred = exists().where(
        suppression.c.address_index == identity.c.address_index,
        suppression.c.controller.in_([EVERYONE, controller]),
    )
    return and_(identity.c.restricted_at.is_(None), given, not_(barred))
