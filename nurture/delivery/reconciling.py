"""What became of the mails whose fate nobody knows? Asks whoever can tell, then writes down what is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurture.delivery import brakes, facts, policy, watching
from nurture.delivery.outbox import Outbox
from nurture.delivery.sendgrid import SendGrid
from nurture.delivery.sendgrid_logs import PAUSE, SendGridLogs, ask
from nurture.failpoints import committing

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from nurture.delivery.facts import Witness
    from nurture.delivery.provider import Provider
    from nurture.delivery.states import Counts
    from nurture.store.workspace import Workspace


@dataclass(frozen=True)
class Shown:
    """A witness that was heard before, when no transaction was open."""

    public_ids: frozenset[str]

    def proofs(self, public_ids: Collection[str]) -> set[str]:
        """Which of these were shown to be accepted?"""
        return set(public_ids) & self.public_ids


def look_into(ws: Workspace, provider: Provider, *, at: datetime) -> Counts:
    """Resolve doubts by events and by what the provider can show, give up old ones, and remember that it was done.

    The network is asked first, with no transaction open; a provider that does not answer stops nothing. Where proof
    has taken the doubts away, marketing that stood still for them goes on at once.
    """
    limits = policy.load(ws.settings.policies)
    witness = _witness(ws, provider, at)
    with committing("reconcile", ws.store.write()) as conn:
        counts = facts.reconcile(conn, at=at, witness=witness)
        brakes.reconciled(conn, at)
        watching.watch_doubts(conn, limits, provider.name, at)
    return counts


def at_hand(provider: Provider) -> Witness | None:
    """Give the witness that can be heard inside a transaction: the outbox is a folder on this machine."""
    return provider if isinstance(provider, Outbox) else None


def _witness(ws: Workspace, provider: Provider, at: datetime) -> Witness | None:
    """The outbox folder shows what it took; SendGrid's logs are asked where that is switched on."""
    settings = ws.settings
    if (here := at_hand(provider)) is not None:
        return here
    if not (isinstance(provider, SendGrid) and settings.sendgrid_logs):
        return None
    logs = SendGridLogs(
        key=settings.secret("sendgrid_api_key") or "",
        url=settings.sendgrid_url,
        timeout=settings.provider_timeout,
        pause=PAUSE,
    )
    try:
        return Shown(frozenset(ask(ws, logs, at=at)))
    finally:
        logs.close()
