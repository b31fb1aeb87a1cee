"""What earned points, moved a lead or barred an address, in German? Causes are stored in English, in a few forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nurture.leads.roles import GERMAN as ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

CAUSES: Mapping[str, str] = {
    "ignored": "nicht beachtet", "private address": "private Adresse", "objection": "Widerspruch",
    "blocked": "von Hand gesperrt", "hard_bounce": "Postfach nimmt nichts an", "bounced": "Postfach nimmt nichts an",
    "complaint": "als Spam gemeldet", "complained": "als Spam gemeldet", "erased": "Löschung",
    "erasure": "Löschung", "withdrawn": "Widerruf", "unsubscribed": "abgemeldet", "threshold": "Schwelle erreicht",
}  # fmt: skip
"""What these codes mean as a cause; elsewhere some of them mean something else."""
ANSWERS: Mapping[str, str] = {
    "accepted": "angenommen", "won": "gewonnen", "lost": "verloren", "not_decider": "entscheidet nicht",
    "budget_open": "Budget offen", "other_priorities": "anderes geht vor", "too_early": "zu früh",
    "not_reached": "nicht erreicht", "need_unclear": "Bedarf unklar", "no_fit": "passt nicht",
    "wrong_data": "falsche Angaben", "competitor": "Wettbewerb, Studium oder Presse",
}  # fmt: skip
"""What sales said of a lead; a word without a German one stands as it is."""
FORMS: tuple[tuple[str, str], ...] = (
    (r"company_size (?P<plain>\d+)", "{plain} Beschäftigte"),
    (r"role (?P<role>\w+)", "Rolle: {role}"),
    (r"country (?P<plain>.+)", "Land {plain}"),
    (r"industry (?P<plain>.+)", "Branche {plain}"),
    (r"signal:(?P<code>.+)", "Kaufsignal: {code}"),
    (r"sales:(?P<answer>[^:]+)", "Vertrieb: {answer}"),
    (r"sales:(?P<answer>[^:]+):(?P<plain>.+)", "Vertrieb: {answer}, {plain}"),
    (r"merged:(?P<plain>\d+)", "zusammengeführt mit Lead {plain}"),
)
CAPPED = ((", cap reached", ", Grenze erreicht"), (", cut by the cap", ", durch die Grenze gekürzt"))


def cause(said: str, codes: Mapping[str, str]) -> str:
    """Say a cause; `codes` has German words for the kinds of events. What fits no form stays as it is."""
    for english, german in CAPPED:
        if said.endswith(english):
            return cause(said.removesuffix(english), codes) + german
    words: Mapping[str, Mapping[str, str]] = {"role": ROLES, "answer": ANSWERS, "code": codes}
    for form, german in FORMS:
        if found := re.fullmatch(form, said):
            return german.format(**{of: words.get(of, {}).get(part, part) for of, part in found.groupdict().items()})
    return CAUSES.get(said) or codes.get(said, said)
