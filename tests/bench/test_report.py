"""Does the report judge as it says: no invented figure, no verdict on a ceiling that wavered?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from bench import _report
from bench.__main__ import sizes

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = {"cores": 2, "cpu": "x", "python": "3", "sqlite": "3", "load": 0.5, "system": "y"}


def result(value: float | None, **raw: float) -> dict[str, Any]:
    """Give a run that measured one ratio on one database."""
    made: dict[str, Any] = {"sqlite": {}, "counts": {}, "raw": {}, "reasons": {}, "sizes": {}, "failed": []}
    made |= {"quick": True, "machine": MACHINE, "leads": 10, "seconds": 1.0}
    for part, names in _report.PARTS.items():
        found = {"send_vs_post_ceiling": value, **raw} if part == "sending" else {}
        _report.take(made, "sqlite", names, found, "" if part == "sending" else "no such part yet")
    return made


@pytest.mark.parametrize(("value", "said"), [(0.9, "met"), (0.89, "missed"), (1.4, "met")])
def test_a_ratio_is_met_from_its_target_on(value: float, said: str) -> None:
    """The target itself is enough."""
    assert _report.verdict(result(value), "sqlite", "send_vs_post_ceiling") == said


@pytest.mark.parametrize(("value", "said"), [(4.0, "met"), (4.01, "missed")])
def test_a_growth_is_met_up_to_its_target(value: float, said: str) -> None:
    """Where less is better, the bound holds from the other side."""
    made = result(1.0)
    made["sqlite"]["tick_growth_10k_to_1m"] = value
    assert _report.verdict(made, "sqlite", "tick_growth_10k_to_1m") == said


def test_a_wavering_ceiling_gets_no_verdict() -> None:
    """Above twice between slowest and fastest the CPU ratio is named instead."""
    steady = result(3.0, send_vs_post_ceiling_ceiling_spread=2.0)
    assert _report.verdict(steady, "sqlite", "send_vs_post_ceiling") == "met"
    shaky = result(3.0, send_vs_post_ceiling_ceiling_spread=2.1, send_vs_post_ceiling_cpu_ratio=0.5)
    assert _report.verdict(shaky, "sqlite", "send_vs_post_ceiling") == "unstable, see CPU ratio 0.50"


def test_what_was_not_measured_is_null_with_a_reason() -> None:
    """All eleven ratios stand in the object, none of them invented."""
    made = result(None)
    assert list(made["sqlite"]) == list(dict.fromkeys(name for names in _report.PARTS.values() for name in names))
    assert set(made["sqlite"]) == set(_report.TARGETS)
    assert set(made["sqlite"].values()) == {None}
    assert set(made["reasons"]["sqlite"]) == set(_report.TARGETS)
    assert made["reasons"]["sqlite"]["idle_tick_ms"] == "no such part yet"


def test_a_growth_to_a_million_needs_a_million() -> None:
    """Measured between smaller sizes it is null, and the reason says how far the run went."""
    made = result(1.0)
    names = _report.PARTS["planner"]
    found = {"tick_growth_10k_to_1m": 1.1, "idle_tick_ms": 0.2}
    _report.take(made, "sqlite", names, {**found, "leads": 20_000}, "")
    assert made["sqlite"]["tick_growth_10k_to_1m"] is None
    assert made["reasons"]["sqlite"]["tick_growth_10k_to_1m"] == "this run went to 20,000 leads only"
    assert made["sqlite"]["idle_tick_ms"] == 0.2
    _report.take(made, "sqlite", names, {**found, "leads": 1_000_000}, "")
    assert made["sqlite"]["tick_growth_10k_to_1m"] == 1.1


def test_postgresql_has_its_own_bound_of_decisions() -> None:
    """25,000 decisions a second there, 50,000 on SQLite."""
    target = _report.TARGETS["decisions_per_second"]
    assert (target.on("sqlite"), target.on("postgresql")) == (50_000, 25_000)


def test_a_run_leaves_json_and_a_plot(tmp_path: Path) -> None:
    """The JSON is the whole result; the plot is XML with a bar for each ratio that was measured."""
    made = result(1.8)
    _report.write(made, tmp_path / "new")
    assert json.loads((tmp_path / "new" / "bench.json").read_text("utf-8")) == made
    drawn = ET.fromstring((tmp_path / "new" / "bench.svg").read_text("utf-8"))  # noqa: S314  our own
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 1


def test_the_table_names_every_ratio() -> None:
    """Each stands there with its target, measured or not."""
    printed = _report.table(result(1.8))
    assert all(name in printed for name in _report.TARGETS)
    assert "1.80  met" in printed


def test_sizes_are_read_with_their_letters() -> None:
    """`10k,100k,1M` is what performance figures are spoken in."""
    assert sizes("10k,100k,1M,250") == (10_000, 100_000, 1_000_000, 250)
