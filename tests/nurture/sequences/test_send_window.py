"""Do mails leave in the window only, in every zone of the world and at every clock change?"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from nurture.sequences.window import ALWAYS, Calendar, Window, calendar_for, closing, holiday_name, is_open, next_open

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Window(frozenset(range(5)), time(8, 30), time(17, 30), calendar=Calendar("DE"))
ZONES = sorted(available_timezones() - {"Factory", "localtime"})
TIMES = [time(hour, minute) for hour in range(24) for minute in (0, 15, 30, 45)]

windows = some.builds(
    lambda days, edges, calendar: Window(frozenset(days), min(edges), max(edges), calendar=calendar),
    some.sets(some.integers(0, 6), min_size=1),
    some.lists(some.sampled_from(TIMES), min_size=2, max_size=2, unique=True),
    some.sampled_from([None, Calendar("DE"), Calendar("DE", "BY"), Calendar("US")]),
)
moments = some.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=some.just(UTC))  # noqa: DTZ001


def berlin(text: str) -> datetime:
    """Read a wall time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@settings(max_examples=300, deadline=None)
@given(windows, some.sampled_from(ZONES), moments)
def test_the_opening_is_inside_and_never_earlier(window: Window, name: str, at: datetime) -> None:
    """The opening is inside and never earlier."""
    zone = ZoneInfo(name)
    opens = next_open(window, zone, at)
    assert opens >= at
    assert is_open(window, zone, opens)
    assert next_open(window, zone, opens) == opens


@settings(max_examples=200, deadline=None)
@given(windows, some.sampled_from(ZONES), moments, some.floats(0, 0.99))
def test_all_moments_before_the_end_are_open(window: Window, name: str, at: datetime, share: float) -> None:
    """All moments before the end are open, and the end itself is not."""
    zone = ZoneInfo(name)
    opens = next_open(window, zone, at)
    closes = closing(window, zone, opens)
    assert opens < closes
    assert is_open(window, zone, opens + (closes - opens) * share)
    assert not is_open(window, zone, closes)


def test_a_window_to_midnight_goes_on_over_it() -> None:
    """A window without a gap has no end today."""
    assert closing(ALWAYS, BERLIN, berlin("2026-11-24 20:00")) > berlin("2026-11-25 20:00")


@settings(max_examples=200, deadline=None)
@given(windows, some.sampled_from(ZONES), moments, some.floats(0, 1, exclude_max=True))
def test_no_earlier_moment_was_open(window: Window, name: str, at: datetime, share: float) -> None:
    """No earlier moment was open."""
    zone = ZoneInfo(name)
    opens = next_open(window, zone, at)
    assume(opens > at)
    assert not is_open(window, zone, at + (opens - at) * share - timedelta(microseconds=1) * (share > 0))


@pytest.mark.parametrize("day", [(3, 8), (3, 29), (4, 5), (10, 4), (10, 25), (11, 1)])
def test_every_zone_opens_to_the_second_at_clock_changes(day: tuple[int, int]) -> None:
    """Every zone opens to the second at clock changes."""
    window = Window(frozenset(range(7)), time(1, 30), time(3, 15))
    at = datetime(2026, *day, tzinfo=UTC)
    for zone in map(ZoneInfo, ZONES):
        opens = next_open(window, zone, at)
        assert is_open(window, zone, opens)
        assert opens == at or not is_open(window, zone, opens - timedelta(seconds=1)), zone


def test_in_the_evening_it_opens_next_morning() -> None:
    """In the evening it opens next morning."""
    assert next_open(OFFICE, BERLIN, berlin("2026-11-23T20:00")) == berlin("2026-11-24T08:30")


def test_on_friday_evening_it_opens_on_monday() -> None:
    """On friday evening it opens on monday."""
    assert next_open(OFFICE, BERLIN, berlin("2026-11-20T17:30")) == berlin("2026-11-23T08:30")


def test_the_clock_of_the_lead_counts() -> None:
    """The clock of the lead counts."""
    tokyo = ZoneInfo("Asia/Tokyo")
    assert next_open(OFFICE, tokyo, berlin("2026-11-23T12:00")) == datetime(2026, 11, 24, 8, 30, tzinfo=tokyo)


def test_a_fixed_zone_counts_for_everybody() -> None:
    """A fixed zone counts for everybody."""
    window = Window(OFFICE.days, OFFICE.opens, OFFICE.closes, zone="Europe/Berlin")
    noon = berlin("2026-11-23T12:00")
    assert next_open(window, ZoneInfo("Asia/Tokyo"), noon) == noon


def test_a_time_the_clock_leaves_out_opens_right_after() -> None:
    """A time the clock leaves out opens right after."""
    window = Window(frozenset(range(7)), time(2, 30), time(4, 0))
    opens = next_open(window, BERLIN, berlin("2026-03-29T01:00"))
    assert opens == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_time_the_clock_repeats_opens_twice() -> None:
    """A time the clock repeats opens twice."""
    window = Window(frozenset(range(7)), time(2, 15), time(2, 45))
    first = next_open(window, BERLIN, berlin("2026-10-25T01:00"))
    second = next_open(window, BERLIN, first + timedelta(minutes=30))
    assert (first, second) == (datetime(2026, 10, 25, 0, 15, tzinfo=UTC), datetime(2026, 10, 25, 1, 15, tzinfo=UTC))


def test_a_day_that_never_was_is_passed_over() -> None:
    """A day that never was is passed over."""
    apia = ZoneInfo("Pacific/Apia")
    friday = Window(frozenset({4}), time(9), time(17))
    # Samoa went from Thursday, 29 December 2011, to Saturday.
    opens = next_open(friday, apia, datetime(2011, 12, 29, 20, 0, tzinfo=apia))
    assert opens.astimezone(apia).date() == date(2012, 1, 6)


def test_holidays_are_closed() -> None:
    """Holidays are closed."""
    assert next_open(OFFICE, BERLIN, berlin("2026-12-24T20:00")) == berlin("2026-12-28T08:30")


def test_a_part_of_the_country_has_its_own_holidays() -> None:
    """A part of the country has its own holidays."""
    epiphany = date(2027, 1, 6)
    assert holiday_name(Calendar("DE"), epiphany) is None
    assert holiday_name(Calendar("DE", "BY"), epiphany) is not None


def test_the_leads_country_decides_where_known() -> None:
    """The leads country decides where known."""
    found = [calendar_for(OFFICE, country) for country in ("AT", "DE", "ZZ", None)]
    assert found == [Calendar("AT"), OFFICE.calendar, OFFICE.calendar, OFFICE.calendar]


def test_without_a_calendar_no_day_is_a_holiday() -> None:
    """Without a calendar no day is a holiday."""
    christmas = berlin("2026-12-25T10:00")
    assert next_open(Window(OFFICE.days, OFFICE.opens, OFFICE.closes), BERLIN, christmas, country="DE") == christmas


def test_a_window_that_is_always_open_never_waits() -> None:
    """A window that is always open never waits."""
    midnight = berlin("2026-12-25T00:00")
    assert next_open(ALWAYS, BERLIN, midnight) == midnight
