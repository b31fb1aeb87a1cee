"""Who was it? The signs of machines, each alone, and what is no sign."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nurture.tracking.bots import Seen, agent_class, judge, load

POLICY = load(Path(__file__).resolve().parents[3] / "policies")
DELIVERED = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def seen(kind: str, seconds: float, number: int = 0, **attributes: Any) -> Seen:
    at = DELIVERED + timedelta(seconds=seconds)
    return Seen(f"{seconds}:{kind}:{number}", kind, at, {"link": number} | attributes)


def verdicts(*events: Seen, links: int = 5, delivered: datetime | None = DELIVERED) -> list[str]:
    said = judge(POLICY, events, delivered_at=delivered, links=links)
    return [said[each.key][0] for each in events]


def test_a_late_click_is_human() -> None:
    assert verdicts(seen("clicked", 3600)) == ["human"]


@pytest.mark.parametrize("seconds", [-30, 0, 4.9])
def test_a_click_at_delivery_is_a_machine(seconds: float) -> None:
    assert verdicts(seen("clicked", seconds)) == ["machine"]


def test_a_click_after_the_span_is_human() -> None:
    assert verdicts(seen("clicked", 5)) == ["human"]


def test_without_delivery_nothing_is_too_soon() -> None:
    assert verdicts(seen("clicked", 0), delivered=None) == ["human"]


def test_a_head_request_is_a_machine() -> None:
    assert verdicts(seen("clicked", 3600, method="HEAD")) == ["machine"]


def test_what_the_provider_marks_is_a_machine() -> None:
    assert verdicts(seen("opened", 3600, machine=True)) == ["machine"]


def test_all_links_at_once_is_a_machine() -> None:
    assert verdicts(*(seen("clicked", 3600 + n, n) for n in range(3))) == ["machine"] * 3


def test_all_two_links_at_once_is_a_machine() -> None:
    assert verdicts(seen("clicked", 3600, 0), seen("clicked", 3601, 1), links=2) == ["machine"] * 2


def test_the_same_link_again_is_no_burst() -> None:
    assert verdicts(*(seen("clicked", 3600 + n, 0) for n in range(3))) == ["human"] * 3


def test_three_links_over_a_minute_are_human() -> None:
    assert verdicts(*(seen("clicked", 3600 + 20 * n, n) for n in range(3))) == ["human"] * 3


def test_the_honeypot_gives_away_its_neighbours() -> None:
    hidden = seen("clicked", 3600, 2, link_key="honeypot")
    assert verdicts(hidden, seen("clicked", 3605, 1), seen("clicked", 4000, 1)) == ["machine", "machine", "human"]


def test_an_image_proxy_is_unclear() -> None:
    assert verdicts(seen("opened", 3600, agent="proxy")) == ["unclear"]


def test_the_order_of_events_changes_nothing() -> None:
    events = [seen("clicked", 3600 + n, n) for n in range(4)] + [seen("opened", 3602), seen("clicked", 9000, 1)]
    expected = judge(POLICY, events, delivered_at=DELIVERED, links=5)
    for seed in range(20):
        random.Random(seed).shuffle(events)  # noqa: S311  no secret
        assert judge(POLICY, events, delivered_at=DELIVERED, links=5) == expected


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0", None),
        ("Microsoft Outlook 16.0 (barracuda)", None),
        ("Mozilla/5.0 (via ggpht.com GoogleImageProxy)", "proxy"),
        ("YahooMailProxy; https://help.yahoo.com", "proxy"),
        ("Mozilla/5.0", "proxy"),
        ("", "proxy"),
        (None, None),
        ("BarracudaCentral", "scanner"),
        ("Mozilla/5.0 (compatible; Mimecast)", "scanner"),
        ("curl/8.5.0", "library"),
        ("python-requests/2.32", "library"),
        ("Slackbot-LinkExpanding 1.0", "library"),
    ],
)
def test_user_agents_are_classed(agent: str | None, expected: str | None) -> None:
    assert agent_class(POLICY, agent) == expected
