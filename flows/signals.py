"""What did people do, and what does it mean? Every minute, and when events were received."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  Prefect reads the signature when it runs
from typing import TYPE_CHECKING

from prefect import flow

from flows.telling import MOST_TASKS, Story, alarm, tell, told, warn
from tasks.sending import recover, watch_figures
from tasks.signals import Heard, cool_chunk, ingest_chunk

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_IDS = 10_000
"""Ids in one event; the outbox has them all."""


@flow(name="ingest-events", log_prints=False, persist_result=False, on_failure=[alarm], on_crashed=[alarm])
def ingest_events(at: datetime | None = None) -> dict[str, int]:
    """Understand what came in, score whom it concerns, let others cool, qualify; give counts.

    However many leads qualify, the run emits one event: it wakes the handover once.
    at: act as if it were this moment; empty for now.
    """
    with told("ingest_events", at) as story:
        story.add(recover())
        qualified = [*_all(ingest_chunk, story), *_all(cool_chunk, story)]
        if story.totals["events"]:
            # Complaints come in here, and no campaign may run for days.
            warn(watch_figures())
        if withdrawn := story.totals["withdrawn"]:
            tell("consent.withdrawn", "consent", count=withdrawn)
        if qualified:
            tell("leads.qualified", "leads", handovers=qualified[:MOST_IDS], count=len(qualified))
    return story.counts()


def _all(chunk: Callable[[], Heard], story: Story) -> list[int]:
    """Do chunks until there are no more; give the ids of the handovers made."""
    made: list[int] = []
    for _ in range(MOST_TASKS // 4):
        heard = chunk()
        story.add(heard.counts)
        made += heard.handovers
        if not heard.more:
            break
    return made
