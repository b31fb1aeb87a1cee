"""Does the number follow from what happened, in whatever order it is told?"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.scoring import policy as policies
from nurture.scoring.fold import ORDER, Event, Facts, Score, Temperature, band, fold, settle, whole
from nurture.scoring.policy import Bands

POLICIES = Path(__file__).resolve().parents[3] / "policies"
POLICY = policies.load(POLICIES)
START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
NOBODY = Facts()
DAY = timedelta(days=1)
numbers = itertools.count()


def happened(kind: str, days: float = 0, mail: int | None = None, verdict: str = "human", key: str = "") -> Event:
    return Event(key or f"{next(numbers)}", kind, START + DAY * days, verdict, mail, tracked=True)


def score(*events: Event, facts: Facts = NOBODY, days: float = 0) -> Score:
    return fold(events, facts, POLICY, START + DAY * days)


def rules(found: Score) -> dict[str, int]:
    given: dict[str, int] = {}
    for each in found.contributions:
        given[each.rule] = given.get(each.rule, 0) + each.points
    return given


# --- the arithmetic of the table of S2 ----------------------------------------------------------


@pytest.mark.requirement(57, 58, 59, 60, 61)
def test_doing_everything_once_gives_90_points() -> None:
    kinds = ("opened", "clicked", "page_visited", "downloaded", "social_engaged", "demo_requested", "price_requested")
    found = score(*(happened(kind) for kind in kinds))
    assert (found.score, found.temperature, POLICY.counted_once()) == (90, "hot", 90)


def test_one_rule_for_two_acts_would_end_at_55() -> None:
    """As the article's table reads: open and click are one line, demo and price another."""
    lines = {"visit": 5, "open": 10, "demo": 25, "social": 5, "download": 10}
    assert sum(lines.values()) == 55 < POLICY.bands.hot
    assert lines == {rule.id: rule.points for rule in POLICY.rules if rule.id in lines}


def test_seven_opens_do_not_make_a_lead_hot() -> None:
    found = score(*(happened("opened", n / 10, mail=n) for n in range(7)), days=1)
    assert (found.temperature, rules(found)["open"]) == ("cold", 10)


@pytest.mark.requirement(59, 67)
def test_a_single_demo_request_leaves_a_lead_cold() -> None:
    assert (score(happened("demo_requested")).score, score(happened("demo_requested")).temperature) == (25, "cold")


@pytest.mark.requirement(37, 44)
def test_repeated_downloads_and_opens_make_a_lead_warm() -> None:
    events = [happened("downloaded", n) for n in range(3)] + [happened("opened", 2, mail=1)]
    assert score(*events, days=2).temperature == "warm"


@pytest.mark.requirement(38)
def test_t42_a_lead_without_measured_events_reaches_hot() -> None:
    events = [happened(kind) for kind in ("demo_requested", "price_requested", "downloaded", "social_engaged")]
    assert score(*events).temperature == "hot"


@pytest.mark.requirement(49)
def test_several_visits_mean_more() -> None:
    one, two = score(happened("page_visited")), score(happened("page_visited"), happened("pricing_visited"))
    assert (one.score, two.score) == (5, 10)


@pytest.mark.requirement(63)
def test_an_unset_action_scores_nothing() -> None:
    assert score(happened("webinar_attended")).contributions == ()


@pytest.mark.parametrize("verdict", ["machine", "unclear"])
def test_no_machine_scores(verdict: str) -> None:
    assert score(happened("opened", verdict=verdict), happened("clicked", verdict=verdict)).contributions == ()


@pytest.mark.requirement(36)
def test_who_only_signed_up_is_cold() -> None:
    assert (score().score, score().temperature, score().changes_at) == (0, "cold", None)


@pytest.mark.requirement(47)
def test_two_models_judge_the_same_events_side_by_side() -> None:
    events = [happened("demo_requested"), happened("clicked")]
    eager = POLICY.model_copy(update={"version": 2, "bands": Bands(warm=10, hot=30, hysteresis=0)})
    found = [fold(events, NOBODY, rules, START) for rules in (POLICY, eager)]
    assert [(each.rules_version, each.temperature) for each in found] == [(1, "warm"), (2, "hot")]


def test_half_lives_of_their_own_fade_at_their_own_speed() -> None:
    """Several half-lives in one sum: the foreseen change is still the change."""
    dumped = POLICY.model_dump(by_alias=True)
    dumped["rules"] = [rule | ({"half_life": DAY} if rule["id"] == "demo" else {}) for rule in dumped["rules"]]
    rules = policies.ScoringPolicy.model_validate(dumped)
    events = [happened("demo_requested"), happened("clicked"), happened("price_requested")]
    found = fold(events, NOBODY, rules, START + DAY)
    assert found.score == pytest.approx(12.5 + 35 * 0.5 ** (1 / 30))
    assert found.changes_at is not None
    moments = [found.changes_at + timedelta(seconds=seconds) for seconds in (-2, 1)]
    assert [fold(events, NOBODY, rules, moment).temperature for moment in moments] == ["warm", "cold"]


# --- bands ----------------------------------------------------------------------------------------


@pytest.mark.requirement(42, 64)
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (-10, "cold"), (0, "cold"), (30, "cold"), (30.49, "cold"), (30.5, "warm"), (31, "warm"), (60, "warm"),
        (60.49, "warm"), (60.5, "hot"), (61, "hot"), (1000, "hot"),
    ],
)  # fmt: skip
def test_bands_begin_where_they_are_said_to(number: float, expected: str) -> None:
    assert band(number, POLICY.bands) == expected


@pytest.mark.requirement(42)
@pytest.mark.parametrize(("number", "expected"), [(-3.2, 0), (0.49, 0), (0.5, 1), (30.49, 30), (30.5, 31)])
def test_scores_are_rounded_half_up_from_zero(number: float, expected: int) -> None:
    assert whole(number) == expected


@pytest.mark.requirement(41)
@pytest.mark.parametrize(
    ("before", "number", "after"),
    [
        ("cold", 31, "warm"), ("cold", 61, "hot"), ("warm", 61, "hot"), ("warm", 28, "warm"), ("warm", 27.5, "warm"),
        ("warm", 27.4, "cold"), ("hot", 58, "hot"), ("hot", 57.4, "warm"), ("hot", 27.4, "cold"), ("hot", 29, "warm"),
    ],
)  # fmt: skip
def test_leads_climb_at_once_and_fall_late(before: str, number: float, after: str) -> None:
    assert settle(Temperature(before), number, POLICY.bands) == after


@given(st.sampled_from(ORDER), st.floats(-50, 200), st.floats(0, 50))
@settings(deadline=None)
def test_more_points_never_cool_a_lead(before: Temperature, number: float, more: float) -> None:
    bands = Bands(warm=31, hot=61, hysteresis=3)
    one, other = settle(before, number, bands), settle(before, number + more, bands)
    assert ORDER.index(other) >= ORDER.index(one)


def test_a_score_never_shows_below_zero() -> None:
    found = score(facts=Facts(freemail=True, country="US"))
    assert (found.score, found.shown, found.fit) == (0, 0, -15)


# --- time -----------------------------------------------------------------------------------------


def test_an_award_halves_in_its_half_life() -> None:
    assert score(happened("demo_requested"), days=30).score == pytest.approx(12.5)


def test_a_capped_award_shows_that_the_cap_was_reached() -> None:
    found = score(happened("opened"), happened("opened", 1), days=1)
    assert [(each.points, each.reason) for each in found.contributions] == [
        (10, "opened"),
        (0, "opened, cap reached"),
    ]


def test_a_cap_opens_again_after_its_window() -> None:
    within = score(happened("opened"), happened("opened", 29.9), days=40)
    after = score(happened("opened"), happened("opened", 30), days=40)
    assert (rules(within)["open"], rules(after)["open"]) == (10, 20)


@given(st.lists(st.floats(0, 120), max_size=60))
@settings(deadline=None)
def test_no_window_ever_holds_more_than_its_cap(days: list[float]) -> None:
    found = score(*(happened("clicked", day) for day in days), days=121)
    awards = [(each.at, each.points) for each in found.contributions if each.rule == "click"]
    for end, _ in awards:
        assert sum(points for at, points in awards if end - 30 * DAY < at <= end) <= 20


HOT = ("demo_requested", "price_requested", "downloaded", "clicked", "opened")


def test_the_cooling_moment_is_the_moment_of_change() -> None:
    events = [happened(kind) for kind in HOT]
    found = score(*events)
    assert (found.temperature, found.changes_at is not None) == ("hot", True)
    assert found.changes_at is not None
    before = fold(events, NOBODY, POLICY, found.changes_at - timedelta(seconds=2))
    assert (before.temperature, fold(events, NOBODY, POLICY, found.changes_at).temperature) == ("hot", "warm")


def test_a_cold_lead_does_not_cool() -> None:
    assert score(happened("clicked")).changes_at is None


def test_fit_alone_never_cools() -> None:
    facts = Facts(role="decider", company_size=200, industry="logistics")
    assert (score(facts=facts).fit, score(facts=facts).changes_at) == (20, None)


def test_hysteresis_carries_over_a_quiet_time() -> None:
    """31 and slightly less are warm for who was warm, cold for who never was."""
    events = [happened(kind) for kind in ("demo_requested", "clicked")]
    assert score(*events, days=3).score == pytest.approx(32.66, abs=0.01)
    assert (score(*events, days=6).temperature, score(*events, days=8).temperature) == ("warm", "warm")
    assert score(*events, days=11).temperature == "cold"


# --- what counts against --------------------------------------------------------------------------


@pytest.mark.requirement(62)
def test_a_mail_is_ignored_from_the_seventh_day() -> None:
    sent = happened("delivered", mail=1)
    assert "ignored" not in rules(score(sent, days=6.99))
    assert rules(score(sent, days=7))["ignored"] == -10


@pytest.mark.parametrize("verdict", ["human", "unclear"])
def test_an_opened_mail_is_not_ignored(verdict: str) -> None:
    events = happened("delivered", mail=1), happened("opened", 6, mail=1, verdict=verdict)
    assert "ignored" not in rules(score(*events, days=9))


def test_an_open_on_the_seventh_day_comes_too_late() -> None:
    events = happened("delivered", mail=1), happened("opened", 7, mail=1)
    assert rules(score(*events, days=9)) == {"ignored": -10, "open": 10}


def test_a_mail_opened_by_a_machine_is_ignored() -> None:
    events = happened("delivered", mail=1), happened("opened", 0, mail=1, verdict="machine")
    assert rules(score(*events, days=9))["ignored"] == -10


def test_silence_that_nobody_may_measure_says_nothing() -> None:
    unmeasured = Event("k", "delivered", START, "machine", 1, tracked=False)
    assert score(unmeasured, days=9).contributions == ()
    withdrawn = Facts(untracked_since=START + 3 * DAY)
    assert score(happened("delivered", mail=1), facts=withdrawn, days=9).contributions == ()


def test_ignored_mails_count_once_in_a_month() -> None:
    found = score(*(happened("delivered", n, mail=n) for n in range(5)), days=20)
    assert rules(found)["ignored"] == -10


def test_a_deduction_ends() -> None:
    assert score(happened("delivered", mail=1), facts=Facts(role="decider"), days=36.9).score == 0
    assert score(happened("delivered", mail=1), facts=Facts(role="decider"), days=37).score == 10


def test_a_coming_deduction_is_foreseen() -> None:
    events = [happened(kind) for kind in ("demo_requested", "clicked", "clicked")]
    found = score(*events, happened("delivered", 1, mail=1), days=1)
    assert (found.temperature, found.changes_at) == ("warm", START + 8 * DAY)


def test_the_end_of_a_deduction_may_warm_a_lead() -> None:
    """Time alone can also warm: the moment is foreseen like cooling is."""
    facts = Facts(role="decider", company_size=200, industry="logistics")
    events = [happened("delivered", mail=1), happened("demo_requested", 7.5)]
    found = score(*events, facts=facts, days=7.5)
    assert (found.temperature, found.score) == ("warm", 35)


@pytest.mark.requirement(54)
def test_opening_everything_and_never_clicking_counts_against() -> None:
    found = score(*(happened("opened", n, mail=n) for n in range(5)), days=5)
    assert rules(found)["opens_only"] == -10


@pytest.mark.requirement(54)
def test_opening_one_mail_often_does_not_count_against() -> None:
    assert "opens_only" not in rules(score(*(happened("opened", n, mail=1) for n in range(9)), days=9))


def test_a_click_takes_the_edge_off_opens() -> None:
    events = [happened("opened", n, mail=n) for n in range(5)] + [happened("clicked", 1, mail=1)]
    assert "opens_only" not in rules(score(*events, days=5))


@pytest.mark.requirement(62)
def test_a_withdrawal_informs_the_score() -> None:
    assert rules(score(facts=Facts(withdrawn_at=START))) == {"withdrawn": -10}


# --- fit ------------------------------------------------------------------------------------------


@pytest.mark.requirement(45, 48, 17)
def test_fit_is_an_axis_of_its_own() -> None:
    facts = Facts(role="decider", company_size=200, industry="engineering", country="DE")
    found = score(facts=facts)
    assert (found.fit, found.engagement, found.temperature) == (20, 0, "cold")


@pytest.mark.requirement(48)
@pytest.mark.parametrize(("size", "points"), [(None, 0), (49, 0), (50, 5), (5000, 5), (5001, 0)])
def test_company_size_has_bounds(size: int | None, points: int) -> None:
    assert score(facts=Facts(company_size=size)).fit == points


@pytest.mark.requirement(53)
def test_a_private_address_counts_against() -> None:
    assert rules(score(facts=Facts(freemail=True))) == {"freemail": -5}


@pytest.mark.requirement(55)
@pytest.mark.parametrize(("country", "points"), [(None, 0), ("DE", 0), ("US", -10)])
def test_only_a_known_country_lies_outside_the_market(country: str | None, points: int) -> None:
    assert score(facts=Facts(country=country)).fit == points


# --- order and repetition -------------------------------------------------------------------------

KINDS = ("opened", "clicked", "page_visited", "downloaded", "demo_requested", "price_requested", "delivered")
EVENTS = st.lists(
    st.builds(
        Event,
        key=st.integers(0, 40).map(str),
        kind=st.sampled_from(KINDS),
        at=st.integers(0, 60 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds)),
        verdict=st.sampled_from(["human", "machine", "unclear"]),
        message_id=st.none() | st.integers(1, 5),
        tracked=st.booleans(),
    ),
    max_size=30,
    unique_by=lambda event: event.key,
)


@pytest.mark.requirement(35)
@given(EVENTS, st.data())
@settings(deadline=None)
def test_order_and_repetition_change_nothing(events: list[Event], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events or [happened("opened")])))))
    shuffled = [each for each in shuffled if each in events]
    at = START + DAY * data.draw(st.integers(0, 90))
    assert fold(shuffled, NOBODY, POLICY, at) == fold(events, NOBODY, POLICY, at)


@given(EVENTS, st.integers(0, 70))
@settings(max_examples=200, deadline=None)
def test_the_foreseen_change_is_the_next_one(events: list[Event], day: int) -> None:
    at = START + DAY * day
    events = [event for event in events if event.at <= at]
    found = fold(events, NOBODY, POLICY, at)
    end = found.changes_at or at + timedelta(days=400)
    for part in range(1, 20):
        moment = at + (end - at - timedelta(seconds=2)) * part / 20
        if moment > at:
            assert fold(events, NOBODY, POLICY, moment).temperature is found.temperature
    if found.changes_at is not None:
        later = fold(events, NOBODY, POLICY, found.changes_at + timedelta(seconds=1))
        assert later.temperature is not found.temperature


@pytest.mark.requirement(40)
@given(EVENTS, st.sampled_from(["demo_requested", "price_requested", "downloaded", "clicked"]))
@settings(deadline=None)
def test_doing_something_never_cools_a_lead(events: list[Event], kind: str) -> None:
    at = START + 61 * DAY
    before = fold(events, NOBODY, POLICY, at)
    after = fold([*events, Event("one more", kind, at)], NOBODY, POLICY, at)
    assert (after.score >= before.score, ORDER.index(after.temperature) >= ORDER.index(before.temperature)) == (
        True,
        True,
    )


@given(EVENTS)
@settings(deadline=None)
def test_contributions_add_up_to_the_score(events: list[Event]) -> None:
    found = fold(events, Facts(role="decider"), POLICY, START + 61 * DAY)
    total = sum(each.worth(found.at) for each in found.contributions)
    assert found.score == pytest.approx(max(0.0, total))
