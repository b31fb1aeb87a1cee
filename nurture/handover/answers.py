"""What does sales say? Accept, or give back with a reason; or nothing until the deadline."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select, update

from nurture.handover.policy import HandoverError
from nurture.leads import stages
from nurture.store.tables import handover, lead

if TYPE_CHECKING:
    from datetime import datetime

OPEN = ("created", "delivered", "expired", "escalated", "dead")
"""States in which sales may answer. They may know of a lead that no call ever reached them about."""
UNDELIVERED = ("created", "dead")


class ReturnReason(StrEnum):
    """Why sales gives a lead back. The first six go on being nurtured; the rest end it."""

    NOT_DECIDER = "not_decider"
    """Interested, but somebody else decides."""
    BUDGET_OPEN = "budget_open"
    """No budget yet."""
    OTHER_PRIORITIES = "other_priorities"
    """Wants it, later."""
    TOO_EARLY = "too_early"
    """Only looking around; sales came too soon."""
    NOT_REACHED = "not_reached"
    """No answer to sales' attempts."""
    NEED_UNCLEAR = "need_unclear"
    """No concrete need found."""
    NO_FIT = "no_fit"
    """Outside of what we sell or to whom."""
    WRONG_DATA = "wrong_data"
    """The person or company does not exist as stated."""
    COMPETITOR = "competitor"
    """A competitor, a student, a journalist."""


ENDING = {ReturnReason.NO_FIT, ReturnReason.WRONG_DATA, ReturnReason.COMPETITOR}


def accept(connection: Connection, public_id: str, *, actor: str, at: datetime) -> int:
    """Sales works on this lead from now on; give its id.

    Accepting twice changes nothing. Raises HandoverError for an unknown or returned handover.
    """
    row = _open(connection, public_id, repeated="accepted")
    if row is None:
        return _lead(connection, public_id)
    connection.execute(update(handover).where(handover.c.id == row[0]).values(state="accepted", settled_at=at))
    stages.move(connection, {row[1]: "sal"}, cause=f"sales:accepted:{actor}"[:64], at=at)
    return row[1]


def give_back(connection: Connection, public_id: str, *, reason: ReturnReason, actor: str, at: datetime) -> int:
    """Sales gives the lead back; it is recycled into nurturing, or disqualified. Give its id.

    Returning twice changes nothing. Raises HandoverError for an unknown or accepted handover.
    """
    row = _open(connection, public_id, repeated="returned")
    if row is None:
        return _lead(connection, public_id)
    answer = {"state": "returned", "settled_at": at, "answer": reason.value, "next_attempt_at": None}
    connection.execute(update(handover).where(handover.c.id == row[0]).values(answer))
    stage = "disqualified" if reason in ENDING else "recycled"
    stages.move(connection, {row[1]: stage}, cause=f"sales:{reason.value}:{actor}"[:64], at=at)
    return row[1]


def expire(connection: Connection, *, at: datetime) -> list[str]:
    """Which delivered handovers had no answer by their deadline? They are escalated; give their ids.

    Escalated handovers stay with sales: accepting or returning them is still possible.
    """
    late = (handover.c.state == "delivered") & (handover.c.deadline_at <= at)
    ids = connection.execute(select(handover.c.public_id).where(late).order_by(handover.c.id)).scalars().all()
    if ids:
        connection.execute(update(handover).where(late).values(state="escalated"))
    return list(ids)


def overdue(connection: Connection, *, after: datetime, until: datetime) -> list[str]:
    """Which handovers passed their deadline in a span of time (UTC) while undelivered or dead? Give their ids.

    They belong to sales, who may not know; a person has to act. Delivery goes on where it is not dead.
    """
    late = select(handover.c.public_id).where(
        handover.c.state.in_(UNDELIVERED), handover.c.deadline_at > after, handover.c.deadline_at <= until
    )
    return list(connection.execute(late.order_by(handover.c.id)).scalars())


def _open(connection: Connection, public_id: str, *, repeated: str) -> tuple[int, int] | None:
    """Give (id, lead id) of an unanswered handover, None where the same answer stands already."""
    row = connection.execute(
        select(handover.c.id, func.coalesce(lead.c.merged_into, lead.c.id).label("lead_id"), handover.c.state)
        .join(lead, lead.c.id == handover.c.lead_id)
        .where(handover.c.public_id == public_id)
        .with_for_update(of=handover)
    ).one_or_none()
    if row is None:
        raise HandoverError(f"there is no handover {public_id}; see 'nurture handover list'")
    if row.state == repeated:
        return None
    if row.state not in OPEN:
        raise HandoverError(f"handover {public_id} is {row.state}; it cannot be {repeated} any more")
    return row.id, row.lead_id


def _lead(connection: Connection, public_id: str) -> int:
    """Give the lead of a handover, or the one it was merged into."""
    query = select(func.coalesce(lead.c.merged_into, lead.c.id)).join(handover, handover.c.lead_id == lead.c.id)
    found: int = connection.execute(query.where(handover.c.public_id == public_id)).scalar_one()
    return found
