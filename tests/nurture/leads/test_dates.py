"""Is every date of an export read as meant, or refused?"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from nurture.leads.importing.dates import AmbiguousTime, DateOrder, UnreadableTime, read_moment

BERLIN = ZoneInfo("Europe/Berlin")
TEN_PAST_NINE = datetime(2025, 3, 4, 9, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2025-03-04 10:10:00",
        "2025-03-04T10:10",
        "2025-03-04T09:10:00Z",
        "2025-03-04T10:10:00.000+01:00",
        "2025/03/04 10:10",
        "04.03.2025 10:10",
        "4.3.25 10:10 Uhr",
        "04.03.2025, 10:10:00",
        "Mar 04, 2025 10:10 am",
        "1741079400",
        "1741079400000",
    ],
)
def test_it_reads_the_forms_of_exports(text: str) -> None:
    """Every form that exports write is the same moment."""
    assert read_moment(text, BERLIN) == TEN_PAST_NINE


@pytest.mark.parametrize("text", ["", " ", "0", "-", "0000-00-00 00:00:00", "NULL"])
def test_an_empty_cell_is_no_time(text: str) -> None:
    """What programs write for nothing is nothing."""
    assert read_moment(text, BERLIN) is None


@pytest.mark.parametrize(
    "text", ["kürzlich", "2025-02-30", "31.02.2025 10:00", "2025", "13:00", "04-03-2025", "99/99/2025"]
)
def test_it_refuses_what_it_cannot_read(text: str) -> None:
    """Words, dates beyond the calendar and parts of a date are refused."""
    with pytest.raises(UnreadableTime):
        read_moment(text, BERLIN)


def test_it_never_guesses_the_order() -> None:
    """3/4/2025 may be March or April and is refused."""
    with pytest.raises(AmbiguousTime):
        read_moment("3/4/2025 10:10 AM", BERLIN)


def test_the_order_can_be_said() -> None:
    """Once the order is said, 3/4 and 4/3 are read by it."""
    assert read_moment("3/4/2025 10:10 AM", BERLIN, DateOrder.MONTH_FIRST) == TEN_PAST_NINE
    assert read_moment("4/3/2025 10:10 AM", BERLIN, DateOrder.DAY_FIRST) == TEN_PAST_NINE


def test_an_order_with_one_reading_is_read() -> None:
    """3/14 can only be the fourteenth of March."""
    assert read_moment("3/14/2025 00:00", BERLIN) == datetime(2025, 3, 13, 23, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2025-10-26 02:30", "2025-03-30 02:30"])
def test_the_hour_of_the_clock_change_is_refused(text: str) -> None:
    """Half past two stands twice on the clock in October and never in March."""
    with pytest.raises(AmbiguousTime):
        read_moment(text, BERLIN)


def test_noon_and_midnight_of_twelve_hours() -> None:
    """12 AM is midnight, 12 PM is noon."""
    assert read_moment("12/13/2025 12:05 AM", ZoneInfo("UTC")) == datetime(2025, 12, 13, 0, 5, tzinfo=UTC)
    assert read_moment("12/13/2025 12:05 PM", ZoneInfo("UTC")) == datetime(2025, 12, 13, 12, 5, tzinfo=UTC)
