"""A new account sends no more in a day than its volume, also after a week of outage."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import DatabaseError

from nurture.delivery import ramp, splitting
from nurture.delivery.policy import Ramp, SendingPolicy, load
from nurture.delivery.provider import Refused
from nurture.delivery.sending import send_next
from nurture.delivery.spreading import offset
from nurture.delivery.status import figures
from nurture.store.tables import message, message_exception, send_batch
from nurture.store.workspace import Workspace
from tests.nurture.delivery.world import Scripted, World

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = ZoneInfo("Europe/Berlin")
BEGINS = date(2026, 11, 23)


def policy(first_day: int = 4, growth: float = 2, ceiling: int = 20) -> Ramp:
    """Make a ramp that begins on the tests' Monday."""
    return Ramp.model_validate({"begins": BEGINS, "first_day": first_day, "growth": growth, "ceiling": ceiling})


@pytest.mark.parametrize(("days", "volume"), [(-5, 4), (0, 4), (1, 8), (2, 16), (3, 20), (4000, 20)])
def test_a_day_has_its_volume(days: int, volume: int) -> None:
    """Growing each day up to the ceiling."""
    assert policy().volume(BEGINS + timedelta(days=days)) == volume


@given(st.integers(1, 10_000), st.decimals(1, 10, places=2), st.integers(1, 10**6), st.integers(-400, 4000))
def test_volumes_never_shrink(first: int, growth: object, ceiling: int, day: int) -> None:
    """So a batch that was planned for a day fits on every later one."""
    made = Ramp.model_validate({"begins": BEGINS, "first_day": first, "growth": growth, "ceiling": ceiling})
    volumes = [made.volume(BEGINS + timedelta(days=day + more)) for more in range(3)]

    assert volumes == sorted(volumes)
    assert 1 <= volumes[-1] <= ceiling


def test_the_day_is_that_of_the_legal_zone() -> None:
    """Midnight in Berlin, not in UTC."""
    made = SendingPolicy(ramp=policy())
    evening = datetime(2026, 11, 23, 22, 59, tzinfo=UTC)

    assert ramp.today(made, evening, BERLIN) == ramp.Today("2026-11-23", 4)
    assert ramp.today(made, evening + timedelta(minutes=1), BERLIN) == ramp.Today("2026-11-24", 8)


@pytest.fixture
def ramped(world: World, tmp_path: Path) -> World:
    """An installation that warms up: 4 mails on Monday, 8 on Tuesday, 16, then 20."""
    policies = tmp_path / "ramped" / "policies"
    policies.mkdir(parents=True)
    for path in world.ws.settings.policies.glob("*.yaml"):
        (policies / path.name).write_bytes(path.read_bytes())
    text = "version: 1\nramp: {begins: 2026-11-23, first_day: 4, growth: 2, ceiling: 20}\n"
    (policies / "sending.yaml").write_text(text, "utf-8")
    settings = world.ws.settings.model_copy(update={"project": policies.parent})
    return World(Workspace(settings, world.ws.store, world.ws.keyring), world.at)


def drain(world: World, provider: Scripted | None = None) -> int:
    """Send whatever may leave now; give how many mails were handed over."""
    provider = provider or Scripted()
    while send_next(world.ws, world.library, provider, kind="marketing", owner="w1", at=world.at):
        pass
    return len(provider.mails)


def plan(world: World, people: int, size: int = 1) -> None:
    """Plan mails that may wait for two weeks."""
    world.plan(*(world.person() for _ in range(people)), batch_limit=size, late=timedelta(days=14))


def test_no_more_leaves_than_the_days_volume(ramped: World) -> None:
    """The rest waits for tomorrow."""
    plan(ramped, 30)
    sent = [drain(ramped.later(days=day)) for day in range(4)]

    assert sent == [4, 8, 16, 2]


def test_an_outage_does_not_end_in_a_burst(ramped: World) -> None:
    """After a week the day's volume still holds."""
    plan(ramped, 30)

    assert drain(ramped.later(days=7)) == 20


def test_a_batch_that_is_too_large_for_the_rest_goes_in_part(ramped: World) -> None:
    """Its first mails today, the others tomorrow: whoever was planned first is not overtaken day by day."""
    plan(ramped, 3, size=3)
    plan(ramped, 2, size=2)
    plan(ramped, 1, size=1)
    provider = Scripted()

    assert [drain(ramped, provider), drain(ramped.later(days=1))] == [4, 2]
    assert [len(batch) for batch in provider.got] == [3, 1]


def test_a_new_provider_takes_no_more_than_the_day_and_it_allow(ramped: World) -> None:
    """Four are allowed today, three at once."""
    plan(ramped, 6, size=6)
    provider = Scripted(name="smtp", batch_limit=3)
    drain(ramped, provider)
    assert [len(batch) for batch in provider.got] == [3, 1]


def test_a_batch_larger_than_any_day_leaves_over_several(ramped: World) -> None:
    """It was planned before the ramp was set; nobody is lost, nobody gets it twice."""
    plan(ramped, 40, size=40)
    provider = Scripted()
    for day in range(5):
        drain(ramped.later(days=day), provider)
    got = [one.to_address for one in provider.mails]

    assert [len(batch) for batch in provider.got] == [4, 8, 16, 12]
    assert (len(set(got)), ramped.states()) == (40, {"accepted": 40})


def test_a_batch_counts_the_mails_it_holds_after_it_was_cut(ramped: World) -> None:
    """Both parts: ramp, brakes and status count by it."""
    plan(ramped, 10, size=10)
    drain(ramped)
    held = (
        select(send_batch.c["count"], func.count(message.c.id))
        .join(message, message.c.batch_id == send_batch.c.id)
        .group_by(send_batch.c.id)
    )
    with ramped.ws.store.read() as conn:
        assert sorted(map(tuple, conn.execute(held))) == [(4, 4), (6, 6)]


def test_mails_that_left_their_batch_are_not_cut_out_of_it(ramped: World) -> None:
    """They are not sent, so they use nothing of the day up."""
    plan(ramped, 10, size=10)
    with ramped.ws.store.write() as conn:
        first = conn.execute(select(message.c.id).order_by(message.c.id).limit(3)).scalars().all()
        rows = [{"message_id": number, "state": "suppressed", "reason": "x", "at": ramped.at} for number in first]
        conn.execute(insert(message_exception), rows)

    assert [drain(ramped), drain(ramped.later(days=1))] == [4, 3]
    assert ramped.states() == {"accepted": 7, "suppressed": 3}


def test_a_batch_that_was_claimed_before_is_not_cut(ramped: World) -> None:
    """What was told of it names its mails; it waits for a day that has room."""
    plan(ramped, 3, size=3)
    drain(ramped, Scripted([Refused("http 429")]))
    plan(ramped, 6, size=6)
    tomorrow, provider = ramped.later(days=1), Scripted()
    with ramped.ws.store.write() as conn:
        conn.execute(update(send_batch).where(send_batch.c.attempt > 0).values(not_before=ramped.later(hours=25).at))
    drain(tomorrow, provider)

    assert [len(batch) for batch in provider.got] == [6]
    assert drain(ramped.later(days=2)) == 3


def test_the_database_refuses_to_cut_what_was_claimed(ramped: World) -> None:
    """Also where it is planned again: its attempt tells of all its mails."""
    plan(ramped, 3, size=3)
    drain(ramped, Scripted([Refused("http 429")]))
    with ramped.ws.store.read() as conn:
        tried = conn.execute(select(send_batch.c.id).where(send_batch.c.state == "planned")).scalar_one()

    with pytest.raises(DatabaseError, match="immutable"), ramped.ws.store.write() as conn:
        splitting.cut(conn, tried, 1)


def test_a_refused_batch_is_counted_once(ramped: World) -> None:
    """Three refusals by the provider's rate limit do not eat the day up."""
    plan(ramped, 4, size=4)
    provider = Scripted([Refused("http 429")] * 3)
    for minute in range(4):
        later = ramped.later(hours=minute)
        send_next(later.ws, later.library, provider, kind="marketing", owner="w1", at=later.at)

    assert ramped.states() == {"accepted": 4}


def test_confirmations_are_not_counted(ramped: World) -> None:
    """Somebody waits for them."""
    plan(ramped, 4)
    drain(ramped)
    ramped.sign_up()
    from nurture.delivery.confirmations import queue_confirmations  # noqa: PLC0415  for this test alone

    with ramped.ws.store.write() as conn:
        queue_confirmations(conn, ramped.ws, ramped.library, at=ramped.at, limit=5)
    provider = Scripted()
    send_next(ramped.ws, ramped.library, provider, kind="confirmation", owner="w1", at=ramped.at)

    assert len(provider.mails) == 1


def test_batches_are_planned_small_enough() -> None:
    """A tenth of the day at most, so that little of it is left over."""
    made = SendingPolicy(ramp=policy(first_day=100, ceiling=1000))
    monday = datetime(2026, 11, 23, 8, tzinfo=UTC)

    assert ramp.largest_batch(made, monday, BERLIN, 500) == 10
    assert ramp.largest_batch(SendingPolicy(ramp=policy()), monday, BERLIN, 500) == 1
    assert ramp.largest_batch(SendingPolicy(), monday, BERLIN, 500) == 500


def test_status_tells_what_is_left(ramped: World) -> None:
    """In plain numbers."""
    plan(ramped, 30)
    drain(ramped)
    limits = load(ramped.ws.settings.policies)
    with ramped.ws.store.read() as conn:
        assert figures(conn, limits, "outbox", ramped.at, BERLIN).ramp == "4 of 4 today"


@given(st.integers(0, 10**9), st.integers(2, 400))
def test_a_mailing_lies_evenly_over_its_span(first: int, batches: int) -> None:
    """Whatever number it begins with: no gap is longer than three even steps, and nothing leaves after the span."""
    span = timedelta(hours=2)
    starts = sorted(offset(first + n, span, lasts=timedelta(days=2)) for n in range(batches))
    gaps = [after - before for before, after in zip([timedelta(0), *starts], [*starts, span], strict=True)]

    assert timedelta(0) <= starts[0]
    assert starts[-1] < span
    assert max(gaps) <= 3 * span / batches + timedelta(seconds=2)


def test_a_batch_is_never_put_off_beyond_half_its_time() -> None:
    """A span longer than the send window would let mails expire."""
    assert max(offset(n, timedelta(hours=8), lasts=timedelta(hours=2)) for n in range(500)) < timedelta(hours=1)
