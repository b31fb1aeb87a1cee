"""Does it show what the provider refused for now, with its code and its next try?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, select, update

from nurture.delivery.circuit import PROBE_AFTER, PROBE_LOST_AFTER
from nurture.delivery.provider import Refused
from nurture.delivery.refusals import Refusal, refusals
from nurture.delivery.sending import send_next
from nurture.delivery.states import Kind
from nurture.store.engine import by_index
from nurture.store.tables import circuit, send_batch
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from tests.nurture.delivery.world import World


def refuse(world: World, refusal: Refused, *, people: int = 3) -> None:
    """Plan a mail for each of some people; the provider refuses the batch."""
    world.plan(*(world.person() for _ in range(people)))
    send_next(world.ws, world.library, Scripted([refusal]), kind="marketing", owner="w", at=world.at)


def told(world: World) -> list[Refusal]:
    """Read what waits."""
    with world.ws.store.read() as conn:
        return refusals(conn)


def test_a_refused_batch_tells_mails_code_and_next_try(world: World) -> None:
    """Whatever makes it wait: here nobody listened."""
    refuse(world, Refused("connect failed", 60.0))
    with world.ws.store.read() as conn:
        not_before = conn.execute(select(send_batch.c.not_before)).scalar_one()
    assert told(world) == [Refusal("outbox", "marketing", "connect failed", 3, not_before)]
    assert not_before >= world.at + timedelta(seconds=60)


def test_an_open_circuit_puts_the_next_try_off(world: World) -> None:
    """Until its probe, however soon the batch itself would be due."""
    refuse(world, Refused("http 401", None, opens_circuit=True))
    [one] = told(world)
    assert one.next_try == world.at + PROBE_AFTER[Kind.MARKETING]


def test_a_probe_on_its_way_puts_the_next_try_off(world: World) -> None:
    """Until it counts as lost, from when it began, as the claim judges."""
    refuse(world, Refused("http 401", None, opens_circuit=True))
    probed_at = world.at + timedelta(minutes=20)
    with world.ws.store.write() as conn:
        conn.execute(update(circuit).values(state="half_open", probed_at=probed_at))
    [one] = told(world)
    assert one.next_try == probed_at + PROBE_LOST_AFTER


def test_what_was_never_tried_was_not_refused(world: World) -> None:
    """A planned mail waits for its time, which is no trouble."""
    world.plan(world.person())
    assert told(world) == []


def test_what_was_taken_at_the_next_try_waits_no_more(world: World) -> None:
    """The list empties itself."""
    refuse(world, Refused("connect failed", None))
    later = world.at + timedelta(hours=1)
    send_next(world.ws, world.library, Scripted(), kind="marketing", owner="w", at=later)
    assert told(world) == []


def test_the_list_goes_by_the_index_of_open_batches(world: World) -> None:
    """Years of settled batches cost it nothing."""
    refuse(world, Refused("connect failed", None))
    seen: list[tuple[str, Any]] = []

    def remember(_conn: Any, _cursor: Any, text: str, given: Any, _context: Any, _many: bool) -> None:  # noqa: FBT001
        if "FROM send_batch" in text:
            seen.append((text, given))

    event.listen(world.ws.store.engine, "before_cursor_execute", remember)
    told(world)
    event.remove(world.ws.store.engine, "before_cursor_execute", remember)
    [(text, given)] = seen
    with world.ws.store.write() as conn:
        by_index(conn)
        prefix = "explain query plan " if conn.dialect.name == "sqlite" else "explain "
        plan = " | ".join(str(row[-1]) for row in conn.exec_driver_sql(prefix + text, given))
    assert "ix_send_batch_open" in plan
