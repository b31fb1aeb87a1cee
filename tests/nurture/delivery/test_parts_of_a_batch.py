"""What becomes of a batch whose messages met different fates? Each keeps its own; only what was refused goes again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select

from nurture.delivery import frequency
from nurture.delivery.facts import reconcile
from nurture.delivery.provider import NOT_TRIED, Accepted, Outcome, Outgoing, Refused, Rejected, Unknown
from nurture.delivery.sending import claim, compose, intend, recover, send_next, settle
from nurture.sequences.facts import period, taken
from nurture.store.tables import delivery_attempt, delivery_fact, message, send_batch, send_slot
from tests.nurture.delivery.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from nurture.delivery.states import Counts
    from nurture.store.workspace import Workspace

TAKEN, BAD, LATER, DOUBT = Accepted("p-1"), Rejected("http 400"), Refused("http 429"), Unknown("timeout")


@dataclass
class Each:
    """A provider that gives each message of its next batch an outcome of its own."""

    answers: list[list[Outcome]]
    got: list[str] = field(default_factory=list)
    name: str = "outbox"
    batch_limit: int = 500

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Answer as told."""
        self.got += [one.public_id for one in batch]
        return self.answers.pop(0)


@pytest.fixture
def world(workspace: Workspace, at: datetime) -> World:
    """Three people, one batch."""
    made = World(workspace, at)
    made.plan(made.person(), made.person(), made.person())
    return made


def send(world: World, provider: Each) -> Counts | None:
    """One batch all the way."""
    return send_next(world.ws, world.library, provider, kind="marketing", owner="w", at=world.at)


def state(world: World) -> str:
    """Of the one batch."""
    with world.ws.store.read() as conn:
        return str(conn.execute(select(send_batch.c.state)).scalar_one())


@pytest.mark.parametrize(
    ("outcomes", "of_batch", "of_messages"),
    [
        ([TAKEN, BAD, TAKEN], "accepted", {"accepted": 2, "rejected": 1}),
        ([TAKEN, DOUBT, NOT_TRIED], "planned", {"accepted": 1, "in_doubt": 1, "planned": 1}),
        ([TAKEN, DOUBT, BAD], "in_doubt", {"accepted": 1, "in_doubt": 1, "rejected": 1}),
        ([LATER, NOT_TRIED, NOT_TRIED], "planned", {"planned": 3}),
        ([BAD, BAD, Rejected("http 413")], "rejected", {"rejected": 3}),
    ],
)
def test_each_message_has_its_own_fate(
    world: World, outcomes: list[Outcome], of_batch: str, of_messages: dict[str, int]
) -> None:
    """The batch takes the fate that leaves most to do, the others leave it."""
    send(world, Each([outcomes]))
    assert (state(world), world.states()) == (of_batch, of_messages)


def test_the_reason_is_that_of_what_was_tried(world: World) -> None:
    """Not that the others were not even tried."""
    send(world, Each([[NOT_TRIED, LATER, NOT_TRIED]]))
    with world.ws.store.read() as conn:
        assert conn.execute(select(send_batch.c.error)).scalar_one() == "http 429"


def test_only_what_was_refused_goes_again(world: World) -> None:
    """The second try carries neither the accepted nor the doubtful one."""
    provider = Each([[TAKEN, DOUBT, LATER], [TAKEN]])
    send(world, provider)
    world.at = world.later(hours=2).at
    send(world, provider)
    assert (len(provider.got), len(set(provider.got)), provider.got[-1]) == (4, 3, provider.got[2])
    assert world.states() == {"accepted": 2, "in_doubt": 1}


def test_a_doubt_about_one_message_is_resolved_by_its_event(world: World) -> None:
    """Although its batch went on."""
    provider = Each([[TAKEN, DOUBT, LATER], [TAKEN]])
    send(world, provider)
    with world.ws.store.write() as conn:
        doubtful = conn.execute(select(message.c.id).where(message.c.public_id == provider.got[1])).scalar_one()
        conn.execute(insert(delivery_fact).values(message_id=doubtful, fact="delivered", at=world.at))
        assert reconcile(conn, at=world.at).accepted == 1
    assert world.states() == {"accepted": 2, "planned": 1}


def test_a_doubt_about_one_message_ends_as_unknown(world: World) -> None:
    """After a day without proof, like that of a batch, and is counted."""
    send(world, Each([[TAKEN, DOUBT, BAD]]))
    with world.ws.store.write() as conn:
        assert reconcile(conn, at=world.later(hours=25).at).unknown == 1
    assert world.states() == {"accepted": 1, "unknown": 1, "rejected": 1}


def test_a_doubt_apart_from_its_batch_ends_as_unknown(world: World) -> None:
    """The batch itself waits to go again."""
    send(world, Each([[TAKEN, DOUBT, LATER]]))
    with world.ws.store.write() as conn:
        assert reconcile(conn, at=world.later(hours=25).at).unknown == 1
    assert world.states() == {"accepted": 1, "unknown": 1, "planned": 1}


def test_a_late_answer_for_some_is_as_good_as_one_in_time(world: World) -> None:
    """The worker was thought dead; what it knows for certain stays no doubt, although it does not know all."""
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        submission = intend(conn, world.ws, composed, at=world.at)
    later = world.later(minutes=6).at
    with world.ws.store.write() as conn:
        assert recover(conn, at=later).in_doubt == 3
        counts = settle(conn, submission, [TAKEN, DOUBT, BAD], at=later)
    assert world.states() == {"accepted": 1, "in_doubt": 1, "rejected": 1}
    assert (counts.accepted, counts.in_doubt, counts.rejected) == (1, 0, 1)


def test_only_the_rejected_give_their_places_back(world: World) -> None:
    """What was or may have been sent counts against the cap."""
    send(world, Each([[TAKEN, DOUBT, BAD]]))
    with world.ws.store.read() as conn:
        assert len(conn.execute(select(send_slot)).all()) == 2


def test_what_was_sent_before_its_batch_expired_counts_against_the_cap(world: World) -> None:
    """The planner would plan one mail too many, which the intent then withholds for good instead of putting it off."""
    send(world, Each([[TAKEN, LATER, LATER]]))
    later = world.later(hours=49).at
    with world.ws.store.write() as conn:
        assert recover(conn, at=later).expired == 2
        leads = set(conn.execute(select(message.c.lead_id)).scalars())
        cap = frequency.load(world.ws.settings.policies).marketing
        counted = taken(conn, leads, period(cap, later, world.ws.settings.tz))
    assert sorted(counted.values()) == [1]


@pytest.mark.parametrize(("ids", "kept"), [(("p-1", "p-1"), "p-1"), (("p-1", "p-2"), None)])
def test_no_message_is_proven_by_the_id_of_another(world: World, ids: tuple[str, str], kept: str | None) -> None:
    """A batch that took several requests has several ids, and an attempt has room for one."""
    send(world, Each([[BAD, *map(Accepted, ids)]]))
    with world.ws.store.read() as conn:
        assert conn.execute(select(delivery_attempt.c.provider_message_id)).scalar_one() == kept


def test_a_provider_that_answers_for_too_few_leaves_doubt(world: World) -> None:
    """Nobody can tell which of them the answers are about."""
    send(world, Each([[TAKEN]]))
    assert world.states() == {"in_doubt": 3}
