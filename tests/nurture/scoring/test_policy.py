"""Is a mistake in scoring.yaml named by file, line and place, and is nonsense warned of?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from ruamel.yaml import YAML

from nurture.scoring import policy as policies
from nurture.scoring.check import warnings
from nurture.store.definitions import DefinitionError
from nurture.tracking.vocabulary import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from nurture.scoring.policy import ScoringPolicy

POLICIES = Path(__file__).resolve().parents[3] / "policies"
TEXT = (POLICIES / "scoring.yaml").read_text("utf-8")


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str], ScoringPolicy]:
    """Load the shipped rules with one text replaced."""

    def load(old: str, new: str) -> ScoringPolicy:
        assert old in TEXT
        (tmp_path / "vocabulary").mkdir()
        (tmp_path / "vocabulary" / "events.yaml").write_text(
            (POLICIES / "vocabulary" / "events.yaml").read_text("utf-8")
        )
        (tmp_path / "scoring.yaml").write_text(TEXT.replace(old, new), "utf-8")
        return policies.load(tmp_path)

    return load


def line_of(text: str) -> int:
    return TEXT[: TEXT.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("points: 10, cap: {points: 10, per: 30d}}", "points: ten}", "rules[0]", "points"),
        ("on: [opened]", "on: [openend]", "rules[0]", "there is no event 'openend'"),
        ("hysteresis: 3", "hysteresis: 31", "bands", "smaller than each band"),
        ("version: 1", "version: 0", "version", "greater than or equal to 1"),
        ("half_life: 30d", "half_life: 30 days", "half_life", "no length of time"),
        ("after: 7d", "after: 6d", "rules", "before day 7"),
        ("bands:", "bandz:", "bandz", "is no known key here"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    changed: Callable[[str, str], ScoringPolicy], old: str, new: str, place: str, says: str
) -> None:
    with pytest.raises(DefinitionError) as raised:
        changed(old, new)
    named = [each for each in str(raised.value).splitlines() if place in each]
    assert any(each.startswith(f"scoring.yaml:{line_of(old)}: ") for each in named)
    assert says in str(raised.value)


@pytest.mark.requirement(63)
def test_an_action_without_points_is_refused(changed: Callable[[str, str], ScoringPolicy]) -> None:
    with pytest.raises(DefinitionError, match="points"):
        changed("on: [webinar_attended], points: unset", "on: [webinar_attended]")


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "scoring.yaml").write_text("rules: [", "utf-8")
    with pytest.raises(DefinitionError, match=r"scoring\.yaml:1"):
        policies.load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"scoring\.yaml: cannot be read"):
        policies.load(tmp_path)


@pytest.mark.requirement(46)
def test_a_cheap_demo_request_is_warned_of(changed: Callable[[str, str], ScoringPolicy]) -> None:
    found = warnings(changed("trial_requested], points: 25", "trial_requested], points: 9"))
    assert any("demo_requested scores 9, less than opened (10)" in each for each in found)


@pytest.mark.requirement(63)
def test_an_action_nobody_speaks_of_is_warned_of(changed: Callable[[str, str], ScoringPolicy]) -> None:
    found = warnings(changed("  - {id: webinar, kind: implicit, on: [webinar_attended], points: unset}\n", ""))
    assert any("no rule reads webinar_attended" in each for each in found)


def test_opens_without_a_cap_are_warned_of(changed: Callable[[str, str], ScoringPolicy]) -> None:
    found = warnings(changed("points: 10, cap: {points: 10, per: 30d}}\n  - {id: click", "points: 10}\n  - {id: click"))
    assert any("open has no cap: 7 such events alone make a lead hot" in each for each in found)


def test_hot_out_of_reach_is_warned_of(changed: Callable[[str, str], ScoringPolicy]) -> None:
    assert any("gives 90 points" in each for each in warnings(changed("hot: 61", "hot: 91")))


@pytest.mark.requirement(65)
def test_rules_carry_two_approvals(changed: Callable[[str, str], ScoringPolicy]) -> None:
    approved = "version: 1\napprovals: {marketing: {by: Head, on: 2026-11-01}, sales: {by: Head, on: 2026-11-02}}"
    assert [each for each in warnings(changed("version: 1", approved)) if "approved" in each] == []
    assert [each for each in warnings(policies.load(POLICIES)) if "approved" in each] != []


def test_the_shipped_rules_give_no_other_warning() -> None:
    assert [each for each in warnings(policies.load(POLICIES)) if "approved" not in each] == []


def test_the_shipped_rules_fit_their_schema() -> None:
    jsonschema.validate(YAML(typ="safe").load(TEXT), policies.json_schema())


def test_the_schema_refuses_unknown_keys() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(YAML(typ="safe").load(TEXT.replace("bands:", "bandz:")), policies.json_schema())


@pytest.mark.requirement(110)
def test_every_event_has_a_label() -> None:
    assert policies.known_events(POLICIES) == {kind.value for kind in EventKind}


@pytest.mark.requirement(56)
def test_presets_are_named_for_what_they_are_best_for() -> None:
    for text in ("intent seen online", "keeping the pipeline clean", "specific industries, people who decide"):
        assert f"best for: {text}" in TEXT
