"""How does a planned batch get to the provider? Four short steps, each with its own transaction or none.

    claim     ours, for a while                        transaction
    compose   write the mails                          reads only
    intend    may they leave?                          transaction; from its commit on they may have left
    submit    hand over                                no transaction open
    settle    what became of it                        transaction

A crash before the intent's commit costs nothing but the lease; one after it leaves a doubt, which
`recover` names and `nurture.delivery.facts` resolves. Nothing is ever sent twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from consent.gate import LEASE
from nurture.clock import stopwatch
from nurture.delivery.claiming import Claim, claim, recover
from nurture.delivery.composing import Composed, compose
from nurture.delivery.errors import DeliveryError
from nurture.delivery.intent import Submission, intend
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Outcome, Provider, Refused, Unknown
from nurture.delivery.settling import settle
from nurture.delivery.states import Counts, Kind, State

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.delivery.content.library import Library
    from nurture.store.workspace import Workspace

__all__ = [
    "Claim",
    "Composed",
    "Counts",
    "Kind",
    "State",
    "Submission",
    "claim",
    "compose",
    "intend",
    "recover",
    "refuse_ahead",
    "send_next",
    "settle",
]


def send_next(
    ws: Workspace, library: Library, provider: Provider, *, kind: str, owner: str, at: datetime
) -> Counts | None:
    """Take one due batch all the way; None when none is due (or sending is stopped, or the circuit open).

    Call it until it gives None. `at` must be the present of the caller's clock: leases count from it.
    """
    began = stopwatch()
    with ws.store.write() as conn:
        held = claim(conn, owner=owner, kind=kind, at=at, provider=provider.name, batch_limit=provider.batch_limit)
    if held is None:
        return None
    composed = compose(ws, library, held, at=at)
    with ws.store.write() as conn:
        submission = intend(conn, ws, composed, at=at)
    if not submission.ready:
        return submission.counts
    outcome = _submit(provider, submission, at=at, began=began)
    with ws.store.write() as conn:
        return submission.counts + settle(conn, submission, outcome, at=at)


def refuse_ahead(provider: Provider, *, at: datetime, now: datetime) -> None:
    """Raise DeliveryError where mails would really leave at a time that is still to come.

    Only the outbox, which reaches nobody, may be sent to ahead of time (demo, trial).
    """
    if provider.name != Outbox.name and at > now:
        raise DeliveryError(
            f"{provider.name} delivers to people and {at:%Y-%m-%d %H:%M} UTC is to come; leave out the time"
        )


def _submit(provider: Provider, submission: Submission, *, at: datetime, began: float) -> Outcome:
    """Hand over; a provider that raises has broken its promise, and then nobody knows what it did before.

    `at` was the present when the stopwatch stood at `began`. After a pause longer than a permit lives (a
    suspended machine) nothing is handed over: ask again.
    """
    present = at + timedelta(seconds=stopwatch() - began)
    if any(present > (one.permit.lease_until if one.permit else at + LEASE) for one in submission.ready):
        return Refused("permit over")
    try:
        return provider.submit(submission.outgoing)
    except Exception as error:  # noqa: BLE001  see above: the batch must not stay without an answer
        return Unknown(f"provider raised {type(error).__name__}")
