"""Every change of a batch's state: the legal ones pass, the database refuses all others."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.exc import DatabaseError

from nurture.delivery.states import State
from nurture.store.guards import EVIDENT, FREE
from nurture.store.tables import delivery_attempt, message, message_exception, send_batch, verdict
from nurture.store.verdicts import Answer, remember

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.store.engine import Store
    from tests.nurture.delivery.world import World

PATHS = {
    State.PLANNED: (),
    State.CLAIMED: ("claimed",),
    State.SUBMITTING: ("claimed", "submitting"),
    State.ACCEPTED: ("claimed", "submitting", "accepted"),
    State.REJECTED: ("claimed", "submitting", "rejected"),
    State.IN_DOUBT: ("claimed", "submitting", "in_doubt"),
    State.UNKNOWN: ("claimed", "submitting", "in_doubt", "unknown"),
    State.SUPPRESSED: ("claimed", "suppressed"),
    State.EXPIRED: ("expired",),
    State.FAILED_RENDER: ("claimed", "failed_render"),
}
"""A legal way to each state."""


def batch(conn: Connection, at: datetime, *, outcome: str | None = None) -> int:
    """Make a planned batch whose first attempt will have this outcome (None: still open)."""
    row = {
        "kind": "marketing",
        "state": "planned",
        "provider": "outbox",
        "environment": "e",
        "count": 1,
        "attempt": 0,
        "planned_at": at,
        "not_before": at,
        "not_after": at,
    }
    made = int(conn.execute(insert(send_batch).returning(send_batch.c.id), row).scalar_one())
    attempt = {"batch_id": made, "n": 1, "started_at": at, "request_sha256": "0" * 64}
    conn.execute(insert(delivery_attempt), attempt | {"outcome": outcome})
    return made


def change(conn: Connection, batch_id: int, state: str) -> None:
    """Change the state; a claim counts as a new attempt."""
    values: dict[str, object] = {"state": state}
    if state == "claimed":
        values["attempt"] = send_batch.c.attempt + 1
    conn.execute(update(send_batch).where(send_batch.c.id == batch_id).values(**values))


def answered(conn: Connection, batch_id: int, outcome: str) -> None:
    """Record the outcome of the first attempt."""
    conn.execute(update(delivery_attempt).where(delivery_attempt.c.batch_id == batch_id).values(outcome=outcome))


def walk(conn: Connection, batch_id: int, state: State) -> None:
    """Bring a batch to a state the legal way."""
    for step in PATHS[state]:
        if step == "rejected":
            answered(conn, batch_id, "rejected")
        change(conn, batch_id, step)


def is_legal(old: State, new: State, outcome: str) -> bool:
    """What the table says."""
    return old == new or new in FREE.get(old, ()) or EVIDENT.get((old, new)) == outcome


@pytest.mark.parametrize(("old", "new"), [pair for pair in product(State, State) if pair[0] != pair[1]])
def test_only_changes_of_the_table_pass(store: Store, at: datetime, old: State, new: State) -> None:
    for outcome in ("", "refused"):
        if outcome and old == State.REJECTED:
            continue
        with store.write() as conn:
            made = batch(conn, at)
            walk(conn, made, old)
            if outcome:
                answered(conn, made, outcome)
        try:
            with store.write() as conn:
                change(conn, made, new)
            passed = True
        except DatabaseError:
            passed = False
        assert passed == is_legal(old, new, outcome), (old, new, outcome)


def test_nothing_accepted_is_ever_planned_again() -> None:
    assert "planned" not in FREE.get("accepted", ())
    assert [pair for pair in EVIDENT if pair[0] in {"accepted", "unknown", "rejected"}] == []


def test_every_state_is_reached_and_named() -> None:
    named = set(FREE) | {target for targets in FREE.values() for target in targets} | {pair[1] for pair in EVIDENT}
    assert named == set(State)


def test_a_claim_without_a_new_attempt_is_refused(store: Store, at: datetime) -> None:
    with store.write() as conn:
        made = batch(conn, at)
    with pytest.raises(DatabaseError, match="not allowed"), store.write() as conn:
        conn.execute(update(send_batch).where(send_batch.c.id == made).values(state="claimed"))


def test_an_attempt_number_never_falls(store: Store, at: datetime) -> None:
    with store.write() as conn:
        made = batch(conn, at)
        walk(conn, made, State.CLAIMED)
    with pytest.raises(DatabaseError, match="not allowed"), store.write() as conn:
        conn.execute(update(send_batch).where(send_batch.c.id == made).values(attempt=0))


def test_no_submission_without_its_attempt(store: Store, at: datetime) -> None:
    with store.write() as conn:
        made = batch(conn, at)
        conn.execute(delete(delivery_attempt))
        walk(conn, made, State.CLAIMED)
    with pytest.raises(DatabaseError, match="not allowed"), store.write() as conn:
        change(conn, made, "submitting")


@pytest.mark.parametrize("certain", ["accepted", "refused", "rejected"])
@pytest.mark.parametrize("other", ["accepted", "refused", "rejected", "unknown", None])
def test_a_certain_outcome_stays(store: Store, at: datetime, certain: str, other: str | None) -> None:
    if certain == other:
        return
    with store.write() as conn:
        batch(conn, at, outcome=certain)
    with pytest.raises(DatabaseError, match="certain"), store.write() as conn:
        conn.execute(update(delivery_attempt).values(outcome=other))


def test_a_batch_has_one_open_attempt(store: Store, at: datetime) -> None:
    with store.write() as conn:
        made = batch(conn, at)
    row = {"batch_id": made, "n": 2, "started_at": at, "request_sha256": "0" * 64}
    with pytest.raises(DatabaseError, match=r"(?i)unique"), store.write() as conn:
        conn.execute(insert(delivery_attempt), row)


def test_a_message_keeps_its_own_fate(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        columns = ["message_id", "state", "reason", "at"]
        rows = select(message.c.id, literal("suppressed"), literal("x"), message.c.planned_at)
        conn.execute(insert(message_exception).from_select(columns, rows))
    with pytest.raises(DatabaseError, match="fate"), world.ws.store.write() as conn:
        conn.execute(update(message_exception).values(state="accepted"))


@pytest.mark.parametrize("state", ["suppressed", "failed_render"])
def test_only_a_claimed_batch_ends_unwritten(store: Store, at: datetime, state: str) -> None:
    """Nobody decides about a batch that nobody holds."""
    with store.write() as conn:
        made = batch(conn, at)
    with pytest.raises(DatabaseError, match="not allowed"), store.write() as conn:
        change(conn, made, state)


@pytest.mark.parametrize("values", [{"gates": []}, {"versions": {}}, {"sha256": "0" * 64}])
def test_what_the_gates_said_is_never_rewritten(store: Store, values: dict[str, Any]) -> None:
    """All decisions that share it would change with it."""
    with store.write() as conn:
        remember(conn, [Answer.of([{"gate": "consent", "passed": False, "detail": "withdrawn"}], {"sequence": 1})])
    with pytest.raises(DatabaseError, match="never rewritten"), store.write() as conn:
        conn.execute(update(verdict).values(**values))


def test_what_the_gates_said_is_never_deleted(store: Store) -> None:
    """A decision would have lost its reason."""
    with store.write() as conn:
        remember(conn, [Answer.of([{"gate": "consent", "passed": False, "detail": "withdrawn"}], {"sequence": 1})])
    with pytest.raises(DatabaseError, match="never deleted"), store.write() as conn:
        conn.execute(delete(verdict))
