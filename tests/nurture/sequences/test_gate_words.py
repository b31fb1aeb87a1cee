"""Does whoever reads German get German, whatever a gate said and whyever a mail was not sent?"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from consent.gate import RefusalReason
from nurture.delivery import composing, settling
from nurture.leads import preferences
from nurture.leads.stages import Bar
from nurture.sequences import gate_words
from nurture.sequences.decide import Reason
from nurture.sequences.explain import explain
from nurture.sequences.wording import CODES, REASONS, because, reason_of, text
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from datetime import datetime

    from tests.nurture.sequences.conftest import World

BERLIN = ZoneInfo("Europe/Berlin")
WRITERS = ("sequences/decide.py", "delivery/intent.py", "delivery/withheld.py", "delivery/deciding.py")
FAULTS = ("address", "empty", "header")
"""What `fault_of` can say."""
LAST_MOMENT = (
    "expired", "workers_lost", "frequency_cap", "request_settled", "template_changed", composing.UNREADABLE, "erased",
    "suppressed", "sent_again", "original_accepted", "proven", "render RenderError", *settling.REASONS.values(),
    *(f"fault_{one}" for one in FAULTS),
)  # fmt: skip
AT = "2026-12-23 08:00Z"


def gate_names() -> set[str]:
    """Every name under which our code writes what a gate said."""
    found: set[str] = set()
    for path in WRITERS:
        for node in ast.walk(ast.parse((PROJECT / "nurture" / path).read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Gate":
                said = (str(one.value) for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant))
                found |= set(said) - {"expired"}
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                found |= {
                    str(value.value)
                    for key, value in pairs
                    if isinstance(key, ast.Constant) and key.value == "gate" and isinstance(value, ast.Constant)
                }
    return found


def test_every_gate_has_a_german_name() -> None:
    """Also one that is added: its name is found in the source."""
    names = gate_names()
    assert {"stage", "consent", "pause", "person", "expiry"} <= names
    assert names == set(gate_words.GATES)


@pytest.mark.parametrize("reason", sorted({*Reason, *Bar, *RefusalReason, *LAST_MOMENT}))
def test_every_reason_has_a_german_sentence(reason: str) -> None:
    """The planner's, the stage's, the consent gate's, and those between queue and provider."""
    said = {lang: because({"outcome": "withheld", "reason": str(reason)}, lang) for lang in ("en", "de")}
    assert reason_of(str(reason)) in REASONS
    assert said["en"] != said["de"]
    assert " " in said["de"]


@pytest.mark.parametrize(
    ("gate", "said", "german"),
    [
        ("stage", "engaged, marketing", "interessiert, Marketing"),
        ("goal", "temperature is hot", "Temperatur ist heiß"),
        ("goal", f"signal any: {AT}", f"Kaufsignal: {AT}"),
        ("goal", f"signal any: not since {AT}", f"kein Kaufsignal seit {AT}"),
        ("goal", f"signal demo_requested: {AT}", f"Kaufsignal Demo angefragt: {AT}"),
        ("goal", f"signal demo_requested: not since {AT}", f"Kaufsignal Demo angefragt: nicht seit {AT}"),
        ("goal", f"demo_requested: {AT}", f"Demo angefragt: {AT}"),
        ("goal", f"demo_requested: not since {AT}", f"Demo angefragt: nicht seit {AT}"),
        ("goal", f"clicked hello: {AT}", f"geklickt (hello): {AT}"),
        ("goal", f"clicked hello: not since {AT}", f"geklickt (hello): nicht seit {AT}"),
        ("consent", "entry 17", "Eintrag 17"),
        ("late", f"due {AT}", f"fällig {AT}"),
        ("pause", f"until {AT}", f"bis {AT}"),
        ("pace", "1 of 1 in 2 weeks", "1 von 1 in 2 Wochen"),
        ("window", f"opens {AT}", f"öffnet {AT}"),
        ("frequency", "2 of 2", "2 von 2"),
        ("frequency", "2 in 2026-W48", "2 in 2026-W48"),
        ("frequency", "0 in 2026-W48, chosen", "0 in 2026-W48, selbst gewählt"),
        ("template", "welcome/hello/cold/de", "welcome/hello/cold/de"),
        ("person", "cli:anna: asked by phone", "cli:anna: asked by phone"),
        ("kill_switch", "", ""),
    ],
)
def test_what_a_gate_says_is_told_in_german(gate: str, said: str, german: str) -> None:
    """Each form in which it is stored; keys of texts and what people wrote stay."""
    assert gate_words.detail(gate, said, CODES) == german


def test_a_whole_explanation_holds_no_english_gate(world: World, at: datetime) -> None:
    """Of a lead who paused, and whose mail was planned when the pause had ended."""
    [lead_id] = world.people(1, at)
    [subject] = world.subjects([lead_id])
    with world.ws.store.write() as conn:
        preferences.pause(conn, subject, 30, at=at)
    world.tick(at)
    with world.ws.store.write() as conn:
        preferences.resume(conn, subject, at=at)
    world.tick(at)
    with world.ws.store.read() as conn:
        shown = text(explain(conn, lead_id), language="de", zone=BERLIN)
    for german in ("+ Phase bestätigt, Marketing", "+ Einwilligung Eintrag ", "- Pause bis 2026-12-23", "+ Häufigkeit"):
        assert german in shown
    for english in ("stage ", "entry ", "until ", "not since", " of ", "kill_switch", "opens "):
        assert english not in shown
