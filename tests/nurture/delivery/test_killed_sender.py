"""A worker dies between the provider and the commit: how does marketing go on, and what must a person do?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nurture.delivery import brakes, watching
from nurture.delivery.brakes import Brake
from nurture.delivery.outbox import Outbox
from nurture.delivery.policy import SendingPolicy
from nurture.delivery.provider import Sender
from nurture.delivery.reconciling import at_hand, look_into
from nurture.delivery.sending import claim, compose, intend, recover, send_next
from nurture.delivery.smtp import Smtp, verp
from tests.nurture.delivery.linehost import Linehost
from tests.nurture.delivery.test_bounces import bounce
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.delivery.provider import Provider
    from tests.nurture.delivery.world import World

POLICY = SendingPolicy()
FROM = Sender("post@musterwerk.example", "Musterwerk")
MANY = 8
"""More than the five that the budget of a thousand allows."""


def killed(world: World, provider: Provider, *, handed_over: bool = True) -> World:
    """Send a batch, die before its answer is written down, and let recovery find it; give the time after that."""
    world.plan(*(world.person() for _ in range(MANY)))
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at, provider=provider.name, batch_limit=500)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        submission = intend(conn, world.ws, composed, at=world.at)
    if handed_over:
        provider.submit(submission.outgoing)
    later = world.later(minutes=6)
    with world.ws.store.write() as conn:
        assert recover(conn, at=later.at).in_doubt == MANY
    return later


def watch(world: World, provider: Provider, *, alone: bool = False) -> list[str]:
    """Count as each run does, or `alone` without the folder; give the brakes that stand."""
    witness = None if alone else at_hand(provider)
    with world.ws.store.write() as conn:
        watching.watch(conn, POLICY, provider.name, world.at, witness=witness)
        return [one.name for one in brakes.pulled(conn)]


@pytest.fixture
def outbox(world: World) -> Outbox:
    """The folder of the installation."""
    return Outbox(world.ws.home / "outbox", FROM)


def test_what_lies_in_the_outbox_stops_nothing(world: World, outbox: Outbox) -> None:
    """The next run sees the mails there and needs neither the night nor a person."""
    later = killed(world, outbox)
    assert (watch(later, outbox), later.states()) == ([], {"accepted": MANY})


def test_what_does_not_lie_in_the_outbox_stops_marketing(world: World, outbox: Outbox) -> None:
    """Nobody saw these mails leave; each run looks again."""
    later = killed(world, outbox, handed_over=False)
    assert watch(later, outbox) == [Brake.IN_DOUBT]
    assert watch(later.later(minutes=15), outbox) == [Brake.IN_DOUBT]
    assert later.states() == {"in_doubt": MANY}


def test_looking_into_the_doubts_lets_marketing_go_on_at_once(world: World, outbox: Outbox) -> None:
    """Not with the next run only: a person who typed it wants to see that it helped."""
    later = killed(world, outbox)
    before = watch(later, outbox, alone=True)
    look_into(later.ws, outbox, at=later.at)
    with world.ws.store.read() as conn:
        after = brakes.pulled(conn)
    later.plan(later.person(), n=2)
    sent = Scripted()
    send_next(later.ws, later.library, sent, kind="marketing", owner="w2", at=later.at)
    assert (before, after, len(sent.mails)) == ([Brake.IN_DOUBT], [], 1)


def test_reports_of_delivery_let_marketing_over_smtp_go_on(world: World, tmp_path: Path) -> None:
    """A mail server has no log to ask: as soon as so many came that the rest is within the budget."""
    host = Linehost()
    with host.run():
        smtp = Smtp(
            FROM,
            host="127.0.0.1",
            port=host.port,
            security="none",
            bounces_to=verp("bounces@musterwerk.example", world.ws.keyring),
        )
        later = killed(world, smtp)
        smtp.close()
    standing = [watch(later, smtp)]
    for sender in host.senders[: MANY - 5]:
        bounce(later, tmp_path, sender, "delivered", "2.0.0")
        standing.append(watch(later, smtp))
    assert standing == [[Brake.IN_DOUBT]] * (MANY - 5) + [[]]
    assert later.states() == {"accepted": MANY - 5, "in_doubt": 5}
