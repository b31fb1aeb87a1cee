"""Would the harness notice? Orders of steps that others use, each broken in one way, run by the same harness.

Every sender here has the form of `nurture.delivery.sending.send_next` and uses the product's own steps; only
their order, or one guard, differs. A zero in a campaign is worth what these are caught by.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text, update

from consent import gate
from consent.gate import Permit, Refusal
from consent.schema import consent_state, ledger_entry
from nurture.delivery import queue, sending
from nurture.delivery.claiming import claim
from nurture.delivery.composing import compose
from nurture.delivery.intent import intend
from nurture.delivery.provider import Accepted, Outcome, Refused, Unknown
from nurture.delivery.sending import settle
from nurture.failpoints import committing, reach
from nurture.store.tables import send_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.delivery.claiming import Claim
    from nurture.delivery.content.library import Library
    from nurture.delivery.provider import Outgoing, Provider
    from nurture.delivery.states import Counts
    from nurture.store.workspace import Workspace

TRIGGERS = ("guard_send_batch_state", "guard_delivery_attempt_outcome")


def _claim(ws: Workspace, provider: Provider, kind: str, owner: str, at: datetime) -> Claim | None:
    with committing("claim", ws.store.write()) as conn:
        return claim(conn, owner=owner, kind=kind, at=at, provider=provider.name, batch_limit=provider.batch_limit)


def send_then_mark(
    ws: Workspace, library: Library, provider: Provider, *, kind: str, owner: str, at: datetime
) -> Counts | None:
    """Hand over first, write it down afterwards: a crash in between sends again."""
    held = _claim(ws, provider, kind, owner, at)
    if held is None:
        return None
    composed = compose(ws, library, held, at=at)
    mails = [letter.outgoing for letter in composed.letters if letter.outgoing is not None]
    told = provider.submit(mails)
    reach("result.before_tx")
    with committing("result", ws.store.write()) as conn:
        submission = intend(conn, ws, composed, at=at)
        by_id = dict(zip([mail.public_id for mail in mails], told, strict=True))
        answers = [by_id[one.outgoing.public_id] for one in submission.ready]
        return submission.counts + settle(conn, submission, answers, at=at)


def mark_then_send(
    ws: Workspace, library: Library, provider: Provider, *, kind: str, owner: str, at: datetime
) -> Counts | None:
    """Write down that it was sent, then hand over: a crash in between loses the mail, and nobody knows."""
    held = _claim(ws, provider, kind, owner, at)
    if held is None:
        return None
    composed = compose(ws, library, held, at=at)
    with committing("intent", ws.store.write()) as conn:
        submission = intend(conn, ws, composed, at=at)
        if submission.ready:
            settle(conn, submission, [Accepted("presumed")] * len(submission.ready), at=at)
    if submission.ready:
        provider.submit(submission.outgoing)
    return submission.counts


class Retrying:
    """A provider whose timeouts count as refusals: what a library with automatic retries does."""

    def __init__(self, inner: Provider) -> None:
        """Wrap another."""
        self.inner, self.name, self.batch_limit = inner, inner.name, inner.batch_limit

    def submit(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Hand over, and call what nobody knows a refusal."""
        return [Refused(one.code) if isinstance(one, Unknown) else one for one in self.inner.submit(batch)]


def retry_on_timeout(
    ws: Workspace, library: Library, provider: Provider, *, kind: str, owner: str, at: datetime
) -> Counts | None:
    """Try again after a timeout or a 5xx."""
    return sending.send_next(ws, library, Retrying(provider), kind=kind, owner=owner, at=at)


def no_fencing(
    ws: Workspace, library: Library, provider: Provider, *, kind: str, owner: str, at: datetime
) -> Counts | None:
    """Trust the claim made before, however long the pause since: a worker that wakes up late sends again."""
    held = _claim(ws, provider, kind, owner, at)
    if held is None:
        return None
    composed = compose(ws, library, held, at=at)
    with committing("intent", ws.store.write()) as conn:
        conn.execute(
            update(send_batch)
            .where(send_batch.c.id == held.batch_id)
            .values(state="claimed", attempt=send_batch.c.attempt + 1)
        )
        attempt = conn.execute(select(send_batch.c.attempt).where(send_batch.c.id == held.batch_id)).scalar_one()
        composed = replace(composed, claim=replace(held, attempt=attempt))
        submission = intend(conn, ws, composed, at=at)
    if not submission.ready:
        return submission.counts
    told = provider.submit(submission.outgoing)
    with committing("result", ws.store.write()) as conn:
        return settle(conn, submission, told, at=at)


@contextmanager
def _gate_only_at_planning(_conn: Connection) -> Iterator[None]:
    """Let the intent take every answer of the gate for yes."""
    asked = gate.authorise

    def yes(conn: Connection, asks: Sequence[Any], *, at: datetime) -> list[Permit | Refusal]:
        answers = asked(conn, asks, at=at)
        seq = conn.execute(select(ledger_entry.c.seq).order_by(ledger_entry.c.seq.desc()).limit(1)).scalar_one()
        given = dict(conn.execute(select(consent_state.c.subject, consent_state.c.seq)).tuples().all())
        return [
            Permit(one.subject, ask.purpose, ask.controller, given[one.subject], one.message_id, seq, tracking=False,
                   lease_until=at + gate.LEASE)
            if isinstance(one, Refusal)
            else one
            for one, ask in zip(answers, asks, strict=True)
        ]  # fmt: skip

    gate.authorise = yes
    try:
        yield
    finally:
        gate.authorise = asked


@contextmanager
def _no_guards(conn: Connection) -> Iterator[None]:
    """Take the triggers away that refuse illegal changes."""
    for name in TRIGGERS:
        conn.execute(text(f"drop trigger {name}"))
    yield


@contextmanager
def _no_unique_key(_conn: Connection) -> Iterator[None]:
    """Let every planning make new messages, whatever is queued already: the key never collides."""
    seen = queue._not_yet_queued  # noqa: SLF001  the very guard that is taken away
    rounds = iter(range(1, 1_000_000))

    def everything(conn: Connection, groups: queue.Groups) -> list[tuple[queue.Shared, list[queue.Recipient]]]:
        this = next(rounds) * STRIDE
        return [
            (shared, [(lead_id, enrolment_id, who, n + this) for lead_id, enrolment_id, who, n in recipients])
            for shared, recipients in groups.values()
        ]

    queue._not_yet_queued = everything  # noqa: SLF001  as above
    try:
        yield
    finally:
        queue._not_yet_queued = seen  # noqa: SLF001  as above


@contextmanager
def _as_it_is(_conn: Connection) -> Iterator[None]:
    yield


STRIDE = 10_000
"""What `_no_unique_key` adds to occurrences; the checker takes it off."""


@dataclass(frozen=True)
class Variant:
    """A broken order of steps, and what the harness must say of it."""

    name: str
    sender: Callable[..., Counts | None]
    complaint: tuple[str, ...]
    """The promises that it breaks: part of what the harness says."""
    changed: Callable[[Connection], AbstractContextManager[None]] = _as_it_is
    """What else is taken away."""
    pause: float = 0.0
    """Per crossing, where pauses are what brings it out."""
    withdrawals: int = 1
    """How often somebody withdraws, relative to the rest."""


LATE = ("after the withdrawal",)
TWICE = ("mailed 2 times", "the cap is")
VARIANTS = (
    Variant("send, then mark", send_then_mark, TWICE),
    Variant("mark, then send", mark_then_send, ("the provider never had it",)),
    Variant("retry on timeout", retry_on_timeout, TWICE),
    Variant(
        "gate only at planning", sending.send_next, ("after the withdrawal",), _gate_only_at_planning, withdrawals=5
    ),
    Variant("no fencing", no_fencing, TWICE, _no_guards, pause=0.2),
    Variant("no unique key", sending.send_next, ("one step of a sequence", "the cap is"), _no_unique_key),
)
