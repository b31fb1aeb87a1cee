"""What became of it? Writes the provider's answer down and moves the batch on."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, update

from nurture.delivery import blame, circuit, deciding
from nurture.delivery.claiming import free_slots
from nurture.delivery.provider import NOT_TRIED, Accepted, Outcome, Refused, Rejected, Unknown
from nurture.delivery.queue import insert_missing
from nurture.delivery.states import Counts, State
from nurture.store.inserting import chunks
from nurture.store.tables import delivery_attempt, message_exception, send_batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from nurture.delivery.claiming import Claim
    from nurture.delivery.intent import Submission

BASE_SECONDS = 2.0
LONGEST_BACKOFF = 15 * 60.0
LONGEST_WISH = 3600.0
"""A provider's Retry-After counts up to an hour."""

OUTCOMES = {Accepted: "accepted", Refused: "refused", Rejected: "rejected", Unknown: "unknown"}
COUNTED = {Accepted: "accepted", Refused: "refused", Rejected: "rejected", Unknown: "in_doubt"}
URGENCY: tuple[type[Outcome], ...] = (Refused, Unknown, Accepted, Rejected)
"""The fate of a batch is the first of these that any of its messages met."""
REASONS = {Accepted: "accepted_in_part", Rejected: "rejected_in_part", Unknown: "in_doubt_in_part"}
NEXT = {
    Accepted: State.ACCEPTED,
    Refused: State.PLANNED,
    Rejected: State.REJECTED,
    Unknown: State.IN_DOUBT,
}
# Made once: putting a statement together takes longer than executing it.
_LOCK = select(send_batch.c.id).where(send_batch.c.id == bindparam("of")).with_for_update()
_ANSWER = update(delivery_attempt).where(
    delivery_attempt.c.batch_id == bindparam("of"),
    delivery_attempt.c.n == bindparam("tried"),
    func.coalesce(delivery_attempt.c.outcome, "unknown") == "unknown",
)
_MOVE = update(send_batch).where(
    send_batch.c.id == bindparam("of"),
    send_batch.c.attempt == bindparam("tried"),
    send_batch.c.state == bindparam("was"),
)


def backoff(refusals: int, wish: float | None) -> float:
    """Give the seconds to wait after so many refusals: full jitter, never less than the provider's wish."""
    ceiling = min(LONGEST_BACKOFF, BASE_SECONDS * 2 ** min(refusals, 20))
    jitter = random.uniform(0, ceiling)  # noqa: S311  spreads load, keeps no secret
    return max(jitter, min(wish or 0.0, LONGEST_WISH))


def settle(conn: Connection, submission: Submission, outcomes: Sequence[Outcome], *, at: datetime) -> Counts:
    """Record the answers to a submission, one for each message; give what they mean in messages.

    Where not all are alike, the batch takes the fate that leaves most to do (refused before unknown before
    accepted before rejected), and a message that met another leaves it with an exception. So what was
    refused goes out again, and nothing else with it. Rejected all alike they are refused (`blame`).

    A late answer is as good as one in time: if the batch was put in doubt meanwhile, a certain answer
    resolves the doubt, for those messages that it is about, also for one that a person had sent again meanwhile. An
    answer for an attempt that is already certain changes nothing.
    """
    claim = submission.claim
    _lock(conn, claim)
    outcomes = blame.hold(conn, claim, outcomes, at=at)
    met: dict[type[Outcome], list[int]] = {}
    for ready, outcome in zip(submission.ready, outcomes, strict=True):
        met.setdefault(type(outcome), []).append(ready.message_id)
    fate = next(kind for kind in URGENCY if kind in met)
    of_fate = [outcome for outcome in outcomes if type(outcome) is fate]
    # Why the others were not even tried is what tells something.
    of_batch = next((outcome for outcome in of_fate if outcome is not NOT_TRIED), of_fate[0])
    requests = {one.provider_message_id for one in outcomes if isinstance(one, Accepted)}
    # Of several requests none is kept: a proof about one message must not name the request of another.
    proof = requests.pop() if len(requests) == 1 else None
    if not _answer(conn, submission, of_batch, proof, at):
        return Counts()
    circuit.record(conn, claim.provider, claim.kind, outcomes, at)
    values = _after(conn, claim.batch_id, of_batch, at)
    late = not _move(conn, claim, State.SUBMITTING, values)
    if late:
        _resolve_sent_again(conn, claim, met, at)
    if late and not _move(conn, claim, State.IN_DOUBT, values):
        return Counts()
    _except(conn, met, fate, at)
    if Rejected in met:
        free_slots(conn, [claim.batch_id], of=met[Rejected])
    counts = Counts()
    for kind, ids in met.items():
        if not (late and kind is Unknown):  # such a doubt was counted when it was named
            setattr(counts, COUNTED[kind], len(ids))
    return counts


def _lock(conn: Connection, claim: Claim) -> None:
    """Hold the batch before its attempt, as `recover` and `reconcile` do: who has one of the two waits for nobody.

    SQLite has one writer.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(_LOCK, {"of": claim.batch_id})


def _move(conn: Connection, claim: Claim, state: State, values: Mapping[str, object]) -> bool:
    """Move the batch on, if it is still that of this claim and in this state."""
    mine = {"of": claim.batch_id, "tried": claim.attempt, "was": state}
    return conn.execute(_MOVE, {**mine, **values}).rowcount == 1


def _after(conn: Connection, batch_id: int, outcome: Outcome, at: datetime) -> dict[str, object]:
    """Give what an outcome makes of a batch."""
    values: dict[str, object] = {"state": NEXT[type(outcome)], "lease_owner": None, "lease_until": None}
    if isinstance(outcome, Refused):
        wait = backoff(_refusals(conn, batch_id), outcome.retry_after)
        values |= {"not_before": at + timedelta(seconds=wait)}
    elif isinstance(outcome, Accepted | Rejected):
        values |= {"settled_at": at}
    return {**values, "error": None if isinstance(outcome, Accepted) else outcome.code[:200]}


def _except(conn: Connection, met: Mapping[type[Outcome], Sequence[int]], fate: type[Outcome], at: datetime) -> None:
    """Let the messages that met something else than their batch leave it; what was proven meanwhile stays."""
    rows = [
        {"message_id": message_id, "state": NEXT[kind], "reason": REASONS[kind], "at": at}
        for kind, ids in met.items()
        if kind is not fate
        for message_id in ids
    ]
    if rows:
        insert_missing(conn, message_exception, rows, ("message_id",))


def _resolve_sent_again(
    conn: Connection, claim: Claim, met: Mapping[type[Outcome], Sequence[int]], at: datetime
) -> None:
    """Resolve the doubts of messages that left their batch because a person had them sent again.

    Where the provider took one, a copy that still waits is withheld; where it did not, only the copy goes.
    """
    mine = update(message_exception).where(message_exception.c.reason == deciding.SENT_AGAIN)
    for taken in chunks(met.get(Accepted, ())):
        doubtful = (message_exception.c.message_id.in_(taken), message_exception.c.state.in_(deciding.DOUBTFUL))
        resolved = mine.where(*doubtful).values(state=State.ACCEPTED, reason="proven", at=at)
        deciding.call_off(conn, conn.execute(resolved.returning(message_exception.c.message_id)).scalars().all(), at=at)
    for left in chunks([*met.get(Rejected, ()), *met.get(Refused, ())]):
        in_doubt = (message_exception.c.message_id.in_(left), message_exception.c.state == State.IN_DOUBT)
        resolved = mine.where(*in_doubt).values(state=State.REJECTED, at=at)
        if ended := conn.execute(resolved.returning(message_exception.c.message_id)).scalars().all():
            free_slots(conn, [claim.batch_id], of=ended)


def _answer(conn: Connection, submission: Submission, outcome: Outcome, proof: str | None, at: datetime) -> bool:
    claim = submission.claim
    provider_id = proof[:128] if proof is not None else None
    detail = None if isinstance(outcome, Accepted) else outcome.code[:200]
    answer = {
        "outcome": OUTCOMES[type(outcome)], "provider_message_id": provider_id, "detail": detail, "answered_at": at
    }  # fmt: skip
    return conn.execute(_ANSWER, {"of": claim.batch_id, "tried": claim.attempt, **answer}).rowcount == 1


def _refusals(conn: Connection, batch_id: int) -> int:
    where = (delivery_attempt.c.batch_id == batch_id, delivery_attempt.c.outcome == "refused")
    return int(conn.execute(select(func.count()).select_from(delivery_attempt).where(*where)).scalar_one())
