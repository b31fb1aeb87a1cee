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

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from consent.gate import LEASE
from nurture.clock import stopwatch
from nurture.collecting import uncollected
from nurture.delivery import policy, ramp, watching
from nurture.delivery.claiming import Claim, claim, recover
from nurture.delivery.composing import Composed, compose
from nurture.delivery.errors import DeliveryError
from nurture.delivery.intent import Submission, intend
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import COMMIT_UNCLEAR, PERMIT_OVER, Unknown
from nurture.delivery.settling import settle
from nurture.delivery.states import Counts, Kind, State
from nurture.failpoints import committing, reach

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from nurture.clock import Clock
    from nurture.delivery.content.library import Library
    from nurture.delivery.provider import Outcome, Provider
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
    "send_many",
    "send_next",
    "settle",
]


def send_next(
    ws: Workspace, library: Library, provider: Provider, *, kind: str, owner: str, at: datetime
) -> Counts | None:
    """Take one due batch all the way; None when none is due (or sending is stopped, or the circuit open).

    Call it until it gives None. `at` must be the present of the caller's clock: leases count from it.
    """
    prepared = _prepare(ws, library, provider, kind=kind, owner=owner, at=at)
    if prepared is None:
        return None
    return _settle(ws, prepared, prepared.submit(), at=at) if prepared.submission.ready else prepared.submission.counts


def send_many(
    ws: Workspace,
    library: Library,
    provider: Provider,
    *,
    kind: str,
    owner: str,
    clock: Clock,
    lanes: int,
    most: int,
) -> tuple[Counts, int]:
    """Take up to `most` due batches all the way, up to `lanes` of them at the provider at the same time.

    Gives what became of them and how many there were; 0 when none is due. One thread decides and writes, the
    others only wait for the provider: it answers in the time of a hundred decisions. Whatever happens, what was
    handed over is settled before this returns.
    """
    total, begun, due = Counts(), 0, True
    under_way: dict[Future[Sequence[Outcome]], Prepared] = {}
    with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
        try:
            while due or under_way:
                while due and len(under_way) < lanes:
                    at = clock.now()
                    prepared = _prepare(ws, library, provider, kind=kind, owner=owner, at=at) if begun < most else None
                    if prepared is None:
                        due = False
                    elif prepared.submission.ready:
                        begun += 1
                        under_way[pool.submit(prepared.submit)] = prepared
                    else:
                        begun += 1
                        total += prepared.submission.counts
                for answered in wait(under_way, return_when=FIRST_COMPLETED).done if under_way else ():
                    total += _settle(ws, under_way.pop(answered), answered.result(), at=clock.now())
        finally:
            # A stack goes through all of them, also when one raises.
            with ExitStack() as rest:
                for answered in wait(under_way).done:
                    rest.callback(_settle, ws, under_way[answered], answered.result(), at=clock.now())
    return total, begun


@dataclass(frozen=True)
class Prepared:
    """A batch whose intent is committed, on its way to the provider."""

    provider: Provider
    submission: Submission
    at: datetime
    began: float

    def submit(self) -> Sequence[Outcome]:
        """Hand over; a provider that raises has broken its promise, and then nobody knows what it did before.

        `at` was the present when the stopwatch stood at `began`. After a pause longer than a permit lives (a
        suspended machine) nothing is handed over: ask again.
        """
        ready = self.submission.ready
        present = self.at + timedelta(seconds=stopwatch() - self.began)
        if any(present > (one.permit.lease_until if one.permit else self.at + LEASE) for one in ready):
            return [PERMIT_OVER] * len(ready)
        try:
            outcomes = self.provider.submit(self.submission.outgoing)
        except Exception as error:  # noqa: BLE001  see above: the batch must not stay without an answer
            return [Unknown(f"provider raised {type(error).__name__}")] * len(ready)
        if len(outcomes) != len(ready):
            return [Unknown("provider gave too few or too many answers")] * len(ready)
        return outcomes


def _prepare(
    ws: Workspace, library: Library, provider: Provider, *, kind: str, owner: str, at: datetime
) -> Prepared | None:
    """Claim the next batch, write its mails and commit the intent; None when there is none."""
    began = stopwatch()
    # A policy that cannot be read stops here, where nothing has left, and not with an answer in hand.
    today = ramp.today(policy.load(ws.settings.policies), at, ws.settings.tz)
    limit = provider.batch_limit
    with committing("claim", ws.store.write()) as conn:
        held = claim(conn, owner=owner, kind=kind, at=at, provider=provider.name, batch_limit=limit, today=today)
    if held is None:
        return None
    with uncollected():
        composed = compose(ws, library, held, at=at)
        submission = _intend(ws, composed, at=at)
    return Prepared(provider, submission, at, began)


def _intend(ws: Workspace, composed: Composed, *, at: datetime) -> Submission:
    """Commit the intent. Where the commit itself fails, it may stand or not; handed over was nothing, so say that."""
    submission: Submission | None = None
    try:
        with committing("intent", ws.store.write()) as conn:
            submission = intend(conn, ws, composed, at=at)
    except Exception:
        if submission is not None and submission.ready:
            with ws.store.write() as conn:
                settle(conn, submission, [COMMIT_UNCLEAR] * len(submission.ready), at=at)
        raise
    return submission


def _settle(ws: Workspace, prepared: Prepared, outcomes: Sequence[Outcome], *, at: datetime) -> Counts:
    """Write down what became of a batch; once more where the line to the database broke.

    The commit may stand all the same; then the second time changes nothing. Without it, an answer that we
    have in hand would be lost, and the batch in doubt. A new doubt may use up the budget of doubts.
    """
    reach("result.before_tx")
    try:
        with committing("result", ws.store.write()) as conn:
            made = settle(conn, prepared.submission, outcomes, at=at)
    except DBAPIError:
        with ws.store.write() as conn:
            made = settle(conn, prepared.submission, outcomes, at=at)
    claim = prepared.submission.claim
    if made.in_doubt and claim.kind is Kind.MARKETING:
        with ws.store.write() as conn:
            watching.watch_doubts(conn, policy.load(ws.settings.policies), claim.provider, at)
    return prepared.submission.counts + made


def refuse_ahead(provider: Provider, *, at: datetime, now: datetime) -> None:
    """Raise DeliveryError where mails would really leave at a time that is still to come.

    Only the outbox, which reaches nobody, may be sent to ahead of time (demo, trial).
    """
    if provider.name != Outbox.name and at > now:
        raise DeliveryError(
            f"{provider.name} delivers to people and {at:%Y-%m-%d %H:%M} UTC is to come; leave out the time"
        )
