"""How do handovers reach sales, and what if sales does not answer?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from nurture.handover import answers, deliver, notices, settled
from nurture.store import summaries
from tasks.unit import MINUTE, unit
from tasks.workplace import here

FIRST_LOOK = timedelta(hours=1)
"""How far the very first run looks back for answers."""
HANDOVERS = 100
"""Handovers in one chunk; each is a call to the sales system."""


@dataclass(frozen=True)
class Reached:
    """Public ids of handovers, by what happened to them."""

    delivered: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many were tried."""
        return len(self.delivered) + len(self.failed) + len(self.dead) + len(self.withdrawn)


@unit(timeout=20 * MINUTE, retries=0)
def drain_chunk() -> Reached:
    """Deliver one chunk of the outbox. A failed delivery has its own next time; the task is not repeated."""
    place = here()
    done = deliver.drain(
        place.workspace, place.handover, place.target, at=place.now, clock=place.clock, limit=HANDOVERS
    )
    return Reached(tuple(done.delivered), tuple(done.failed), tuple(done.dead), tuple(done.withdrawn))


@unit(timeout=20 * MINUTE, retries=0)
def announce_withdrawals() -> Reached:
    """Tell sales who withdrew after the handover, one chunk of notices."""
    place = here()
    done = notices.announce(place.workspace, place.target, at=place.now, clock=place.clock, limit=HANDOVERS)
    return Reached((), tuple(done.failed), tuple(done.dead), tuple(done.withdrawn))


@unit(timeout=2 * MINUTE)
def expire_deadlines() -> list[str]:
    """Escalate what sales did not answer in time; public ids."""
    place = here()
    with place.store.write() as connection:
        return list(answers.expire(connection, at=place.now))


@unit(timeout=2 * MINUTE)
def find_overdue() -> list[str]:
    """Give the handovers that passed their deadline undelivered since the last run; public ids."""
    place = here()
    with place.store.read() as connection:
        after = summaries.last_start(connection, "hand_over") or place.now - FIRST_LOOK
        return answers.overdue(connection, after=after, until=place.now)


@unit(timeout=2 * MINUTE)
def read_answers() -> list[tuple[str, str]]:
    """Give what sales answered since the last run: public ids with "accepted" or "returned"."""
    place = here()
    with place.store.read() as connection:
        after = summaries.last_start(connection, "hand_over") or place.now - FIRST_LOOK
        return settled.answered(connection, after=after, until=place.now)
