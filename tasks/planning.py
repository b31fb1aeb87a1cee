"""What comes due in a sequence, chunk by chunk?"""

from __future__ import annotations

from nurture import NurtureError
from nurture.delivery import policy, ramp
from nurture.failpoints import committing
from nurture.sequences import planner
from nurture.store import statistics
from tasks.counting import Tally, tally
from tasks.unit import MINUTE, unit
from tasks.workplace import here

LEADS = 10_000
"""Leads in one transaction: so many are decided by the same few statements."""


class UnknownSequenceError(NurtureError):
    """There is no such sequence in templates/."""


@unit(timeout=5 * MINUTE)
def enrol_chunk(sequence: str | None) -> Tally:
    """Let leads into the sequences and out of them; `enrolled` counts those who came in."""
    place = here()
    if sequence is not None and sequence not in place.definitions:
        raise UnknownSequenceError(f"sequence {sequence!r} has no folder with a sequence.yaml in templates/")
    with place.store.write() as connection:
        enrolled = planner.enrol(connection, place.definitions, at=place.now, limit=LEADS)
    statistics.refresh(place.store, enrolled)
    return {"enrolled": enrolled}


@unit(timeout=5 * MINUTE)
def plan_chunk(sequence: str | None) -> Tally:
    """Decide one chunk of due enrolments and queue its mails; `due` is how many were due."""
    place = here()
    settings, provider = place.workspace.settings, place.provider
    with committing("plan", place.store.write()) as connection:
        counts = planner.plan(
            connection,
            place.workspace,
            place.definitions,
            place.library,
            provider_name=provider.name,
            batch_limit=ramp.largest_batch(
                policy.load(settings.policies), place.now, settings.tz, min(provider.batch_limit, settings.batch_size)
            ),
            sequence=sequence,
            at=place.now,
            limit=LEADS,
        )
    statistics.refresh(place.store, counts.due)
    return tally(counts.as_dict())
