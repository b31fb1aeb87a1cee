"""How many mails may one person get? Reads policies/frequency.yaml and counts and takes slots.

The cap of the policy holds for everybody; what a person chose can only lower it (nurture/leads/preferences.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from sqlalchemy import Integer, String, bindparam, delete, func, insert, select

from consent.among import among, among_listed, listed
from nurture.rereading import remembered
from nurture.store import definitions
from nurture.store.definitions import Part
from nurture.store.tables import message, send_slot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Insert, Select

    from nurture.delivery.composing import Letter
    from nurture.leads.preferences import Choice

CHUNK = 1000


class Cap(Part):
    """At most `most` mails in each window of kind `per`."""

    most: int = Field(ge=1, le=50)
    per: Literal["iso_week", "day"] = "iso_week"

    def window(self, at: datetime, zone: ZoneInfo) -> str:
        """Name the window a moment falls into, in the legal zone, such as `2026-W47` or `2026-11-23`."""
        local = at.astimezone(zone)
        if self.per == "day":
            return local.date().isoformat()
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"


class FrequencyPolicy(Part):
    """The whole file."""

    version: int = Field(ge=1)
    marketing: Cap


def load(policies: Path) -> FrequencyPolicy:
    """Read `frequency.yaml` of the policies folder; raises DefinitionError that names file, line and reason."""
    return remembered(_read, policies / "frequency.yaml")


def _read(path: Path) -> FrequencyPolicy:
    return definitions.load(path, FrequencyPolicy)


def used(conn: Connection, lead_ids: Collection[int], windows: Collection[str]) -> dict[int, int]:
    """How many slots has each of these leads taken in these windows? Leads without one are left out."""
    found: dict[int, int] = {}
    ids = sorted(lead_ids)
    for start in range(0, len(ids), CHUNK):
        # Served by the primary key (lead_id, window, slot).
        query = (
            select(send_slot.c.lead_id, func.count())
            .where(send_slot.c.lead_id.in_(ids[start : start + CHUNK]), send_slot.c.window.in_(sorted(windows)))
            .group_by(send_slot.c.lead_id)
        )
        found.update({row[0]: row[1] for row in conn.execute(query)})
    return found


def weeks(at: datetime, zone: ZoneInfo, count: int) -> tuple[datetime, datetime]:
    """Give the begin of the first and the end of the last of `count` calendar weeks, the last holding `at`; UTC."""
    today = at.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    edges = (monday - timedelta(weeks=count - 1), monday + timedelta(weeks=1))
    first, last = (datetime.combine(day, time(0), zone).astimezone(UTC) for day in edges)
    return first, last


def windows(cap: Cap, at: datetime, zone: ZoneInfo, count: int) -> tuple[str, ...]:
    """Name all windows of the cap in `count` calendar weeks up to and with the present window, oldest first."""
    first = weeks(at, zone, count)[0].astimezone(zone).date()
    days = (at.astimezone(zone).date() - first).days
    noons = (datetime.combine(first + timedelta(days=day), time(12), zone) for day in range(days + 1))
    return tuple(dict.fromkeys(cap.window(noon, zone) for noon in noons))


def chosen(
    conn: Connection, choices: Mapping[int, Choice], cap: Cap, *, at: datetime, zone: ZoneInfo
) -> dict[int, int]:
    """How many slots of the present window may these leads hold by their own choice, by lead?

    What they got in the earlier windows of their span is taken off. Leads that chose nothing are left out.
    """
    left: dict[int, int] = {}
    for pace in {choice.pace for choice in choices.values() if choice.pace is not None}:
        most, span = pace
        mine = [lead_id for lead_id, choice in choices.items() if choice.pace == pace]
        before = used(conn, mine, windows(cap, at, zone, span)[:-1])
        left |= {lead_id: max(0, most - before.get(lead_id, 0)) for lead_id in mine}
    return left


def take_slots(
    conn: Connection, letters: Sequence[Letter], window: str, most: int, *, own: Mapping[int, int] | None = None
) -> set[int]:
    """Give the message ids that hold one of their lead's slots in this window, taking free ones.

    Two workers collide on the primary key (lead, window, slot) instead of both counting. A message that
    kept a slot of an earlier window (its first try was refused last week) gives it back first. `own` lowers
    `most` for the leads it names, and takes back slots above that; what their other mails hold counts,
    whatever its number.
    """
    ids = [letter.message_id for letter in letters]
    lower = _ceilings(conn, {lead_id: few for lead_id, few in (own or {}).items() if few < most}, window, ids)
    few = {letter.message_id: lower[letter.lead_id] for letter in letters if letter.lead_id in lower}
    found = conn.execute(_held(conn.dialect.name), {"ids": listed(conn, ids)}).all()
    held = {number for number, of, slot in found if of == window and slot <= few.get(number, slot)}
    gone = [number for number, _, _ in found if number not in held]
    if gone:
        conn.execute(delete(send_slot).where(among(conn, send_slot.c.message_id, gone)))
    for slot in range(1, most + 1):
        wanting = [
            letter.message_id
            for letter in letters
            if letter.message_id not in held and slot <= lower.get(letter.lead_id or 0, most)
        ]
        if not wanting:
            break
        taken = _take(conn, wanting, window, slot)
        if taken == len(wanting):
            held.update(wanting)
        else:
            held.update(conn.execute(_held(conn.dialect.name), {"ids": listed(conn, wanting)}).scalars())
    return held


def _take(conn: Connection, message_ids: Sequence[int], window: str, slot: int) -> int:
    """Take this slot for the leads of these messages where it is free; give how many that were.

    In order of the lead, so that two workers that want the same leads do not wait for each other.
    """
    wanted = {"ids": listed(conn, message_ids), "of": window, "number": slot}
    return conn.execute(_taking(conn.dialect.name), wanted).rowcount


@cache
def _held(dialect: str) -> Select[tuple[int, str, int]]:
    """Select the slots that the messages `ids` hold."""
    mine = among_listed(dialect, send_slot.c.message_id, "ids")
    return select(send_slot.c.message_id, send_slot.c.window, send_slot.c.slot).where(mine)


@cache
def _taking(dialect: str) -> Insert:
    """Take the slot `number` of the window `of` for the messages `ids`, where it is free."""
    window, number = bindparam("of", type_=String()), bindparam("number", type_=Integer())
    rows = (
        select(message.c.lead_id, window, number, message.c.id)
        .where(among_listed(dialect, message.c.id, "ids"), message.c.lead_id.is_not(None))
        .order_by(message.c.lead_id, message.c.id)
        # Both databases read it at the end of the insert; SQLAlchemy's own spelling is compiled anew each time.
        .suffix_with("ON CONFLICT DO NOTHING")
    )
    return insert(send_slot).from_select(["lead_id", "window", "slot", "message_id"], rows)


def _ceilings(conn: Connection, few: Mapping[int, int], window: str, ids: Sequence[int]) -> dict[int, int]:
    """Up to which slot number may each lead's mails of a batch go, so that with its other mails it holds so few?

    Not how many are free: two workers that count alike would both take one, but collide on a number.
    """
    taken: dict[int, list[int]] = {lead_id: [] for lead_id in few}
    leads, mine = sorted(few), set(ids)
    for start in range(0, len(leads), CHUNK):
        query = select(send_slot.c.lead_id, send_slot.c.slot, send_slot.c.message_id).where(
            send_slot.c.lead_id.in_(leads[start : start + CHUNK]), send_slot.c.window == window
        )
        for row in conn.execute(query):
            if row.message_id not in mine:
                taken[row.lead_id].append(row.slot)
    return {lead_id: _ceiling(most, taken[lead_id]) for lead_id, most in few.items()}


def _ceiling(most: int, taken: Sequence[int]) -> int:
    """Give the highest number n so that slots 1 to n, and those taken above n, are `most` or fewer; else 0."""
    fits = (number for number in range(most + 1) if number + sum(slot > number for slot in taken) <= most)
    return max(fits, default=0)
