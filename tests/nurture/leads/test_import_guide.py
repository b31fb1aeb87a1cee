"""Does the guide for importing tell the truth? Its example is imported, its words are looked up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nurture.leads.hygiene import BadAddressReason
from nurture.leads.importing.columns import PRESETS, Field
from nurture.leads.importing.mapping import Map, load_map
from nurture.leads.importing.problems import NotMailable, RowProblem

if TYPE_CHECKING:
    from tests.nurture.leads.conftest import Desk

GUIDE = (Path(__file__).parents[3] / "docs/how-to/import.md").read_text("utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(csv|yaml|console)\n(.*?)```", GUIDE, re.DOTALL)


def block(kind: str, holds: str) -> str:
    """Give the block of a kind that holds these words."""
    return next(text for name, text in BLOCKS if name == kind and holds in text)


def test_the_guides_example_gives_its_figures(desk: Desk) -> None:
    """List and map of the guide come to exactly the counts that stand below them."""
    said = load_map(desk.file(block("yaml", "columns:"), "kunden.map.yaml"), desk.policies)
    counts = desk.take(block("csv", "E-Mail"), said).counts
    shown = dict(re.findall(r"^ +(\S.*?)  +(\d+)$", block("console", "mailable:"), re.MULTILINE))
    found = {
        "rows": counts.rows,
        "refused": counts.refused.total(),
        **counts.refused,
        "new leads": counts.new,
        "mailable: proven double opt-in": counts.mailable,
        "not mailable": counts.not_mailable.total(),
        **counts.not_mailable,
    }

    assert found == {name: int(number) for name, number in shown.items()}
    assert [row.stage for row in desk.leads()] == ["confirmed", "unconfirmed", "customer"]


def test_a_bare_list_of_noes_needs_one_line(desk: Desk) -> None:
    """The guide's smallest map turns a list of addresses into suppressions."""
    said = load_map(desk.file(block("yaml", "status:"), "nein.map.yaml"), desk.policies)
    report = desk.take("E-Mail\nalt@firma.example\n", said)
    assert (report.counts.suppressions_added, report.imported) == (1, 0)


@pytest.mark.parametrize("word", [*PRESETS, *Field, *NotMailable, *RowProblem, *Map.model_fields])
def test_the_guide_leaves_no_word_out(word: str) -> None:
    """Every preset, meaning, reason and key of a map stands in the guide."""
    assert re.search(rf"\b{re.escape(word)}\b", GUIDE)


def test_the_guides_report_is_a_real_one(desk: Desk) -> None:
    """The lines of the report shown are those that the example makes."""
    report = desk.take(block("csv", "E-Mail")).report
    assert report is not None
    assert report.read_text("utf-8-sig").split() == block("console", "Zeile").split("csv\n")[1].split()
    assert BadAddressReason.SYNTAX in GUIDE
