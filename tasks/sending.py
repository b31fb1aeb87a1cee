"""How do queued mails leave, chunk by chunk?"""

from __future__ import annotations

from consent import opt_in
from nurture import clock
from nurture.delivery import brakes, homes, policy, sending, watching
from nurture.delivery.confirmations import queue_confirmations as queue_due
from nurture.delivery.reconciling import at_hand
from nurture.failpoints import committing
from tasks.counting import Tally, tally
from tasks.unit import MINUTE, unit
from tasks.workplace import here

MAILS = 500
"""Confirmation mails in one chunk."""
BATCHES = 20
"""Batches handed over by one task; a batch holds up to `batch_size` mails, a confirmation one."""


@unit(timeout=2 * MINUTE)
def recover() -> Tally:
    """Put right what died workers left, and expire what is too late."""
    place = here()
    with place.store.write() as connection:
        return tally(sending.recover(connection, at=place.now).as_dict())


@unit(timeout=2 * MINUTE)
def watch_figures() -> list[brakes.Pulled]:
    """Count doubts and complaints, pull the brakes that they call for; give those that raise an alarm now."""
    place = here()
    limits = policy.load(place.workspace.settings.policies)
    with place.store.write() as connection:
        watching.watch(connection, limits, place.provider.name, place.now, witness=at_hand(place.provider))
        return brakes.untold(connection)


@unit(timeout=5 * MINUTE)
def queue_confirmations() -> Tally:
    """Queue one chunk of confirmation mails."""
    place = here()
    with committing("plan", place.store.write()) as connection:
        queued = queue_due(connection, place.workspace, place.library, at=place.now, limit=MAILS)
    return {"queued": queued}


@unit(timeout=30 * MINUTE, retries=0)
def send_chunk(kind: str) -> Tally:
    """Hand over up to BATCHES batches ("marketing" or "confirmation"); `batches` counts them, 0 = nothing due.

    Never retried as a whole: what is doubtful stays in doubt until facts resolve it.
    """
    place = here()
    sending.refuse_ahead(place.provider, at=place.now, now=clock.now())
    if not homes.attend(place.workspace, place.now):
        return {"batches": 0}
    total, batches = sending.send_many(
        place.workspace,
        place.library,
        place.provider,
        kind=kind,
        owner=place.owner,
        clock=place.clock,
        lanes=place.workspace.settings.provider_connections,
        most=BATCHES,
    )
    return {**tally(total.as_dict()), "batches": batches}


@unit(timeout=5 * MINUTE)
def lapse_requests() -> Tally:
    """Close one chunk of requests that nobody confirmed in time."""
    place = here()
    with place.store.write() as connection:
        return {"lapsed": opt_in.lapse(connection, at=place.now, limit=MAILS)}
