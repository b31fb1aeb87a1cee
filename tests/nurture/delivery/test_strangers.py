"""Can strangers who sign up with bad addresses stop the mail of others?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.delivery import circuit
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.sending import recover, send_next
from tests.nurture.delivery.test_blame import DENIED, Relay, queue_of, told
from tests.nurture.delivery.test_blame import send as send_marketing
from tests.nurture.delivery.world import Scripted, World

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.delivery.provider import Provider


def confirm(world: World, provider: Provider, *names: str) -> None:
    """Let these sign up, and send all confirmations that are due."""
    for name in names:
        world.sign_up(name)
    with world.ws.store.write() as conn:
        recover(conn, at=world.at)
        queue_confirmations(conn, world.ws, world.library, at=world.at, limit=100)
    while send_next(world.ws, world.library, provider, kind="confirmation", owner="w", at=world.at) is not None:
        pass


def deny_all(world: World) -> None:
    """Open the circuit by a marketing batch that is rejected alike."""
    queue_of(world, 3)
    send_marketing(world, Scripted([DENIED]))


def since(world: World) -> datetime:
    """When marketing's wait began."""
    with world.ws.store.read() as conn:
        return circuit.look(conn, "outbox", world.at).since


def test_bad_sign_ups_do_not_open_the_circuit(world: World) -> None:
    """Twelve confirmations in a row that the relay rejects are rejected, and that is all."""
    confirm(world, Relay(), *(f"bad{n}" for n in range(12)))
    assert (world.states(), told(world)[0]) == ({"rejected": 12}, "closed")


def test_marketing_leaves_while_strangers_sign_up_with_bad_addresses(world: World) -> None:
    """Five at once, then one each minute, and nobody else."""
    relay = Relay()
    confirm(world, relay, *(f"bad{n}" for n in range(5)))
    for minute in range(1, 10):
        confirm(world.later(minutes=minute), relay, f"bad{minute}x")
    queue_of(world, 5)
    send_marketing(world.later(minutes=10), relay)
    assert world.states() == {"accepted": 5, "rejected": 14}


def test_a_confirmation_leaves_while_marketing_is_rejected_alike(world: World) -> None:
    """At once: it waits for no probe."""
    deny_all(world)
    relay = Relay()
    confirm(world, relay, "good")
    assert relay.taken == ["good@example.org"]


def test_a_confirmation_that_is_taken_closes_the_circuit(world: World) -> None:
    """The relay takes mail from us after all."""
    deny_all(world)
    confirm(world, Relay(), "good")
    assert told(world) == ("closed", "")


def test_a_confirmation_that_is_rejected_is_not_held(world: World) -> None:
    """Also while the circuit is open for the very same."""
    deny_all(world)
    confirm(world, Relay(), "bad")
    assert world.states() == {"planned": 3, "rejected": 1}


def test_a_confirmation_that_is_rejected_does_not_delay_marketing(world: World) -> None:
    """Neither the state nor the time of marketing's probe changes."""
    deny_all(world)
    confirm(world.later(minutes=14), Relay(), "bad")
    assert (told(world)[0], since(world)) == ("open", world.at)


def test_a_confirmation_leaves_marketings_probe_alone(world: World) -> None:
    """While that one is under way, a bad sign-up says nothing of it."""
    deny_all(world)
    later = world.later(minutes=16)
    with world.ws.store.write() as conn:
        assert circuit.enter(conn, "outbox", "marketing", later.at)
    confirm(later, Relay(), "bad")
    assert told(later)[0] == "half_open"
