"""What does one lead's way look like? The explanation that `nurture explain` gives, drawn as a line of points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nurture.sequences.explain import explain
from nurture.sequences.wording import sentence

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from nurture.sequences.explain import Entry

COLOURS = {"consent": "consent", "mail": "mail", "event": "event", "signal": "handover", "handover": "handover"}
LEFT_OUT = {"delivery", "decision"}
"""Every mail has a decision and a delivery; the picture shows the mail itself."""
PROVIDERS = {"processed", "delivered", "deferred"}


def worth_showing(entry: Entry) -> bool:
    """Leave out what is true of every mail, and points that a cap made nought."""
    if entry.kind == "points":
        return bool(entry.facts["points"])
    return entry.kind not in LEFT_OUT and entry.facts.get("event") not in PROVIDERS


def story(connection: Connection, lead_id: int, zone: ZoneInfo, language: str) -> dict[str, Any]:
    """Give the entries of a lead's life as texts with their time in the legal zone."""
    items = [
        {
            "at": f"{entry.at.astimezone(zone):%d.%m.%Y, %H:%M}",
            "css": COLOURS.get(entry.kind, ""),
            "text": sentence(entry, language=language, zone=zone),
        }
        for entry in explain(connection, lead_id).entries
        if worth_showing(entry)
    ]
    return {"lead": lead_id, "items": items}
