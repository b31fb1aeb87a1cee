"""Which figures stand on the cover? Counted once, from the rows that are listed; every format prints these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.audit.words import word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nurture.audit.facts import Facts
    from nurture.audit.scope import Scope

WORDS: Mapping[str, tuple[str, str]] = {
    "entries": ("Einträge im Protokoll insgesamt", "entries in the whole ledger"),
    "checkpoints": ("Prüfpunkte", "checkpoints"),
    "texts": ("Einwilligungstexte", "consent texts"),
    "forms": ("Formulare mit Wortlaut", "forms with wording"),
    "people": ("Personen", "people"),
    "requests": ("Anmeldungen", "sign-ups"),
    "consents": ("Einwilligungen", "consents"),
    "withdrawals": ("Widerrufe", "withdrawals"),
    "withdrawals_followed_by_send": (
        "Widerrufe, nach denen noch eine E-Mail freigegeben wurde (muss 0 sein)",
        "withdrawals after which a mail was still permitted (must be 0)",
    ),
    "sends": ("freigegebene E-Mails", "mails permitted"),
    "sends_tracked": ("davon mit Messung von Öffnungen und Klicks", "of these with measuring of opens and clicks"),
    "refusals": ("verweigerte E-Mails", "mails refused"),
    "suppressions_added": ("auf die Sperrliste gesetzte Adressen", "addresses put on the suppression list"),
    "suppressions_now": ("Adressen auf der Sperrliste", "addresses on the suppression list"),
    "erasures": ("gelöschte Personen", "people erased"),
    "exports": ("Ausfertigungen (Exporte, Nachweise, Auskünfte)", "copies taken out (exports, proofs, access)"),
}
"""Each figure in German and English; `name.reason` is a part of `name`."""


def count(facts: Facts, scope: Scope, *, live: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Give every figure by name, in the order of the cover.

    `live` holds what stands in tables and not in the ledger: {"texts": {"": n}, "suppressions_now": {reason: n}, ...}.
    """
    parts: dict[str, dict[str, int]] = {
        "entries": facts.types(),
        "checkpoints": dict(live.get("checkpoints", {})),
        "texts": dict(live.get("texts", {})),
        "forms": {"": sum(1 for _ in facts.forms(scope))},
        "people": {"": sum(1 for _ in facts.people(scope))},
        "requests": facts.grouped("request", "outcome", scope),
        "consents": facts.grouped("consent", "state", scope),
        "withdrawals": facts.grouped("withdrawal", "route", scope),
        "withdrawals_followed_by_send": {"": facts.broken_withdrawals(scope)},
        "sends": facts.grouped("send", "purpose", scope),
        "sends_tracked": {"": facts.tracked_sends(scope)},
        "refusals": facts.grouped("refusal", "reason", scope),
        "suppressions_added": facts.added("suppressed", "reason", "count", scope),
        "suppressions_now": dict(live.get("suppressions_now", {})),
        "erasures": facts.grouped("erasure", "reason", scope),
        "exports": facts.grouped("exported", "kind", scope),
    }
    figures: dict[str, int] = {}
    for name, found in parts.items():
        figures[name] = sum(found.values())
        figures |= {f"{name}.{part}": number for part, number in found.items() if part}
    return figures


def label(name: str, language: str) -> str:
    """Say a figure's name; a part by what its word in the ledger means."""
    whole, _, part = name.partition(".")
    german, english = WORDS[whole]
    said = german if language == "de" else english
    of_these = "davon" if language == "de" else "of these"
    if not part:
        return said
    # Types of entries keep their name, too: with it they are found in entries.jsonl.
    meant = word(part, language)
    return f"{of_these} {meant}" + (f" ({part})" if "." in part and meant != part else "")
