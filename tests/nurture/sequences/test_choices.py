"""What a person chose, in planning: put off with its own reason, and never more than without the choice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from nurture.delivery.content.notes import Temperature
from nurture.leads import preferences
from nurture.leads.preferences import Choice
from nurture.sequences.decide import Deferred, Facts, Planned, Reason, Rules, decide
from nurture.sequences.definition import Sequence
from nurture.sequences.explain import explain
from nurture.sequences.wording import text
from nurture.store.tables import enrolment, message
from tests.nurture.sequences.conftest import SHORT, World

if TYPE_CHECKING:
    from collections.abc import Callable

BERLIN = ZoneInfo("Europe/Berlin")
SEQUENCE = Sequence.model_validate(YAML(typ="safe").load(SHORT))
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


def choose(world: World, lead_id: int, change: Callable[..., object], *values: object, at: datetime) -> None:
    """Let a lead choose."""
    [subject] = world.subjects([lead_id])
    with world.ws.store.write() as conn:
        change(conn, subject, *values, at=at)


def test_a_paused_lead_is_put_off_until_the_pause_ends(world: World, at: datetime) -> None:
    [lead_id] = world.people(1, at)
    choose(world, lead_id, preferences.pause, 30, at=at)
    assert dict(world.tick(at).deferred) == {"paused_by_lead": 1}
    [waiting] = world.rows(enrolment)
    assert (waiting.state, waiting.due_at >= at + timedelta(days=30), world.rows(message)) == ("active", True, [])
    assert world.plan(waiting.due_at - timedelta(seconds=1)).due == 0
    assert world.plan(waiting.due_at).planned == 1


def test_resuming_brings_forward_what_the_pause_put_off(world: World, at: datetime) -> None:
    [lead_id] = world.people(1, at)
    choose(world, lead_id, preferences.pause, 90, at=at)
    world.tick(at)
    later = at + timedelta(days=2)
    choose(world, lead_id, preferences.resume, at=later)
    assert world.plan(later).planned == 1


def test_resuming_brings_forward_nothing_else(world: World, at: datetime) -> None:
    [lead_id] = world.people(1, at)
    world.tick(at)
    [before] = world.rows(enrolment)
    choose(world, lead_id, preferences.pause, 30, at=at)
    choose(world, lead_id, preferences.resume, at=at)
    assert world.rows(enrolment)[0].due_at == before.due_at


def test_one_a_week_is_one_a_week(world: World, at: datetime) -> None:
    [lead_id] = world.people(1, at)
    choose(world, lead_id, preferences.slow_down, 1, at=at)
    assert world.tick(at).planned == 1
    second = at + timedelta(days=3)
    assert dict(world.plan(second).deferred) == {"frequency_by_lead": 1}
    [waiting] = world.rows(enrolment)
    assert waiting.due_at.astimezone(BERLIN).strftime("%a %H:%M") == "Mon 08:30"
    assert world.plan(waiting.due_at).planned == 1


@pytest.mark.parametrize(("pace", "planned"), [(None, 1), (preferences.RARELY, 0)])
def test_going_back_to_as_planned_brings_forward_what_was_slowed(
    world: World, at: datetime, pace: int | None, planned: int
) -> None:
    [lead_id] = world.people(1, at)
    choose(world, lead_id, preferences.slow_down, 1, at=at)
    world.tick(at)
    second = at + timedelta(days=3)
    assert dict(world.plan(second).deferred) == {"frequency_by_lead": 1}
    choose(world, lead_id, preferences.slow_down, pace, at=second)
    assert world.plan(second).planned == planned


def test_one_in_four_weeks_is_one_in_four_weeks(world: World, at: datetime) -> None:
    [lead_id] = world.people(1, at)
    choose(world, lead_id, preferences.slow_down, preferences.RARELY, at=at)
    assert world.tick(at).planned == 1
    planned = []
    for day in range(1, 40):
        now = at + timedelta(days=day)
        if world.plan(now).planned:
            planned.append(now.astimezone(BERLIN).date().isocalendar().week)
    assert (at.astimezone(BERLIN).date().isocalendar().week, planned) == (48, [52])


def test_explain_says_who_chose_it(world: World, at: datetime) -> None:
    [lead_id] = world.people(1, at)
    choose(world, lead_id, preferences.pause, 30, at=at)
    world.tick(at)
    with world.ws.store.read() as conn:
        told = explain(conn, lead_id).as_dict()["timeline"]
    [made] = [entry for entry in told if entry["kind"] == "decision"]
    assert made["because"] == "the person wants no mail before a date they chose"
    assert {"gate": "pause", "passed": False, "detail": "until 2026-12-23 08:00Z"} in made["gates"]


def test_explain_tells_the_choice_that_stands(world: World, at: datetime) -> None:
    [lead_id] = world.people(1, at)
    choose(world, lead_id, preferences.pause, 30, at=at)
    choose(world, lead_id, preferences.slow_down, preferences.RARELY, at=at)
    with world.ws.store.read() as conn:
        told = explain(conn, lead_id)
    assert told.now["mails_wanted"] == {"most": 1, "weeks": 4}
    lines = text(told, language="de", zone=BERLIN).splitlines()
    assert "  möchte bis 2026-12-23 09:00 keine E-Mails" in lines
    assert "  möchte höchstens 1 E-Mail in 4 Woche(n)" in lines


def test_who_chose_nothing_sees_no_gate_for_it(world: World, at: datetime) -> None:
    world.people(1, at)
    world.tick(at)
    assert not {"pause", "pace"} & {gate["gate"] for gate in world.gates()}


# --- never more ----------------------------------------------------------------------------------


def facts(at: datetime, *, taken: int, own: int, consent: int | str, choice: Choice) -> Facts:
    """Somebody whose first mail is due."""
    return Facts(
        enrolment_id=1, lead_id=1, subject="x", language="de", zone=BERLIN, country="DE", stage="confirmed",
        owner="marketing", temperature=Temperature.COLD, tracking=False, consent=consent, step="hello", due_at=at,
        entered_at=at, taken=taken, choice=choice, taken_of_choice=own,
    )  # fmt: skip


CHOICES = st.builds(
    Choice,
    st.one_of(st.none(), st.integers(-100, 100).map(lambda days: MONDAY + timedelta(days=days))),
    st.one_of(st.none(), st.integers(0, 7)),
)


@given(
    choice=CHOICES,
    taken=st.integers(0, 4),
    own=st.integers(0, 4),
    consent=st.sampled_from([7, "withdrawn", "suppressed"]),
    hours=st.integers(0, 24 * 14),
    stopped=st.booleans(),
)
def test_a_choice_never_widens_anything(
    choice: Choice, taken: int, own: int, consent: int | str, hours: int, *, stopped: bool
) -> None:
    at = MONDAY + timedelta(hours=hours)
    rules = Rules(2, at + timedelta(days=7), at + timedelta(days=7), lambda _: stopped, lambda *_: True)
    with_choice = facts(at, taken=taken, own=own, consent=consent, choice=choice)
    narrowed = decide(with_choice, SEQUENCE, rules, at).decision
    free = decide(replace(with_choice, choice=preferences.NONE), SEQUENCE, rules, at).decision
    if isinstance(narrowed, Planned):
        assert narrowed == free
    if isinstance(free, Deferred) and isinstance(narrowed, Deferred):
        assert narrowed.reason in {free.reason, Reason.PAUSED_BY_LEAD, Reason.FREQUENCY_BY_LEAD}
    if choice.pauses(at):
        assert not isinstance(narrowed, Planned)


@pytest.mark.parametrize(("own", "planned"), [(0, True), (1, False), (2, False)])
def test_the_cap_of_ones_own_counts_ones_own_weeks(own: int, *, planned: bool) -> None:
    rules = Rules(2, MONDAY + timedelta(days=7), MONDAY + timedelta(days=7), lambda _: False, lambda *_: True)
    made = decide(facts(MONDAY, taken=0, own=own, consent=7, choice=Choice(None, 1)), SEQUENCE, rules, MONDAY)
    assert isinstance(made.decision, Planned) is planned
