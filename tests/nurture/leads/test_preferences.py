"""What somebody chose: kept, ended by itself, and never more than the policy allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import identity
from consent.addresses import Address
from nurture.delivery import frequency
from nurture.delivery.frequency import Cap
from nurture.leads import preferences
from nurture.leads.preferences import NONE, RARELY, Choice

if TYPE_CHECKING:
    from nurture.store.workspace import Workspace

BERLIN = ZoneInfo("Europe/Berlin")
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  bounds


@pytest.fixture
def subject(workspace: Workspace, at: datetime) -> str:
    """Somebody."""
    with workspace.store.write() as conn:
        return identity.ensure(conn, workspace.keyring, Address.of("anna@firma.example"), at=at)


def chosen(workspace: Workspace, subject: str) -> Choice:
    """Read the choice back."""
    with workspace.store.read() as conn:
        return preferences.of(conn, [subject]).get(subject, NONE)


def test_who_chose_nothing_gets_what_is_planned(workspace: Workspace, subject: str, at: datetime) -> None:
    assert (chosen(workspace, subject), NONE.pauses(at), NONE.pace) == (Choice(), False, None)


def test_pause_and_pace_are_kept_apart(workspace: Workspace, subject: str, at: datetime) -> None:
    with workspace.store.write() as conn:
        until = preferences.pause(conn, subject, 30, at=at)
        preferences.slow_down(conn, subject, 1, at=at)
    assert chosen(workspace, subject) == Choice(until, 1)
    with workspace.store.write() as conn:
        preferences.resume(conn, subject, at=at)
    assert chosen(workspace, subject) == Choice(None, 1)
    with workspace.store.write() as conn:
        preferences.slow_down(conn, subject, None, at=at)
    assert chosen(workspace, subject) == NONE


def test_a_pause_ends_by_itself(workspace: Workspace, subject: str, at: datetime) -> None:
    with workspace.store.write() as conn:
        preferences.pause(conn, subject, 30, at=at)
    choice, end = chosen(workspace, subject), at + timedelta(days=30)
    assert (choice.pauses(end - timedelta(microseconds=1)), choice.pauses(end)) == (True, False)


@pytest.mark.parametrize("days", [0, -30, 1, 31, 36_500])
def test_only_offered_pauses_are_taken(workspace: Workspace, subject: str, at: datetime, days: int) -> None:
    with workspace.store.write() as conn, pytest.raises(ValueError, match="not offered"):
        preferences.pause(conn, subject, days, at=at)


@pytest.mark.parametrize("pace", [-1, 2, 50])
def test_only_offered_paces_are_taken(workspace: Workspace, subject: str, at: datetime, pace: int) -> None:
    with workspace.store.write() as conn, pytest.raises(ValueError, match="not offered"):
        preferences.slow_down(conn, subject, pace, at=at)


@given(at=TIMES, count=st.integers(1, 6), per=st.sampled_from(["iso_week", "day"]))
def test_a_span_ends_with_the_present_window(at: datetime, count: int, per: str) -> None:
    cap = Cap.model_validate({"most": 2, "per": per})
    names = frequency.windows(cap, at, BERLIN, count)
    first, last = frequency.weeks(at, BERLIN, count)
    assert names[-1] == cap.window(at, BERLIN)
    assert names[0] == cap.window(first, BERLIN)
    assert list(dict.fromkeys(names)) == list(names)
    assert first <= at < last
    assert (per == "day") or len(names) == count


@given(per_week=st.one_of(st.none(), st.integers(RARELY, 7)))
def test_a_pace_is_a_number_of_mails_in_a_number_of_weeks(per_week: int | None) -> None:
    pace = Choice(None, per_week).pace
    assert (pace is None) == (per_week is None)
    assert pace is None or (pace[0] >= 1 and pace[1] >= 1)
    assert (pace == (1, 4)) == (per_week == RARELY)
