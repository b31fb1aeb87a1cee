"""What is put right, dropped and checked at night?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consent import ledger
from consent.replay import replay
from nurture.audit.anchoring import known_key
from nurture.delivery.reconciling import look_into
from nurture.leads.rights import erasing, requests, retention
from nurture.store import summaries
from tasks.counting import Tally, tally
from tasks.unit import MINUTE, unit
from tasks.workplace import here

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@unit(timeout=10 * MINUTE)
def reconcile() -> Tally:
    """Resolve doubtful mails by what the provider reported since."""
    place = here()
    return tally(look_into(place.workspace, place.provider, at=place.now).as_dict())


@unit(timeout=60 * MINUTE)
def verify_ledger() -> Tally:
    """Recompute the ledger's tree, then ask of every authorisation whether a living consent carried it.

    `ledger_broken` is 1 when an entry is not what it was, or else `unconsented` counts what was sent without.
    """
    place = here()
    with place.store.read() as connection:
        found = ledger.verify(connection, signed_by=known_key(place.workspace))
        # A replay of changed entries would say nothing.
        breaches = replay(connection).breaches if found.ok else 0
    return {"ledger_entries": found.size, "ledger_broken": int(not found.ok), "unconsented": breaches}


@unit(timeout=60 * MINUTE)
def erase_requested() -> Tally:
    """Carry out the erasures that people asked for on the page, and finish those that a killed run left.

    `erasure_remains` counts files that name somebody and are not ours to change.
    """
    place = here()
    done = erasing.erase_open(place.workspace, at=place.now)
    return tally({"erased": done.requests, "erasure_remains": len(done.left)})


@unit(timeout=60 * MINUTE)
def forget() -> Tally:
    """Drop what is older than policies/retention.yaml says, counted by class."""
    place = here()
    dropped = retention.run(place.workspace, at=place.now)
    return tally({f"dropped.{name}": count for name, count in dropped.items()})


@unit(timeout=2 * MINUTE)
def urgent_requests() -> tuple[list[int], int]:
    """Which requests of persons must be answered soon? Their ids, and how many are late already."""
    place = here()
    with place.store.read() as connection:
        found = requests.waiting(connection, due_before=place.now + requests.WARNING)
    return [one.request_id for one in found], sum(one.due_at <= place.now for one in found)


@unit(timeout=2 * MINUTE)
def write_summary(flow: str, counts: Mapping[str, int], started_at: datetime) -> None:
    """Keep what a run did."""
    place = here()
    with place.store.write() as connection:
        summaries.record(connection, flow, counts, started_at=started_at, ended_at=place.now)
