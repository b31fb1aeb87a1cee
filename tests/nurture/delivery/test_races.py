"""Two workers at once: the constraint decides, never the count that both have read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from nurture.delivery.sending import send_next
from nurture.store.tables import message, send_slot
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from tests.nurture.delivery.world import World

WORKERS = 4


def together(work: Callable[[int], None], workers: int = WORKERS) -> None:
    """Run at the same moment; what one raises is raised here."""
    gate = threading.Barrier(workers)

    def begin(number: int) -> None:
        gate.wait()
        work(number)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(begin, range(workers)))


def drain(world: World, provider: Scripted, number: int, withheld: Counter[str] | None = None) -> None:
    """Send until nothing is due."""
    while counts := send_next(world.ws, world.library, provider, kind="marketing", owner=f"w{number}", at=world.at):
        if withheld is not None:
            withheld.update(counts.withheld)


def test_each_mail_goes_out_once(world: World) -> None:
    world.plan(*(world.person() for _ in range(24)), batch_limit=1)
    provider = Scripted()
    together(lambda number: drain(world, provider, number))
    ids = [mail.public_id for mail in provider.mails]
    assert (len(ids), len(set(ids)), world.states()) == (24, 24, {"accepted": 24})


@pytest.mark.requirement(116)
def test_nobody_gets_more_than_the_cap(world: World) -> None:
    people = [world.person() for _ in range(6)]
    for n in range(1, 6):
        world.plan(*people, n=n, batch_limit=2)
    together(lambda number: drain(world, Scripted(), number))
    with world.ws.store.read() as conn:
        query = select(func.count()).select_from(send_slot).group_by(send_slot.c.lead_id)
        assert conn.execute(query).scalars().all() == [2] * 6
    assert world.states() == {"accepted": 12, "suppressed": 18}


def test_two_planners_queue_once(world: World) -> None:
    people = [world.person() for _ in range(10)]
    world.plan(people[0])

    def plan(_: int) -> None:
        # On PostgreSQL the loser of the race meets the unique key, and its whole transaction is void.
        try:
            world.plan(*people)
        except IntegrityError:
            return

    together(plan, 2)
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(message)).scalar_one() == 10
