"""A doubt is resolved by proof, and given up after a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.event import listen, remove

from nurture.delivery.facts import reconcile
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Sender, Unknown
from nurture.delivery.sending import send_next
from nurture.store.tables import delivery_attempt, delivery_fact, event, message, message_exception, send_batch
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from collections.abc import Collection

    from nurture.delivery.facts import Witness
    from nurture.delivery.sending import Counts
    from tests.nurture.delivery.world import World


def doubt(world: World, people: int = 1) -> list[int]:
    """Send a batch whose fate nobody knows; give the message ids."""
    world.plan(*(world.person() for _ in range(people)))
    send_next(world.ws, world.library, Scripted([Unknown("timeout")]), kind="marketing", owner="w1", at=world.at)
    with world.ws.store.read() as conn:
        return list(conn.execute(select(message.c.id).order_by(message.c.id)).scalars())


def prove(world: World, message_id: int, fact: str = "delivered") -> None:
    """Let the provider report on a message."""
    with world.ws.store.write() as conn:
        conn.execute(insert(delivery_fact), {"message_id": message_id, "fact": fact, "at": world.at})


def resolve(world: World, witness: Witness | None = None) -> Counts:
    """Reconcile."""
    with world.ws.store.write() as conn:
        return reconcile(conn, at=world.at, witness=witness)


def test_a_delivery_fact_proves_acceptance(world: World) -> None:
    prove(world, doubt(world)[0])
    assert resolve(world).accepted == 1
    assert world.states() == {"accepted": 1}


def test_an_open_without_processed_proves_it_too(world: World) -> None:
    row = {
        "key": "1:x",
        "kind": "opened",
        "message_id": doubt(world)[0],
        "at": world.at,
        "received_at": world.at,
        "verdict": "machine",
        "verdict_reason": "x",
        "attributes": {},
    }
    with world.ws.store.write() as conn:
        conn.execute(insert(event), row)
    assert resolve(world).accepted == 1


def test_the_attempt_is_then_certain(world: World) -> None:
    prove(world, doubt(world)[0])
    resolve(world)
    with world.ws.store.read() as conn:
        assert conn.execute(select(delivery_attempt.c.outcome)).scalar_one() == "accepted"


def test_each_message_of_a_batch_is_proven_alone(world: World) -> None:
    first, second = doubt(world, 2)
    prove(world, first)
    resolve(world)
    assert world.states() == {"accepted": 1, "in_doubt": 1}
    prove(world, second)
    resolve(world)
    assert world.states() == {"accepted": 2}


def test_reconciling_twice_changes_nothing(world: World) -> None:
    prove(world, doubt(world, 2)[0])
    resolve(world)
    assert resolve(world).accepted == 0


def test_without_proof_a_day_makes_it_unknown(world: World) -> None:
    doubt(world)
    assert [resolve(world.later(hours=23)).unknown, resolve(world.later(hours=24)).unknown] == [0, 1]
    assert world.states() == {"unknown": 1}


def test_proof_counts_even_after_that(world: World) -> None:
    (only,) = doubt(world)
    resolve(world.later(hours=25))
    prove(world, only)
    resolve(world.later(hours=26))
    assert world.states() == {"accepted": 1}


def test_the_outbox_bears_witness(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plan(world.person())
    outbox = Outbox(world.ws.home / "outbox", Sender("post@example.com", "Musterwerk"))

    def crash(folder: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("nurture.delivery.outbox._sync_folder", crash)
    counts = send_next(world.ws, world.library, outbox, kind="marketing", owner="w1", at=world.at)
    assert counts is not None
    assert counts.in_doubt == 1
    assert resolve(world, outbox).accepted == 1


def many_doubts(world: World, batches: int, each: int) -> list[int]:
    """Batches whose fate nobody knows; give the message ids."""
    for _ in range(batches):
        world.plan(*(world.person() for _ in range(each)))
    with world.ws.store.write() as conn:
        # The circuit would open after five of them.
        conn.execute(update(send_batch).values(state="claimed", attempt=1))
        rows = [
            {"batch_id": batch_id, "n": 1, "started_at": world.at, "request_sha256": "a" * 64}
            for batch_id in conn.execute(select(send_batch.c.id)).scalars().all()
        ]
        conn.execute(insert(delivery_attempt), rows)
        conn.execute(update(send_batch).values(state="submitting"))
        conn.execute(update(delivery_attempt).values(outcome="unknown", answered_at=world.at))
        conn.execute(update(send_batch).values(state="in_doubt"))
        return list(conn.execute(select(message.c.id).order_by(message.c.id)).scalars())


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches, or the few that hold four mails, are a page."""
    monkeypatch.setattr("nurture.delivery.facts.PAGE", 3)
    monkeypatch.setattr("nurture.delivery.facts.MAILS", 4)


@pytest.mark.usefixtures("small_pages")
def test_all_doubts_are_looked_into_however_many(world: World) -> None:
    """The oldest, too, and the proven ones between those that stay; a second look finds nothing."""
    ids = many_doubts(world, batches=10, each=2)
    for number in (*ids[:3], ids[10], *ids[18:]):
        prove(world, number)
    assert [resolve(world).accepted, resolve(world).accepted] == [6, 0]
    assert world.states() == {"accepted": 6, "in_doubt": 14}
    with world.ws.store.read() as conn:
        whole = conn.execute(select(send_batch.c.id).where(send_batch.c.state == "accepted")).scalars().all()
        first, last = (
            conn.execute(select(message.c.batch_id).where(message.c.id == n)).scalar_one() for n in (ids[0], ids[-1])
        )
    assert sorted(whole) == [first, last]


@pytest.mark.usefixtures("small_pages")
def test_a_witness_is_heard_about_all_doubts(world: World) -> None:
    """Page by page, each message once."""
    many_doubts(world, batches=10, each=1)
    asked: list[str] = []

    class Everything:
        def proofs(self, public_ids: Collection[str]) -> set[str]:
            asked.extend(public_ids)
            return set(public_ids)

    assert resolve(world, Everything()).accepted == 10
    assert (len(asked), len(set(asked)), world.states()) == (10, 10, {"accepted": 10})


@pytest.mark.usefixtures("small_pages")
def test_all_old_doubts_are_given_up_at_once(world: World) -> None:
    """Not only the first page of them: what is called in doubt after a day would be a lie."""
    many_doubts(world, batches=10, each=1)
    assert resolve(world.later(hours=25)).unknown == 10
    assert world.states() == {"unknown": 10}


@pytest.mark.usefixtures("small_pages")
def test_all_doubts_apart_from_their_batches_are_looked_into(world: World) -> None:
    """Their batches had another fate."""
    ids = many_doubts(world, batches=1, each=12)
    with world.ws.store.write() as conn:
        rows = [{"message_id": n, "state": "in_doubt", "reason": "x", "at": world.at} for n in ids[:11]]
        conn.execute(insert(message_exception), rows)
    for number in (ids[0], ids[5], ids[10]):
        prove(world, number)
    assert resolve(world).accepted == 3


def test_the_statements_do_not_grow_with_the_doubts(world: World) -> None:
    """Forty batches take as few as one page does."""
    many_doubts(world, batches=40, each=1)
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    listen(world.ws.store.engine, "before_cursor_execute", note)
    try:
        resolve(world)
    finally:
        remove(world.ws.store.engine, "before_cursor_execute", note)
    assert len(statements) < 12
