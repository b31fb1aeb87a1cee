"""What does the record of processing activities (Art. 30 GDPR) say? Generated from what is configured.

A table that nobody put into a category, or a purpose without words, would be left out of the law's record: a
test holds the categories against the tables, the purposes come from policies/consent.yaml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nurture.leads import wordings
from nurture.leads.rights import notes
from nurture.leads.rights.policy import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nurture.settings import Settings

Words = dict[str, str]
"""One text by language: de, en."""

CATEGORIES: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "identity": (
        (
            "E-Mail-Adresse, Name, Anrede, Telefon, Firma, Funktion, Nachrichten an uns (je Person verschlüsselt)",
            "e-mail address, name, salutation, phone, company, job title, messages to us (sealed for each person)",
        ),
        ("identity",),
    ),
    "consent": (
        (
            "Einwilligungen: Zweck, Wortlaut, Zeit, Weg, IP-Adresse, Browser, Seite (Nachweis verschlüsselt)",
            "consents: purpose, wording, time, way, IP address, browser, page (evidence sealed)",
        ),
        ("opt_in_request", "opt_in_purpose", "consent_state", "proof_vault", "ledger_entry", "consent_text"),
    ),
    "suppression": (
        ("Sperrliste: schlüsselgebundene Prüfsumme der Adresse", "suppression list: keyed hash of the address"),
        ("suppression",),
    ),
    "lead": (
        (
            "Merkmale: Branche, Größe, Land, Rolle, Sprache, Herkunft, Phase, Einstellungen",
            "facts: industry, size, country, role, language, source, stage, preferences",
        ),
        ("lead", "stage_change", "mail_preference", "import_batch"),
    ),
    "mail": (
        (
            "E-Mails: Vorlage, Zeit, Freigabe, Zustellung",
            "mails: template, time, authorisation, delivery",
        ),
        ("enrolment", "sequence_version", "decision", "verdict", "template_version", "send_batch", "message",
         "message_exception", "authorisation", "delivery_attempt", "delivery_fact", "send_slot"),
    ),
    "behaviour": (
        (
            "Verhalten: Anfragen, Besuche; Öffnen und Klicken nur mit gesonderter Einwilligung",
            "behaviour: requests, visits; opens and clicks only with a consent of its own",
        ),
        ("raw_event", "event", "signal"),
    ),
    "score": (
        ("Bewertung: Punkte mit Gründen, Score, Temperatur", "score: points with reasons, score, temperature"),
        ("points", "lead_score", "temperature_change"),
    ),
    "handover": (
        (
            "Übergaben an den Vertrieb mit Inhalt (verschlüsselt) und Antwort",
            "handovers to sales with content (sealed) and answer",
        ),
        ("handover", "handover_attempt", "handover_notice"),
    ),
    "rights": (
        ("Anfragen betroffener Personen mit Frist", "requests of persons with their due date"),
        ("rights_request",),
    ),
}  # fmt: skip
"""Category of data: (German, English), and the tables that hold it."""
IMPERSONAL = ("ledger_head", "ledger_tile", "checkpoint", "checkpoint_delivery", "kill_switch", "switch_change",
              "circuit", "brake", "ramp_day", "flow_summary", "setting")  # fmt: skip
"""Tables without personal data."""
SUBJECTS = (
    (
        "Interessierte und Ansprechpersonen von Unternehmen (Leads)",
        "interested people and contacts at companies (leads)",
    ),
    ("Personen, die sich anmelden, bis zur Bestätigung", "people who sign up, until they confirm"),
    ("Bestandskundschaft (nur soweit importiert)", "existing customers (only as far as imported)"),
)
HEADINGS = {
    "controller": ("Verantwortlicher", "Controller"),
    "officer": ("Datenschutzbeauftragte Person", "Data protection officer"),
    "activities": ("Verarbeitungstätigkeiten", "Processing activities"),
    "subjects": ("Kategorien betroffener Personen", "Categories of persons"),
    "data": ("Kategorien personenbezogener Daten", "Categories of personal data"),
    "recipients": ("Empfänger", "Recipients"),
    "transfers": ("Übermittlung in Drittländer", "Transfers to third countries"),
    "retention": ("Löschfristen", "Time limits for erasure"),
    "measures": ("Technische und organisatorische Maßnahmen", "Technical and organisational measures"),
}
"""Parts of the record in the order of Art. 30(1)."""
COLUMNS = {
    "purpose": ("Zweck", "Purpose"),
    "basis": ("Rechtsgrundlage", "Legal basis"),
    "data": ("Daten", "Data"),
    "recipient": ("Empfänger", "Recipient"),
    "role": ("Rolle", "Role"),
    "rule": ("Frist", "Time limit"),
}
TITLE = ("Verzeichnis von Verarbeitungstätigkeiten", "Record of processing activities")
PREAMBLE = (
    "Erzeugt aus der Konfiguration (Art. 30 Abs. 1 DSGVO). Von der datenschutzbeauftragten Person zu prüfen.",
    "Generated from the configuration (Art. 30(1) GDPR). To be reviewed by the data protection officer.",
)


def record(settings: Settings) -> dict[str, Any]:
    """Give the record as plain data; every text in German and English.

    Raises DefinitionError when a policy file has mistakes.
    """
    return {
        "title": _both(TITLE),
        "preamble": _both(PREAMBLE),
        "controller": {
            "company": settings.company,
            "postal_address": settings.postal_address,
            "imprint": settings.imprint,
            "contact": settings.sender_address,
            "id": settings.controller,
        },
        "officer": settings.data_protection_officer,
        "activities": list(_activities(settings)),
        "subjects": [_both(words) for words in SUBJECTS],
        "data": [{"id": name, **_both(words), "tables": list(tables)} for name, (words, tables) in CATEGORIES.items()],
        "recipients": _recipients(settings),
        "transfers": [_both(words) for words in _transfers(settings)],
        "retention": _retention(settings),
        "measures": [_both(words) for words in _measures(settings)],
    }


def markdown(told: dict[str, Any]) -> str:
    """Write the record for people: German first, English below it."""
    lines = [f"# {told['title']['de']} / {told['title']['en']}", "", told["preamble"]["de"], "", told["preamble"]["en"]]
    for number, (name, heading) in enumerate(HEADINGS.items(), 1):
        lines += ["", f"## {number}. {heading[0]} / {heading[1]}", "", *_PARTS.get(name, _bullets)(told[name])]
    return "\n".join(lines) + "\n"


def _activities(settings: Settings) -> Iterable[dict[str, Any]]:
    """Give what people agreed to, then what follows from it or from law."""
    consent = _both(("Einwilligung, Art. 6 Abs. 1 a DSGVO, § 7 UWG", "consent, Art. 6(1)(a) GDPR, s. 7 UWG"))
    tracking = _both(("Einwilligung, § 25 TDDDG", "consent, s. 25 TDDDG"))
    agreed = wordings.load(settings.policies)
    for name, purpose in agreed.purposes.items():
        about = {language: purpose.about.get(language, name) for language in ("de", "en")}
        measured = name == "email.tracking"
        yield {
            "id": name,
            **about,
            "basis": tracking if measured else consent,
            "data": ["behaviour"] if measured else ["identity", "lead", "mail"],
        }
    if agreed.existing_customer == "on":
        yield {
            "id": "existing_customer",
            **_both(("E-Mails an Bestandskundschaft", "mails to existing customers")),
            "basis": _both(("§ 7 Abs. 3 UWG, Art. 6 Abs. 1 f DSGVO", "s. 7(3) UWG, Art. 6(1)(f) GDPR")),
            "data": ["identity", "consent", "mail"],
        }
    for name, words, basis, data in _STANDING:
        yield {"id": name, **_both(words), "basis": _both(basis), "data": list(data)}


_STANDING = (
    (
        "proof",
        ("Nachweis der Einwilligungen", "proof of the consents"),
        (
            "Rechenschaftspflicht, Art. 5 Abs. 2, 7 Abs. 1 DSGVO; nach Widerruf Art. 17 Abs. 3 e",
            "accountability, Art. 5(2), 7(1) GDPR; after withdrawal Art. 17(3)(e)",
        ),
        ("consent", "suppression"),
    ),
    (
        "scoring",
        ("Bewertung des Interesses (Score), ohne Entscheidung nach Art. 22", "score of interest, no Art. 22 decision"),
        (
            "berechtigtes Interesse, Art. 6 Abs. 1 f DSGVO; endet mit Widerspruch",
            "legitimate interest, Art. 6(1)(f) GDPR; ends with an objection",
        ),
        ("lead", "behaviour", "score"),
    ),
    (
        "handover",
        (
            "Übergabe an den Vertrieb auf Anfrage oder bei hohem Interesse",
            "handover to sales on request or high interest",
        ),
        ("Art. 6 Abs. 1 b und f DSGVO", "Art. 6(1)(b) and (f) GDPR"),
        ("identity", "lead", "behaviour", "score", "handover"),
    ),
    (
        "rights",
        ("Beantwortung der Rechte betroffener Personen", "answering the rights of persons"),
        ("rechtliche Pflicht, Art. 6 Abs. 1 c DSGVO", "legal obligation, Art. 6(1)(c) GDPR"),
        ("identity", "consent", "rights"),
    ),
)


def _recipients(settings: Settings) -> list[dict[str, Any]]:
    german, english = (notes.recipients(settings, language) for language in ("de", "en"))
    return [
        {
            "recipient": one.recipient,
            "role": {"de": one.role, "en": other.role},
            "data": {"de": one.data, "en": other.data},
        }
        for one, other in zip(german, english, strict=True)
    ]


def _transfers(settings: Settings) -> list[tuple[str, str]]:
    host = urlsplit(settings.sendgrid_url).hostname or ""
    if settings.provider == "sendgrid" and not host.startswith("api.eu."):
        found = [
            (
                "USA: Twilio Inc. (SendGrid); Rechtsgrundlage und Garantien im Auftragsverarbeitungsvertrag prüfen",
                "USA: Twilio Inc. (SendGrid); check basis and safeguards in the processing agreement",
            )
        ]
    elif settings.provider == "sendgrid":
        found = [
            (
                "Versand über die EU-Region von Twilio SendGrid; Zugriffe aus den USA im Vertrag prüfen",
                "delivery in the EU region of Twilio SendGrid; check access from the USA in the agreement",
            )
        ]
    elif settings.provider == "smtp":
        found = [(f"wie mit dem Betreiber von {settings.smtp_host} vereinbart",
                  f"as agreed with the operator of {settings.smtp_host}")]  # fmt: skip
    else:
        found = [("keine: E-Mails bleiben im lokalen Postausgang", "none: mails stay in the local outbox")]
    if settings.handover_url:
        found.append((f"Vertrieb: wie mit dem Betreiber von {notes.sales(settings)} vereinbart",
                      f"sales: as agreed with the operator of {notes.sales(settings)}"))  # fmt: skip
    return found


def _retention(settings: Settings) -> list[dict[str, Any]]:
    policy = load(settings.policies)
    both = zip(notes.rules(policy, "de"), notes.rules(policy, "en"), strict=True)
    named = [
        {"id": name, "data": {"de": data, "en": english}, "rule": {"de": rule, "en": told}}
        for (name, data, rule), (_, english, told) in both
    ]
    return named + [{"id": "fixed", "data": _both(data), "rule": _both(rule)} for data, rule in notes.FIXED]


def _measures(settings: Settings) -> list[tuple[str, str]]:
    """Give what protects the data here; what the settings decide is said as they are."""
    shown = {
        "full": ("vollständig", "in full"),
        "truncated": ("gekürzt", "truncated"),
        "none": ("nicht", "not at all"),
    }[settings.evidence_ip]
    found = [
        (
            "Verschlüsselung je Person (AES-256-GCM), Schlüssel außerhalb der Datenbank; Löschen zerstört ihn",
            "encryption for each person (AES-256-GCM), keys outside the database; erasure destroys the key",
        ),
        (
            "Suche und Sperre nur über schlüsselgebundene Prüfsummen (HMAC-SHA-256)",
            "look-up and suppression by keyed hashes only (HMAC-SHA-256)",
        ),
        (
            "Double-Opt-in; jede E-Mail wird unmittelbar vor dem Versand gegen die Einwilligung geprüft",
            "double opt-in; every mail is checked against the consent right before it leaves",
        ),
        (
            "manipulationssicheres Einwilligungsprotokoll (Merkle-Baum) mit signierten Prüfpunkten",
            "tamper-evident consent ledger (Merkle tree) with signed checkpoints",
        ),
        (
            f"IP-Adressen stehen im Nachweis {shown[0]}; Protokolldateien und Abläufe enthalten keine Personen",
            f"IP addresses are kept in the evidence {shown[1]}; logs and runs hold no person",
        ),
        (
            "tägliche Löschung nach policies/retention.yaml; Löschung auf Anfrage bis in freie Speicherseiten",
            "erasure each day by policies/retention.yaml; on request down to free pages",
        ),
    ]
    if settings.provider == "smtp":
        found.append(
            (
                f"Übergabe an den Mailserver: {settings.smtp_security}",
                f"hand-over to the mail server: {settings.smtp_security}",
            )
        )
    if settings.handover_url:
        found.append(("Übergaben signiert und über HTTPS", "handovers signed and over HTTPS"))
    return found


def _both(words: tuple[str, str]) -> Words:
    return {"de": words[0], "en": words[1]}


def _bullets(items: Iterable[Words]) -> list[str]:
    return [f"- {_line(one)}" for one in items]


def _line(words: Words) -> str:
    return f"{words['de']} / {words['en']}"


def _controller(told: dict[str, str]) -> list[str]:
    return [f"{told['company']}, {told['postal_address']}  ", f"{told['imprint']}  ", told["contact"]]


def _officer(told: str) -> list[str]:
    return [told or "nicht angegeben / not named (setting data_protection_officer)"]


def _rows(heads: Iterable[str], cells: Iterable[Iterable[str]]) -> list[str]:
    titles = [_line(_both(COLUMNS[head])) for head in heads]
    lines = [titles, ["---"] * len(titles), *cells]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _activity_rows(items: Iterable[dict[str, Any]]) -> list[str]:
    return _rows(
        ("purpose", "basis", "data"),
        ([f"{_line(one)} (`{one['id']}`)", _line(one["basis"]), ", ".join(one["data"])] for one in items),
    )


def _data_lines(items: Iterable[dict[str, Any]]) -> list[str]:
    return [f"- `{one['id']}`: {_line(one)}" for one in items]


def _recipient_rows(items: Iterable[dict[str, Any]]) -> list[str]:
    cells = ([one["recipient"], _line(one["role"]), _line(one["data"])] for one in items)
    return _rows(("recipient", "role", "data"), cells)


def _retention_rows(items: Iterable[dict[str, Any]]) -> list[str]:
    return _rows(("data", "rule"), ([_line(one["data"]), _line(one["rule"])] for one in items))


_PARTS: dict[str, Any] = {
    "controller": _controller,
    "officer": _officer,
    "activities": _activity_rows,
    "data": _data_lines,
    "recipients": _recipient_rows,
    "retention": _retention_rows,
}
