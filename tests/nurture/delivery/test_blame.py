"""Is it the mails that were rejected, or the account? All alike, and nothing taken, is no coincidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from nurture.delivery import circuit
from nurture.delivery.blame import shared_code
from nurture.delivery.provider import NOT_TRIED, Accepted, Outcome, Refused, Rejected, Unknown
from nurture.delivery.sending import send_next
from nurture.store.tables import send_batch
from tests.nurture.delivery.world import Scripted, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nurture.delivery.provider import Outgoing, Provider
    from nurture.delivery.states import Counts

DENIED, OTHER, OWN = Rejected("rcpt 550"), Rejected("data end 554"), Rejected("fault address")
TAKEN, LATER, DOUBT = Accepted("p-1"), Refused("rcpt 450"), Unknown("timeout")


@dataclass
class Relay:
    """Denies the people who came first, and those who are called bad; the very first ones are our own fault."""

    bad: int = 0
    own: int = 0
    name: str = "outbox"
    batch_limit: int = 500
    taken: list[str] = field(default_factory=list)

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Judge each address by itself."""
        return [self._judge(one.to_address) for one in batch]

    def _judge(self, address: str) -> Outcome:
        early = {f"person{n}@example.org" for n in range(1, self.bad + 1)}
        if address in {f"person{n}@example.org" for n in range(1, self.own + 1)}:
            return Rejected("fault address")
        if address in early or address.startswith("bad"):
            return Rejected("rcpt 550")
        self.taken.append(address)
        return Accepted("p-1")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([DENIED] * 3, "rcpt 550"),
        ([DENIED] * 100, "rcpt 550"),
        ([DENIED] * 9 + [OTHER], "rcpt 550"),
        ([DENIED] * 3 + [OWN, NOT_TRIED], "rcpt 550"),
        ([DENIED] * 2, None),
        ([DENIED], None),
        ([DENIED] * 3 + [TAKEN], None),
        ([DENIED] * 3 + [DOUBT], None),
        ([DENIED] * 3 + [OTHER], None),
        ([DENIED] * 3 + [LATER], None),
        ([OWN] * 3, None),
        ([LATER] * 3, None),
    ],
)
def test_several_rejected_alike_and_none_taken_is_the_accounts_trouble(
    outcomes: list[Outcome], code: str | None
) -> None:
    """Nine of ten suffice; what was found by us, or was not tried, is no witness."""
    assert shared_code(outcomes) == code


@given(st.lists(st.sampled_from([DENIED, OTHER, OWN, TAKEN, LATER, DOUBT, NOT_TRIED]), max_size=12))
def test_nothing_is_blamed_on_the_account_while_it_takes_mail(outcomes: list[Outcome]) -> None:
    """Whatever else was answered, in any order."""
    assert shared_code([*outcomes, TAKEN]) is None


def send(world: World, provider: Provider) -> Counts | None:
    """One batch all the way."""
    return send_next(world.ws, world.library, provider, kind="marketing", owner="w", at=world.at)


def told(world: World) -> tuple[str, str]:
    """State of the circuit, and why."""
    with world.ws.store.read() as conn:
        seen = circuit.look(conn, "outbox", world.at)
    return str(seen.state), seen.reason


def queue_of(world: World, *sizes: int) -> None:
    """Plan a batch of each of these sizes."""
    for size in sizes:
        world.plan(*[world.person() for _ in range(size)])


def test_a_relay_that_denies_everybody_costs_no_mail(world: World) -> None:
    """The circuit opens with the first batch; all mails are planned, and the rest of the queue was not even tried."""
    queue_of(world, 3, 3)
    provider = Scripted([DENIED, DENIED])
    while send(world, provider) is not None:
        pass
    assert (len(provider.got), world.states(), told(world)) == (1, {"planned": 6}, ("open", "all rejected: rcpt 550"))


def test_a_single_mail_that_is_rejected_stays_so(world: World) -> None:
    """It says nothing of the account."""
    queue_of(world, 1)
    send(world, Scripted([DENIED]))
    assert (world.states(), told(world)[0]) == ({"rejected": 1}, "closed")


def test_a_probe_that_is_rejected_for_the_same_is_held_too(world: World) -> None:
    """Although it is alone: each probe would cost a mail, as long as nobody mends the relay."""
    queue_of(world, 3)
    send(world, Scripted([DENIED]))
    queue_of(world, 1)
    later = world.later(minutes=16)
    with world.ws.store.write() as conn:
        # Whatever the backoff of the first batch: the probe is to be the single one.
        conn.execute(update(send_batch).where(send_batch.c.attempt > 0).values(not_before=world.later(hours=1).at))
    assert send(later, Scripted([DENIED])) is not None
    assert (later.states(), told(later)[0]) == ({"planned": 4}, "open")


def test_once_the_relay_is_mended_all_mails_leave(world: World) -> None:
    """The probe closes the circuit, and nobody was lost."""
    queue_of(world, 3, 3)
    send(world, Scripted([DENIED]))
    later = world.later(hours=1)
    provider = Scripted()
    while send(later, provider) is not None:
        pass
    assert (later.states(), told(later)[0]) == ({"accepted": 6}, "closed")


def test_bad_addresses_alone_in_a_batch_are_rejected_once_the_account_is_seen_well(world: World) -> None:
    """The provider took another batch since: else three bad addresses would stop all marketing for a day."""
    queue_of(world, 3)
    send(world, Scripted([DENIED]))
    later = world.later(minutes=16)
    queue_of(world, 3)
    with world.ws.store.write() as conn:
        conn.execute(update(send_batch).where(send_batch.c.attempt > 0).values(not_before=world.later(hours=1).at))
    assert send(later, Scripted()) is not None
    much_later = world.later(hours=2)
    send(much_later, Scripted([DENIED]))
    assert (world.states(), told(world)[0]) == ({"accepted": 3, "rejected": 3}, "closed")


def test_a_list_of_bad_addresses_alone_costs_the_others_one_probe(world: World) -> None:
    """The held batch has a backoff, so that others come first: the probe is taken, and all that is good leaves."""
    queue_of(world, 3, 2, 2)
    send(world, Relay(bad=3))
    probe = world.later(minutes=16)
    relay = Relay(bad=3)
    while send(probe, relay) is not None:
        pass
    assert (probe.states(), told(probe)[0]) == ({"accepted": 4, "rejected": 3}, "closed")


def test_batches_of_single_bad_mails_do_not_open_the_circuit(world: World) -> None:
    """However many there are: each may have a fault of its own."""
    queue_of(world, *[1] * 7)
    provider = Scripted([DENIED] * 7)
    while send(world, provider) is not None:
        pass
    assert (world.states(), told(world)[0]) == ({"rejected": 7}, "closed")


def test_a_fault_of_our_own_does_not_hide_what_the_relay_said(world: World) -> None:
    """The first mail of the batch was never handed over, the others were denied."""
    queue_of(world, 4)
    send(world, Relay(bad=4, own=1))
    assert (world.states(), told(world)) == ({"planned": 3, "rejected": 1}, ("open", "all rejected: rcpt 550"))
