"""Does whoever reads German get German, whatever earned points, moved a lead or barred an address?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from nurture.handover.answers import ReturnReason
from nurture.leads.roles import GERMAN, Role
from nurture.sequences.cause_words import ANSWERS, cause
from nurture.sequences.explain import Entry
from nurture.sequences.wording import CODES, sentence

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def german(kind: str, **facts: Any) -> str:
    """Tell an entry in German."""
    return sentence(Entry(AT, kind, facts), language="de", zone=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ignored, cap reached", "nicht beachtet, Grenze erreicht"),
        ("opened, cut by the cap", "geöffnet, durch die Grenze gekürzt"),
        ("clicked", "geklickt"),
        ("downloaded", "heruntergeladen"),
        ("company_size 51", "51 Beschäftigte"),
        ("role decider", "Rolle: entscheidet"),
        ("country FR", "Land FR"),
        ("private address", "private Adresse"),
        ("signal:demo_requested", "Kaufsignal: Demo angefragt"),
        ("sales:too_early:vera", "Vertrieb: zu früh, vera"),
        ("merged:7", "zusammengeführt mit Lead 7"),
        ("of a rule of one's own", "of a rule of one's own"),
    ],
)
def test_causes_are_told_in_german(said: str, told: str) -> None:
    """Each form in which a cause is stored; what fits none stays as it is."""
    assert cause(said, CODES) == told


def test_every_role_and_every_answer_of_sales_has_a_word() -> None:
    """Also one that is added."""
    assert set(map(str, Role)) == set(GERMAN)
    assert set(map(str, ReturnReason)) <= set(ANSWERS)


def test_entries_speak_german_throughout() -> None:
    """A bar, a stage, points, a temperature with its comma."""
    assert german("suppressed", reason="objection") == "Adresse gesperrt: Widerspruch"
    assert german("stage", stage="sal", cause="sales:accepted:vera") == "Phase SAL (Vertrieb: angenommen, vera)"
    points = {"points": 5, "axis": "engagement", "reason": "opened, cap reached"}
    assert german("points", **points) == "+5 Punkte (Verhalten): geöffnet, Grenze erreicht"
    assert german("temperature", temperature="warm", score=30.5) == "Temperatur warm (Score 30,5)"


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        ("record.exported", "Protokoll: Daten ausgegeben (#3)"),
        ("subject.restricted", "Protokoll: Verarbeitung eingeschränkt (#3)"),
        ("subject.unrestricted", "Protokoll: Einschränkung aufgehoben (#3)"),
        ("consent.imported", "Einwilligung: übernommen (#3)"),
    ],
)
def test_only_a_consent_is_called_one(type_: str, told: str) -> None:
    """Other entries of the ledger are entries of the ledger."""
    assert german("consent", type=type_, entry=3) == told


def test_what_the_provider_took_in_is_no_imported_consent() -> None:
    """Two things, two words."""
    assert CODES["processed"] != CODES["consent.imported"]
