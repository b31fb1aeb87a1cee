"""What became of the mails whose fate nobody knows? Asks whoever can tell, then writes down what is proven."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.delivery import brakes, facts
from nurture.delivery.outbox import Outbox
from nurture.failpoints import committing

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.delivery.facts import Witness
    from nurture.delivery.provider import Provider
    from nurture.delivery.states import Counts
    from nurture.store.workspace import Workspace


def look_into(ws: Workspace, provider: Provider, *, at: datetime) -> Counts:
    """Resolve doubts by events and by what the provider can show, give up old ones, and remember that it was done."""
    # The outbox folder shows what it took; no other provider is asked while a transaction is open.
    witness: Witness | None = provider if isinstance(provider, Outbox) else None
    with committing("reconcile", ws.store.write()) as conn:
        counts = facts.reconcile(conn, at=at, witness=witness)
        brakes.reconciled(conn, at)
    return counts
