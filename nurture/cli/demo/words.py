"""What does the report say? German first, formal; English second."""

from __future__ import annotations

from typing import Any

WORDS: dict[str, dict[str, Any]] = {
    "de": {
        "title": "Dreißig Tage mit nurture",
        "lead": "Alle Personen und Unternehmen sind erfunden. Dieselben Flows, Tabellen und Prüfungen wie im echten "
        "Betrieb; statt eines Versanddienstes ein lokaler Postausgang.",
        "tiles": {
            "imported": "importierte Leads", "not_mailable": "davon ohne Einwilligung",
            "confirmed": "Double-Opt-Ins", "accepted": "Werbe-E-Mails", "in_doubt": "ungeklärte Sendungen",
            "handovers": "Übergaben",
        },
        "funnel": "Vom Kontakt zur Übergabe",
        "funnel_text": "Wie viele Personen welchen Schritt erreicht haben.",
        "funnel_steps": {
            "known": "bekannt", "consented": "eingewilligt", "mailed": "angeschrieben", "engaged": "reagiert",
            "warm": "warm geworden", "hot": "heiß geworden", "handed_over": "übergeben",
            "accepted_by_sales": "vom Vertrieb angenommen",
        },
        "temperature": "Temperatur im Lauf der Zeit",
        "temperature_text": "Leads mit Einwilligung, nach Temperatur am Ende jedes Tages.",
        "temperatures": {"cold": "kalt", "warm": "warm", "hot": "heiß"},
        "as_table": "Als Tabelle", "day": "Tag", "step": "Sequenz / Schritt",
        "mails": "E-Mails nach Vorlage", "mails_text": "Vom Versand angenommene E-Mails je Schritt und Temperatur.",
        "withheld": "Nicht gesendet, und warum",
        "withheld_text": "Jede Entscheidung steht mit ihrem Grund in der Datenbank.", "none": "Nichts zurückgehalten.",
        "reasons": {
            "no_consent": "keine Einwilligung", "withdrawn": "widerrufen", "suppressed": "gesperrt",
            "late": "zu spät", "capped": "Obergrenze erreicht", "stale": "Einwilligung veraltet",
            "owner_sales": "beim Vertrieb", "frequency_cap": "Obergrenze erreicht", "goal_reached": "Ziel erreicht",
        },
        "story": "Ein Lead von Anfang bis Übergabe", "story_text": "Auf der Kommandozeile mit allen Prüfungen:",
        "three": "Ein Schritt, drei Temperaturen",
        "three_text": "Derselbe Schritt, wie er an kalte, warme und heiße Leads ging.",
        "proof": "Einwilligungsprotokoll", "verified": "Geprüft und unverändert.", "broken": "Prüfung fehlgeschlagen!",
        "proof_text": "Jeder Eintrag ist mit allen früheren verkettet; "
        "jede Sendung nennt die Einwilligung, auf der sie beruht.",
        "entries": "Einträge", "head": "Kopf", "repeat": "Selbst nachprüfen:",
        "next": "Wie es weitergeht",
        "next_steps": [
            "docs/tutorial.md: von dieser Demo zur eigenen Sequenz mit SendGrid",
            "templates/: Sequenzen und E-Mails; policies/: Punkte, Schwellen, Übergabe",
            "nurture up: Server, Worker und öffentliche Seiten auf diesem Rechner",
        ],
    },
    "en": {
        "title": "Thirty days with nurture",
        "lead": "All people and companies are made up. The same flows, tables and checks as in production; a local "
        "outbox stands in for the provider.",
        "tiles": {
            "imported": "leads imported", "not_mailable": "of them without consent", "confirmed": "double opt-ins",
            "accepted": "marketing mails", "in_doubt": "outcomes unknown", "handovers": "handovers",
        },
        "funnel": "From contact to handover", "funnel_text": "How many people reached which step.",
        "funnel_steps": {
            "known": "known", "consented": "consented", "mailed": "mailed", "engaged": "reacted",
            "warm": "turned warm", "hot": "turned hot", "handed_over": "handed over",
            "accepted_by_sales": "accepted by sales",
        },
        "temperature": "Temperature over time",
        "temperature_text": "Leads with consent, by temperature at the end of each day.",
        "temperatures": {"cold": "cold", "warm": "warm", "hot": "hot"},
        "as_table": "As a table", "day": "Day", "step": "Sequence / step",
        "mails": "Mails by template", "mails_text": "Mails the provider accepted, by step and temperature.",
        "withheld": "Not sent, and why", "withheld_text": "Every decision is stored with its reason.",
        "none": "Nothing was withheld.",
        "reasons": {
            "no_consent": "no consent", "withdrawn": "withdrawn", "suppressed": "suppressed", "late": "too late",
            "capped": "cap reached", "stale": "consent stale", "owner_sales": "with sales",
            "frequency_cap": "cap reached", "goal_reached": "goal reached",
        },
        "story": "One lead, from start to handover", "story_text": "On the command line, with every check:",
        "three": "One step, three temperatures",
        "three_text": "The same step as it went to cold, warm and hot leads.",
        "proof": "Consent ledger", "verified": "Verified and unchanged.", "broken": "Verification failed!",
        "proof_text": "Each entry is chained to all earlier ones; each mail names the consent it rests on.",
        "entries": "Entries", "head": "Head", "repeat": "Check it yourself:",
        "next": "What next",
        "next_steps": [
            "docs/tutorial.md: from this demo to your own sequence on SendGrid",
            "templates/: sequences and mails; policies/: points, bands, handover",
            "nurture up: server, worker and public pages on this machine",
        ],
    },
}  # fmt: skip
