"""The cap's file and the weeks it counts in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from nurture.delivery.frequency import Cap, load
from nurture.settings import PROJECT
from nurture.store.definitions import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_shipped_policy_allows_two_a_week() -> None:
    assert load(PROJECT / "policies").marketing == Cap(most=2, per="iso_week")


@pytest.mark.parametrize(
    ("moment", "window"),
    [
        (datetime(2026, 11, 22, 22, 59, tzinfo=UTC), "2026-W47"),
        (datetime(2026, 11, 22, 23, 0, tzinfo=UTC), "2026-W48"),
        (datetime(2027, 1, 3, 12, 0, tzinfo=UTC), "2026-W53"),
        (datetime(2027, 1, 4, 12, 0, tzinfo=UTC), "2027-W01"),
    ],
)
def test_a_week_begins_on_monday_in_berlin(moment: datetime, window: str) -> None:
    assert Cap(most=2).window(moment, BERLIN) == window


def test_days_can_be_counted_too() -> None:
    assert Cap(most=1, per="day").window(datetime(2026, 11, 22, 23, 0, tzinfo=UTC), BERLIN) == "2026-11-23"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version: 1\nmarketing: {most: 0}\n", r"yaml:2: marketing\.most"),
        ("version: 1\nmarketing: {most: 2}\nextra: 1\n", "yaml:3: extra"),
        ("version: 1\nmarketing: {most: 2\n", "yaml:3: file: is no YAML"),
        ("", "yaml:1: file"),
    ],
)
def test_a_broken_policy_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "frequency.yaml").write_text(text, "utf-8")
    with pytest.raises(DefinitionError, match=complaint):
        load(tmp_path)


def test_a_missing_policy_says_so(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"frequency\.yaml: cannot be read"):
        load(tmp_path)
