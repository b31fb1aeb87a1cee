"""How many mails may one person get? Reads policies/frequency.yaml and counts and takes slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from sqlalchemy import delete, func, select

from nurture.delivery.errors import DeliveryError
from nurture.delivery.queue import insert_missing
from nurture.store.tables import send_slot

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from nurture.delivery.composing import Letter

CHUNK = 1000


class Cap(BaseModel):
    """At most `most` mails in each window of kind `per`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    most: int = Field(ge=1, le=50)
    per: Literal["iso_week", "day"] = "iso_week"

    def window(self, at: datetime, zone: ZoneInfo) -> str:
        """Name the window a moment falls into, in the legal zone, such as `2026-W47` or `2026-11-23`."""
        local = at.astimezone(zone)
        if self.per == "day":
            return local.date().isoformat()
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"


class FrequencyPolicy(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1)
    marketing: Cap


def load(policies: Path) -> FrequencyPolicy:
    """Read `frequency.yaml` of the policies folder; raises DeliveryError that names file, path and reason."""
    path = policies / "frequency.yaml"
    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
        return FrequencyPolicy.model_validate(raw)
    except OSError as error:
        raise DeliveryError(f"{path.name}: cannot be read ({error.strerror}); it belongs into policies/") from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise DeliveryError(f"{path.name}:{line}: no valid YAML: {getattr(error, 'problem', None)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DeliveryError(f"{path.name}:1: {where}: {first['msg']}") from error


def used(conn: Connection, lead_ids: Collection[int], window: str) -> dict[int, int]:
    """How many slots has each of these leads taken in this window? Leads without one are left out."""
    found: dict[int, int] = {}
    ids = sorted(lead_ids)
    for start in range(0, len(ids), CHUNK):
        # Served by the primary key (lead_id, window, slot).
        query = (
            select(send_slot.c.lead_id, func.count())
            .where(send_slot.c.lead_id.in_(ids[start : start + CHUNK]), send_slot.c.window == window)
            .group_by(send_slot.c.lead_id)
        )
        found.update({row[0]: row[1] for row in conn.execute(query)})
    return found


def take_slots(conn: Connection, letters: Sequence[Letter], window: str, most: int) -> set[int]:
    """Give the message ids that hold one of their lead's slots in this window, taking free ones.

    Two workers collide on the primary key (lead, window, slot) instead of both counting. A message that
    kept a slot of an earlier window (its first try was refused last week) gives it back first.
    """
    ids = [letter.message_id for letter in letters]
    conn.execute(delete(send_slot).where(send_slot.c.message_id.in_(ids), send_slot.c.window != window))
    # In order of the lead, so that two workers that want the same leads do not wait for each other.
    waiting = sorted(
        (letter for letter in letters if letter.lead_id is not None), key=lambda one: (one.lead_id, one.message_id)
    )
    query = select(send_slot.c.message_id).where(send_slot.c.message_id.in_(ids), send_slot.c.window == window)
    held = set(conn.execute(query).scalars())
    for slot in range(1, most + 1):
        rows = [
            {"lead_id": letter.lead_id, "window": window, "slot": slot, "message_id": letter.message_id}
            for letter in waiting
            if letter.message_id not in held
        ]
        if not rows:
            break
        insert_missing(conn, send_slot, rows, ())
        held = set(conn.execute(query).scalars())
    return held
