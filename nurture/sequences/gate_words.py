"""What did a gate say, in German? Gates are stored in English, each in one of a few forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GATES: Mapping[str, str] = {
    "stage": "Phase", "goal": "Ziel", "consent": "Einwilligung", "late": "Verspätung", "kill_switch": "Notschalter",
    "pause": "Pause", "pace": "Wunschmenge", "window": "Versandfenster", "frequency": "Häufigkeit", "template": "Text",
    "expiry": "Frist", "circuit": "Versanddienst", "content": "Inhalt", "request": "Anmeldung", "batch": "Stapel",
    "person": "Entscheidung",
}  # fmt: skip

TIME = r"(\d{4}-\d\d-\d\d \d\d:\d\dZ)"
FORMS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "stage": (
        (r"(\w+), (\w+)", "{0}, {1}"),
        (r"merged into another lead", "mit einem anderen Lead zusammengeführt"),
    ),
    "goal": (
        (r"temperature is (\w+)", "Temperatur ist {0}"),
        (rf"signal any: {TIME}", "Kaufsignal: {0}"),
        (rf"signal any: not since {TIME}", "kein Kaufsignal seit {0}"),
        (rf"signal (\w+): {TIME}", "Kaufsignal {0}: {1}"),
        (rf"signal (\w+): not since {TIME}", "Kaufsignal {0}: nicht seit {1}"),
        (rf"(\w+): {TIME}", "{0}: {1}"),
        (rf"(\w+): not since {TIME}", "{0}: nicht seit {1}"),
        (rf"(\w+) (\S+): {TIME}", "{0} ({1}): {2}"),
        (rf"(\w+) (\S+): not since {TIME}", "{0} ({1}): nicht seit {2}"),
    ),
    "consent": ((r"entry (\d+)", "Eintrag {0}"),),
    "late": ((rf"due {TIME}", "fällig {0}"),),
    "pause": ((rf"until {TIME}", "bis {0}"),),
    "pace": ((r"(\d+) of (\d+) in (\d+) weeks", "{0} von {1} in {2} Wochen"),),
    "window": ((rf"opens {TIME}", "öffnet {0}"),),
    "frequency": (
        (r"(\d+) of (\d+)", "{0} von {1}"),
        (r"(\d+) in (\S+), chosen", "{0} in {1}, selbst gewählt"),
        (r"(\d+) in (\S+)", "{0} in {1}"),
    ),
}
"""What each gate may say beside a reason; what is no word (the key of a text, what a person wrote) stays."""


def name(gate: str) -> str:
    """Name a gate."""
    return GATES.get(gate, gate)


def detail(gate: str, said: str, codes: Mapping[str, str]) -> str:
    """Say what a gate said; `codes` has German words for codes in it. What fits no form stays as it is."""
    for form, german in FORMS.get(gate, ()):
        found = re.fullmatch(form, said)
        if found is not None:
            return german.format(*(codes.get(part, part) for part in found.groups()))
    return said
