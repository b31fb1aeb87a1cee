"""When may a provider be asked again, and by whom?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from nurture.delivery import circuit
from nurture.delivery.provider import COMMIT_UNCLEAR, NOT_TRIED, PERMIT_OVER, Outcome, Refused, Rejected, Unknown

if TYPE_CHECKING:
    from tests.nurture.delivery.world import World

WRONG_KEY = Refused("http 401", opens_circuit=True)
NAME = "outbox"


def answer(world: World, kind: str, *outcomes: Outcome, minutes: float = 0) -> None:
    """Record the answers to a batch of this kind."""
    with world.ws.store.write() as conn:
        circuit.record(conn, NAME, kind, outcomes, world.at + timedelta(minutes=minutes))


def enters(world: World, kind: str, *, minutes: float) -> bool:
    """May such a batch go then?"""
    with world.ws.store.write() as conn:
        return circuit.enter(conn, NAME, kind, world.at + timedelta(minutes=minutes))


def test_confirmations_whose_probes_fail_do_not_push_marketings_probe_away(world: World) -> None:
    """One fails each minute; marketing has its turn a quarter of an hour after the circuit opened."""
    answer(world, "marketing", WRONG_KEY)
    for minute in range(1, 15):
        assert enters(world, "confirmation", minutes=minute)
        answer(world, "confirmation", WRONG_KEY, minutes=minute)
    assert enters(world, "marketing", minutes=15)


def test_a_failed_probe_of_marketing_starts_its_wait_anew(world: World) -> None:
    """Fifteen minutes from the answer."""
    answer(world, "marketing", WRONG_KEY)
    assert enters(world, "marketing", minutes=15)
    answer(world, "marketing", WRONG_KEY, minutes=16)
    assert [enters(world, "marketing", minutes=minute) for minute in (30, 31)] == [False, True]


def test_a_failed_probe_of_a_confirmation_starts_its_own_wait_anew(world: World) -> None:
    """One minute from the answer."""
    answer(world, "marketing", WRONG_KEY)
    assert enters(world, "confirmation", minutes=3)
    answer(world, "confirmation", Unknown("timeout"), minutes=3.5)
    assert [enters(world, "confirmation", minutes=minute) for minute in (4, 4.5)] == [False, True]


def test_one_probe_at_a_time(world: World) -> None:
    """Until it is answered, or ten minutes are over."""
    answer(world, "marketing", WRONG_KEY)
    assert enters(world, "marketing", minutes=15)
    assert [enters(world, "confirmation", minutes=minute) for minute in (24, 25)] == [False, True]


@pytest.mark.parametrize("ours", [Rejected("fault address"), NOT_TRIED, PERMIT_OVER, COMMIT_UNCLEAR])
@pytest.mark.parametrize("kind", ["marketing", "confirmation"])
def test_a_probe_in_which_nobody_was_asked_is_given_back(world: World, kind: str, ours: Outcome) -> None:
    """The next batch is the probe, without another wait."""
    answer(world, "marketing", WRONG_KEY)
    assert enters(world, kind, minutes=15)
    answer(world, kind, ours, minutes=15)
    assert enters(world, kind, minutes=15)


def test_a_fault_of_our_own_does_not_hide_that_the_probe_failed(world: World) -> None:
    """The provider was asked about the second mail, and rejected it."""
    answer(world, "marketing", WRONG_KEY)
    assert enters(world, "marketing", minutes=15)
    answer(world, "marketing", Rejected("fault address"), Rejected("rcpt 550"), minutes=15)
    assert not enters(world, "marketing", minutes=16)
