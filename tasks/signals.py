"""How do events become temperatures and qualified leads? One transaction from the raw bytes to the outbox row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consent import ledger
from nurture.failpoints import reach
from nurture.handover.qualify import qualify
from nurture.scoring import project
from nurture.tracking.ingest import ingest
from tasks.unit import MINUTE, unit
from tasks.workplace import here

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from tasks.counting import Tally
    from tasks.workplace import Workplace

RAW_EVENTS = 500
"""Raw bodies in one chunk; one body of a provider's webhook may hold many events."""
LEADS = 1000


@dataclass(frozen=True)
class Heard:
    """What one chunk did: counts, and the ids of handovers that it made."""

    counts: Tally
    handovers: tuple[int, ...]
    more: bool


@unit(timeout=5 * MINUTE)
def ingest_chunk() -> Heard:
    """Apply one chunk of raw events and all that follows from them.

    Events, scores and handovers are one transaction: a crash leaves either all of it or nothing.
    """
    place = here()
    with place.store.write() as connection:
        done = ingest(connection, place.workspace, at=place.now, limit=RAW_EVENTS)
        changes, handovers = _follow(place, connection, done.leads)
    counts = {"raw": done.raw, "events": done.events, "duplicates": done.duplicates, "quarantined": done.quarantined,
              "withdrawn": done.withdrawn, "scored": len(done.leads), **changes}  # fmt: skip
    return Heard({name: count for name, count in counts.items() if count}, handovers, done.more)


@unit(timeout=5 * MINUTE)
def cool_chunk() -> Heard:
    """Score leads anew of whom no event tells: whose points faded with time, whose facts or consent changed.

    A withdrawal on our own page or by one click is no event; it reaches the score here.
    """
    place = here()
    with place.store.write() as connection:
        # As everywhere before leads are written: an import that completes the same leads holds it, too.
        ledger.lock(connection)
        cooled = project.cooling(connection, at=place.now, limit=LEADS)
        reconsidered = project.reconsidered(connection, limit=LEADS)
        changes, handovers = _follow(place, connection, [*cooled, *reconsidered])
    counts = {"cooled": len(cooled), "reconsidered": len(reconsidered)}
    more = LEADS in counts.values()
    return Heard({**{name: count for name, count in counts.items() if count}, **changes}, handovers, more)


def _follow(place: Workplace, connection: Connection, leads: Iterable[int]) -> tuple[Tally, tuple[int, ...]]:
    """Score leads anew and hand over those who now qualify; counts by the temperature they changed to."""
    touched = sorted(set(leads))
    changes: Tally = {}
    for change in project.rescore(connection, place.scoring, touched, at=place.now):
        name = f"temperature.{change.after}"
        changes[name] = changes.get(name, 0) + 1
    zone = place.workspace.settings.tz
    made = qualify(connection, place.handover, touched, zone=zone, at=place.now)
    reach("score.before_commit")
    return {**changes, **({"qualified": len(made)} if made else {})}, made
