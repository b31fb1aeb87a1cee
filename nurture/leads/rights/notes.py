"""Who gets which data, and how long is what kept? In words, for a person's record and for the Art. 30 record."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nurture.leads.rights import model
from nurture.leads.rights.dates import end_of_calendar_year
from nurture.leads.rights.policy import RetentionPolicy, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from nurture.settings import Settings

KINDS = {
    "proof_after_withdrawal": (
        "Nachweis der Einwilligung (eingeschränkt) nach ihrem Ende",
        "Proof of consent (restricted) after its end",
    ),
    "leads_without_consent": (
        "Personen ohne Einwilligung, nach ihrer letzten Handlung",
        "People without consent, after the last thing they did",
    ),
    "rights_requests": ("Anfragen betroffener Personen, nach ihrer Erledigung", "Requests of persons, once settled"),
    "quarantined_bodies": (
        "Empfangenes, das nicht lesbar war (verschlüsselt)",
        "What was received and could not be read (sealed)",
    ),
    "applied_bodies": ("Prüfsummen verarbeiteter Meldungen", "Fingerprints of messages that were processed"),
    "abuse_indexes": (
        "Kennwerte gegen Missbrauch der Anmeldung (HMAC)",
        "Keyed hashes against abuse of the sign-up",
    ),
    "import_reports": ("Berichte über abgelehnte Importzeilen", "Reports of refused rows of imports"),
    "personal_exports": ("Auskünfte an Personen im Exportordner", "Personal records in the export folder"),
    "handover_payloads": (
        "Kopie dessen, was der Vertrieb erhielt, nach Erledigung",
        "Copy of what sales was told, once settled",
    ),
    "outbox_mails": ("E-Mails im lokalen Postausgang", "Mails in the local outbox folder"),
    "run_summaries": ("Zahlen zu jedem Lauf (ohne Personenbezug)", "Counts of each run (no personal data)"),
}
"""Kind of data in retention.yaml: German, English."""
FIXED = (
    (
        ("Nicht bestätigte Anmeldungen", "Sign-ups that were not confirmed"),
        ("7 Tage, dann Löschung", "7 days, then erased"),
    ),
    (
        ("Einwilligungsprotokoll (ohne Personenbezug)", "Consent ledger (no personal data)"),
        ("dauerhaft, zum Nachweis", "for good, as proof"),
    ),
    (
        ("Sperrliste (nur HMAC der Adresse)", "Suppression list (keyed hash of the address only)"),
        ("dauerhaft, damit niemand Widersprechende erneut anschreibt", "for good, so that an objection holds"),
    ),
    (
        ("Einwilligungen, Ereignisse, Punkte, E-Mails", "Consents, events, points, mails"),
        ("solange eine Einwilligung besteht oder der Vertrieb damit arbeitet", "while a consent stands or sales works"),
    ),
)
"""What no setting changes: (data), (rule), each German, English."""


def pick(words: tuple[str, str], language: str) -> str:
    """Give the German or the English one."""
    return words[0] if language == "de" else words[1]


def length(span: timedelta, language: str) -> str:
    """Say a span in days or hours."""
    if span.days:
        return f"{span.days} {pick(('Tage', 'days'), language)}"
    return f"{int(span.total_seconds() // 3600)} {pick(('Stunden', 'hours'), language)}"


def rules(policy: RetentionPolicy, language: str) -> list[tuple[str, str, str]]:
    """Give (name, kind of data, rule) for everything retention.yaml names."""
    end = (
        f"bis zum Ende des {policy.proof_after_withdrawal.calendar_years}. Kalenderjahres danach",
        f"until the end of calendar year {policy.proof_after_withdrawal.calendar_years} after it",
    )
    asked = (
        f"bis zum Ende des {policy.rights_requests.calendar_years}. Kalenderjahres danach",
        f"until the end of calendar year {policy.rights_requests.calendar_years} after it",
    )
    months = policy.leads_without_consent.months
    special = {
        "proof_after_withdrawal": pick(end, language),
        "rights_requests": pick(asked, language),
        "leads_without_consent": pick((f"{months} Monate, dann Löschung", f"{months} months, then erased"), language),
    }
    return [
        (name, pick(words, language), special.get(name) or length(getattr(policy, name), language))
        for name, words in KINDS.items()
    ]


def retention(settings: Settings, consents: Sequence[model.Consent], language: str) -> list[model.Kept]:
    """Give what is kept how long of one person; with the day where the end is known already."""
    policy = load(settings.policies)
    until = _proof_until(settings, policy, consents)
    named = [
        model.Kept(data=data, rule=rule, until=until if name == "proof_after_withdrawal" else None)
        for name, data, rule in rules(policy, language)
        if name != "run_summaries"
    ]
    fixed = [model.Kept(data=pick(data, language), rule=pick(rule, language), until=None) for data, rule in FIXED]
    return named + fixed


def _proof_until(settings: Settings, policy: RetentionPolicy, consents: Sequence[model.Consent]) -> datetime | None:
    """When is the proof destroyed? Unknown while a consent stands."""
    if not consents or any(one.state in {"given", "stale"} for one in consents):
        return None
    last = max(one.since for one in consents)
    return end_of_calendar_year(last, policy.proof_after_withdrawal.calendar_years, settings.tz)


def sales(settings: Settings) -> str:
    """Name where handovers go: the host of the sales system, or its folder. Never the whole address."""
    return urlsplit(settings.handover_url).hostname or "" if settings.handover_url else "sales (folder)"


def provider(settings: Settings) -> str:
    """Name who delivers mail."""
    return {"sendgrid": "Twilio SendGrid", "smtp": settings.smtp_host}.get(settings.provider, "outbox (folder)")


def recipients(settings: Settings, language: str) -> list[model.Recipient]:
    """Give who gets data of our leads, and which."""
    return [
        model.Recipient(
            recipient=provider(settings),
            role=pick(("Versanddienst (Auftragsverarbeiter)", "delivery of mail (processor)"), language),
            data=pick(
                ("E-Mail-Adresse, Inhalt der E-Mail, Zustellung", "e-mail address, content of the mail, delivery"),
                language,
            ),
        ),
        model.Recipient(
            recipient=sales(settings),
            role=pick(("Vertrieb", "sales"), language),
            data=pick(
                (
                    "Kontaktdaten, Firma, Score mit Gründen, Kaufsignale, Einwilligungen (nur bei Übergabe)",
                    "contact details, company, score with reasons, signals, consents (only when handed over)",
                ),
                language,
            ),
        ),
    ]
