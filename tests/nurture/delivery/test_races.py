"""Two workers at once: the constraint decides, never the count that both have read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, func, insert, select
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import IntegrityError

from consent import ledger
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.provider import Accepted
from nurture.delivery.sending import claim, compose, intend, recover, send_next, settle
from nurture.leads import register
from nurture.store.tables import message, send_slot
from tests.nurture.delivery.world import Scripted
from tests.nurture.meeting import PATIENCE, until_it_waits

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


def test_an_intent_waits_for_an_erasure(world: World) -> None:
    """An erasure holds the ledger and then deletes slots: an intent that held a slot would wait for ever."""
    if world.ws.store.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    subject = world.person()
    world.plan(subject)
    with world.ws.store.write() as conn:
        # Its first try was refused last week; it gives that slot back now.
        [lead_id] = register.of_subject(conn, [subject]).values()
        number = conn.execute(select(message.c.id)).scalar_one()
        conn.execute(insert(send_slot).values(lead_id=lead_id, window="2026-W47", slot=1, message_id=number))
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)

    def decide() -> int:
        with world.ws.store.write() as conn:
            return len(intend(conn, world.ws, composed, at=world.at).ready)

    with ThreadPoolExecutor(1) as pool:
        with world.ws.store.write() as conn:
            ledger.lock(conn)
            future = pool.submit(decide)
            until_it_waits(world.ws.store, future)
            conn.execute(delete(send_slot).where(send_slot.c.lead_id == lead_id))
        assert future.result(PATIENCE) == 1


def test_two_workers_ask_nobody_twice_to_confirm(world: World) -> None:
    """What one is queueing, the other passes over, instead of failing at the unique key."""
    for number in range(12):
        world.sign_up(f"new{number}")
    queued: list[int] = []

    def work(_number: int) -> None:
        with world.ws.store.write() as conn:
            queued.append(queue_confirmations(conn, world.ws, world.library, at=world.at, limit=100))

    together(work)
    assert (sum(queued), world.states()) == (12, {"planned": 12})


def test_an_answer_and_a_recovery_lock_in_one_order(world: World) -> None:
    """The answer comes as its lease lapses: one that held the attempt and one that held the batch would deadlock."""
    store = world.ws.store
    if store.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    world.plan(world.person())
    with store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with store.write() as conn:
        submission = intend(conn, world.ws, composed, at=world.at)
    later, half_way, go_on = world.later(minutes=6).at, threading.Event(), threading.Event()
    answering: set[int] = set()

    def pause(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if threading.get_ident() in answering and statement.startswith("UPDATE delivery_attempt"):
            half_way.set()
            assert go_on.wait(PATIENCE)

    def answer() -> int:
        answering.add(threading.get_ident())
        with store.write() as conn:
            return settle(conn, submission, [Accepted("p-1")], at=later).accepted

    def look_after() -> int:
        with store.write() as conn:
            return recover(conn, at=later).in_doubt

    listen(store.engine, "after_cursor_execute", pause)
    try:
        with ThreadPoolExecutor(2) as pool:
            told = pool.submit(answer)
            assert half_way.wait(PATIENCE)
            seen = pool.submit(look_after)
            until_it_waits(store, seen)
            go_on.set()
            assert (told.result(PATIENCE), seen.result(PATIENCE)) == (1, 0)
    finally:
        go_on.set()
        remove(store.engine, "after_cursor_execute", pause)
    assert world.states() == {"accepted": 1}
