"""Where in its life does a lead stand, and who acts next? One canonical list.

The labels that people see come from policies/vocabulary.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import insert, or_, select, update

from consent.among import among_listed, listed
from nurture import NurtureError
from nurture.store.tables import lead, stage_change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

CHUNK = 1000
"""Ids in one statement: SQLite allows 32,766 bound variables, PostgreSQL plans long lists slowly."""


class Stage(StrEnum):
    """The canonical stages, in the order of a life that goes well."""

    ANONYMOUS = "anonymous"
    """Known by behaviour alone; holds no address that may be written to."""
    UNCONFIRMED = "unconfirmed"
    """An address without proven permission: an import, a sign-up nobody confirmed."""
    CONFIRMED = "confirmed"
    """Permission is proven."""
    ENGAGED = "engaged"
    """Reacted to what was sent."""
    MQL = "mql"
    """Marketing finds it ready."""
    HANDED_OVER = "handed_over"
    """Offered to sales, which has not answered yet."""
    SAL = "sal"
    """Accepted by sales."""
    SQL = "sql"
    """Concrete need known, in the offer phase."""
    CUSTOMER = "customer"
    """Bought."""
    RECYCLED = "recycled"
    """Returned by sales with a reason; marketing nurtures on."""
    DISQUALIFIED = "disqualified"
    """Will not buy; left alone."""


class Owner(StrEnum):
    """Who acts next."""

    MARKETING = "marketing"
    SALES = "sales"


OWNERS = {
    stage: Owner.SALES if stage in {Stage.HANDED_OVER, Stage.SAL, Stage.SQL, Stage.CUSTOMER} else Owner.MARKETING
    for stage in Stage
}
"""Each stage has one owner, so a handover changes it exactly once: at `handed_over`."""


GONE = frozenset({Stage.CUSTOMER, Stage.DISQUALIFIED})
"""Stages that end marketing's mail for good."""
AT_SALES = frozenset({Stage.HANDED_OVER, Stage.SAL, Stage.SQL})
"""Stages in which only sales writes."""


class Bar(StrEnum):
    """Why marketing may not write to a lead, whatever the person agreed to."""

    CUSTOMER = "customer"
    """It buys already."""
    DISQUALIFIED = "disqualified"
    """Sales or a rule said no for good."""
    WITH_SALES = "with_sales"
    """Sales talks to it: marketing is silent until it comes back."""
    MERGED = "merged"
    """It was merged into another lead, which alone is written to: by its stage, its choices and its cap."""


JOINED = "merged into another lead"
"""What the gate says of a lead that was merged."""


def barred(stage: str, owner: str) -> Bar | None:
    """Say why marketing may not write to a lead that stands here; None where it may.

    Asked when a step is planned and once more when its mail is about to leave.
    """
    if stage in GONE:
        return Bar(stage)
    return Bar.WITH_SALES if owner == Owner.SALES or stage in AT_SALES else None


def barred_among(conn: Connection, lead_ids: Iterable[int]) -> dict[int, tuple[Bar, str]]:
    """Give the leads that marketing may not write to now, each with why, and what the gate says about it."""
    found: dict[int, tuple[Bar, str]] = {}
    for row in conn.execute(_perhaps(conn.dialect.name), {"ids": listed(conn, lead_ids)}):
        if row.merged_into is not None:
            found[row.id] = Bar.MERGED, JOINED
        elif bar := barred(row.stage, row.owner):
            found[row.id] = bar, f"{row.stage}, {row.owner}"
    return found


@cache
def _perhaps(dialect: str) -> Select[tuple[int, str, str, int | None]]:
    """Select those of the leads `ids` that may be barred; the rule itself stands in `barred`."""
    perhaps = or_(
        lead.c.stage.in_(sorted(GONE | AT_SALES)),
        lead.c.owner != Owner.MARKETING.value,
        lead.c.merged_into.is_not(None),
    )
    columns = lead.c.id, lead.c.stage, lead.c.owner, lead.c.merged_into
    return select(*columns).where(among_listed(dialect, lead.c.id, "ids"), perhaps)


class StageError(NurtureError):
    """A stage change that cannot be recorded."""


def move(conn: Connection, stages: Mapping[int, str], *, cause: str, at: datetime) -> tuple[int, ...]:
    """Put leads (id -> stage) where they now belong and append the change to their history.

    `cause` says what made it so: import, consent_confirmed, score, signal:<kind>, sales:<reason>.
    Leads that stand there already and unknown ids are left out. Gives the ids that moved.
    Raises StageError for an unknown stage or an empty cause.
    """
    if not cause:
        raise StageError("a stage change needs a cause; name the rule or the person's act behind it")
    try:
        wanted = {lead_id: Stage(stage) for lead_id, stage in stages.items()}
    except ValueError:
        raise StageError(f"unknown stage; choose one of {', '.join(Stage)}") from None
    moved: list[int] = []
    for ids in _chunks(sorted(wanted)):
        rows = conn.execute(select(lead.c.id, lead.c.stage).where(lead.c.id.in_(ids)))
        changed = [lead_id for lead_id, stage in rows if stage != wanted[lead_id]]
        if not changed:
            continue
        conn.execute(
            insert(stage_change),
            [
                {"lead_id": lead_id, "stage": wanted[lead_id].value, "at": at, "cause": cause[:64]}
                for lead_id in changed
            ],
        )
        for stage in {wanted[lead_id] for lead_id in changed}:
            there = [lead_id for lead_id in changed if wanted[lead_id] is stage]
            values = {"stage": stage.value, "stage_since": at, "owner": OWNERS[stage].value}
            conn.execute(update(lead).where(lead.c.id.in_(there)).values(values))
        moved += changed
    return tuple(moved)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
