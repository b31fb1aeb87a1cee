"""What a person chose, at the moment of sending: a mail planned before the choice does not leave against it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select

from nurture.delivery import frequency
from nurture.delivery.sending import send_next
from nurture.leads import preferences, register
from nurture.store.tables import decision, mail_preference, send_slot, verdict
from nurture.store.verdicts import told
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from nurture.delivery.sending import Counts
    from tests.nurture.delivery.world import World


def send(world: World, provider: Scripted) -> Counts | None:
    """Take the next batch all the way."""
    return send_next(world.ws, world.library, provider, kind="marketing", owner="w1", at=world.at)


def test_a_pause_holds_a_mail_that_was_planned_before(world: World) -> None:
    subject = world.person()
    world.plan(subject, world.person())
    with world.ws.store.write() as conn:
        preferences.pause(conn, subject, 30, at=world.at)
    counts = send(world, Scripted())
    assert counts is not None
    assert (counts.accepted, dict(counts.withheld)) == (1, {"paused_by_lead": 1})
    with world.ws.store.read() as conn:
        asked = select(decision, verdict.c.gates).join(verdict, verdict.c.id == decision.c.verdict_id)
        row = conn.execute(asked.where(decision.c.reason == "paused_by_lead")).one()
        said = told(row.gates, row.details)
        slots = conn.execute(select(func.count()).select_from(send_slot)).scalar_one()
    assert said[-1] == {"gate": "pause", "passed": False, "detail": "until 2026-12-23 08:00Z"}
    assert slots == 1


def test_what_one_person_chose_is_not_written_where_others_share_it(world: World) -> None:
    """Two who pause until different days heard the same: the day stands with the decision of each."""
    people = [world.person() for _ in range(2)]
    world.plan(*people)
    with world.ws.store.write() as conn:
        for subject, days in zip(people, (30, 60), strict=True):
            preferences.pause(conn, subject, days, at=world.at)
    send(world, Scripted())
    asked = select(decision.c.details, verdict.c.gates).join(verdict, verdict.c.id == decision.c.verdict_id)
    with world.ws.store.read() as conn:
        rows = conn.execute(asked.where(decision.c.reason == "paused_by_lead").order_by(decision.c.id)).all()
        assert conn.execute(select(func.count()).select_from(verdict)).scalar_one() == 1
    assert {row.gates[-1]["detail"] for row in rows} == {"until {paused}"}
    assert [told(row.gates, row.details)[-1]["detail"] for row in rows] == [
        "until 2026-12-23 08:00Z", "until 2027-01-22 08:00Z",
    ]  # fmt: skip


def test_a_pause_that_is_over_holds_nothing(world: World) -> None:
    subject = world.person()
    with world.ws.store.write() as conn:
        preferences.pause(conn, subject, 30, at=world.at - timedelta(days=30))
    world.plan(subject)
    counts = send(world, Scripted())
    assert counts is not None
    assert counts.accepted == 1


def test_the_second_mail_of_a_week_is_withheld_by_choice(world: World) -> None:
    subject = world.person()
    for n in (1, 2):
        world.plan(subject, n=n)
    with world.ws.store.write() as conn:
        preferences.slow_down(conn, subject, 1, at=world.at)
    results = [send(world, Scripted()) for _ in range(2)]
    assert [dict(counts.withheld) for counts in results if counts] == [{}, {"frequency_by_lead": 1}]


def test_one_in_four_weeks_counts_the_weeks_before(world: World) -> None:
    subject = world.person()
    with world.ws.store.write() as conn:
        preferences.slow_down(conn, subject, preferences.RARELY, at=world.at)
    world.plan(subject)
    send(world, Scripted())
    answers = []
    for weeks in (3, 4):
        then = world.later(weeks=weeks)
        then.plan(subject, n=weeks)
        answers.append(send(then, Scripted()))
    assert [dict(counts.withheld) for counts in answers if counts] == [{"frequency_by_lead": 1}, {}]


def test_a_place_taken_before_the_choice_is_given_back(world: World) -> None:
    """The higher slot of a mail that was refused for now does not outlive a lower choice."""
    subject = world.person()
    world.plan(subject)
    with world.ws.store.write() as conn:
        lead_id = register.of_subject(conn, [subject])[subject]
        conn.execute(insert(send_slot).values(lead_id=lead_id, window="2026-W48", slot=2, message_id=1))
        preferences.slow_down(conn, subject, 1, at=world.at)
    assert send(world, Scripted()) is not None
    with world.ws.store.read() as conn:
        assert conn.execute(select(send_slot.c.slot)).scalars().all() == [1]


@pytest.mark.parametrize("freed", [1, 2])
def test_a_pace_counts_mails_and_not_their_places(world: World, freed: int) -> None:
    """One of two mails of this week gave its place back: with the other one the week of one mail is full."""
    subject = world.person()
    for n in (1, 2):
        world.plan(subject, n=n)
        send(world, Scripted())
    with world.ws.store.write() as conn:
        conn.execute(delete(send_slot).where(send_slot.c.slot == freed))
        preferences.slow_down(conn, subject, 1, at=world.at)
    world.plan(subject, n=3)
    counts = send(world, Scripted())
    assert counts is not None
    assert dict(counts.withheld) == {"frequency_by_lead": 1}


@given(most=st.integers(0, 6), taken=st.sets(st.integers(1, 8)))
def test_no_ceiling_lets_more_than_chosen_be_held(most: int, taken: set[int]) -> None:
    """Unless the others held more already: then nothing is added."""
    ceiling = frequency._ceiling(most, sorted(taken))  # noqa: SLF001  the rule alone, without a database
    held = taken | set(range(1, ceiling + 1))
    assert len(held) <= max(most, len(taken))
    assert ceiling == most or len(taken | set(range(1, ceiling + 2))) > most or most < len(taken)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    choices=st.lists(
        st.one_of(
            st.none(), st.tuples(st.one_of(st.none(), st.integers(-40, 40)), st.sampled_from([None, 0, 1, 2, 9]))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_choice_lets_no_mail_go_that_the_policy_holds(
    world: World, choices: list[tuple[int | None, int | None] | None]
) -> None:
    """Whatever was chosen, nobody gets more than two a week, nor anything in a pause."""
    people = [world.person() for _ in choices]
    with world.ws.store.write() as conn:
        for subject, choice in zip(people, choices, strict=True):
            if choice is not None:
                days, per_week = choice
                until = None if days is None else world.at + timedelta(days=days)
                row = {"subject": subject, "paused_until": until, "per_week": per_week, "changed_at": world.at}
                conn.execute(insert(mail_preference).values(**row))
    for n in (1, 2, 3):
        world.plan(*people, n=n)
        while send(world, Scripted()) is not None:
            pass
    with world.ws.store.read() as conn:
        leads = register.of_subject(conn, people)
        sent = {
            subject: conn.execute(
                select(func.count()).select_from(send_slot).where(send_slot.c.lead_id == leads[subject])
            ).scalar_one()
            for subject in people
        }
    for subject, choice in zip(people, choices, strict=True):
        days, per_week = choice or (None, None)
        most = 0 if days is not None and days > 0 else min(2, 2 if per_week is None else max(1, per_week))
        assert sent[subject] == most


@pytest.mark.parametrize("per_week", [None, 0, 1])
def test_a_choice_changes_no_consent(world: World, per_week: int | None) -> None:
    subject = world.person(consent=False)
    with world.ws.store.write() as conn:
        preferences.slow_down(conn, subject, per_week, at=world.at)
    world.plan(subject)
    counts = send(world, Scripted())
    assert counts is not None
    assert dict(counts.withheld) == {"no_consent": 1}
