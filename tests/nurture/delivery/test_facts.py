"""A doubt is resolved by proof, and given up after a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from nurture.delivery.facts import reconcile
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Sender, Unknown
from nurture.delivery.sending import send_next
from nurture.store.tables import delivery_attempt, delivery_fact, event, message
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    import pytest

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
