"""Where did a sign-up come from, in words its reader understands? The ledger keeps the code beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "web.newsletter": {"de": "Anmeldeformular auf unserer Website", "en": "sign-up form on our website"},
    "web.lead_magnet": {"de": "Formular für einen Download auf unserer Website", "en": "download form on our website"},
    "web.contest": {"de": "Formular eines Gewinnspiels", "en": "form of a contest"},
    "web.survey": {"de": "Formular einer Umfrage", "en": "form of a survey"},
    "web.registration": {"de": "Formular einer Veranstaltung", "en": "registration form of an event"},
    "web.fair": {"de": "Formular an unserem Messestand", "en": "form at our fair stand"},
    "web.preferences": {"de": "Ihre Einstellungen auf unserer Website", "en": "your preferences on our website"},
    "operator.renewal": {"de": "auf Ihre Bitte hin", "en": "at your request"},
    "api.opt-in": {"de": "eine Anwendung von uns", "en": "an application of ours"},
    "offline": {"de": "von Ihnen unterschriebene Karte", "en": "a card you signed"},
}
CARD = "offline"
"""Its codes go on with the name of an event, which tells the reader something."""


def told(source: str, language: str) -> str:
    """Give the words for a source, such as `offline.hm26`; one that has none is told as it is."""
    kind, _, event = source.partition(".")
    held = WORDS.get(kind if kind == CARD else source)
    if held is None:
        return source
    words = held.get(language, held["en"])
    return f"{words} ({event})" if kind == CARD else words
