"""Which words does a proof speak? German first; English for whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.leads.rights import words as rights

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "de": {
        "title_consent": "Nachweis einer Einwilligung",
        "title_mail": "Nachweis einer versandten E-Mail",
        "issued": "Ausgestellt",
        "consent": "Einwilligung",
        "controller": "Verantwortlicher",
        "subject": "Person",
        "pseudonym": "Pseudonym",
        "basis": "Rechtsgrundlage",
        "double_opt_in": "Einwilligung, Art. 6 Abs. 1 lit. a DSGVO, durch Double-Opt-In bestätigt",
        "imported": "Einwilligung, Art. 6 Abs. 1 lit. a DSGVO, mit dem Nachweis eines anderen Systems übernommen",
        "existing_customer": "Bestandskunde, § 7 Abs. 3 UWG",
        "given_at": "erteilt",
        "wording": "Wortlaut: {purpose}, Fassung {version}",
        "wording_imported": "Wortlaut: {purpose}, aus dem anderen System",
        "wording_existing_customer": "Hinweis auf das Widerspruchsrecht: {purpose}",
        "no_wording": "Der Wortlaut lag beim Beleg, und der Beleg wurde gelöscht.",
        "matches": "wie in Eintrag {seq}",
        "differs": "NICHT wie in Eintrag {seq}",
        "standing": "Stand",
        "stands": "besteht",
        "consent.withdrawn": "widerrufen {when}, Eintrag {seq}",
        "subject.erased": "Person gelöscht {when}, Eintrag {seq}",
        "subject.merged": "mit einer anderen Person zusammengeführt {when}, Eintrag {seq}; nichts ging über",
        "steps": "Beide Schritte",
        "step_1": "Erster Schritt: Anmeldung",
        "step_2": "Zweiter Schritt: Bestätigung",
        "recorded": "Übernahme",
        "when": "Zeitpunkt",
        "form": "Formular",
        "mail": "Bestätigungsmail",
        "how": "Art",
        "button": "Knopf auf der Seite hinter dem Link der Bestätigungsmail gedrückt (POST)",
        "latency": "nach der Anmeldung",
        "withheld": "Beleg vorhanden, nicht gezeigt",
        "evidence": "Beleg",
        "salt": "Salz des Belegs (hex)",
        "destroyed": "gelöscht; der Eintrag beweist weiter die Zeit und, durch den SHA-256, den Wortlaut",
        "the_mail": "E-Mail",
        "message": "Nummer",
        "purpose": "Zweck",
        "authorised_at": "freigegeben",
        "submitted_at": "an den Versender übergeben",
        "outcome": "Zustellung",
        "provider_id": "Nummer beim Versender",
        "content_sha256": "SHA-256 des Inhalts",
        "tracking": "Messung (Eintrag der Einwilligung)",
        "rests_on": "beruht auf Eintrag",
        "no": "nein",
        "content_rule": (
            "Der Hash des Inhalts geht über Adresse, Betreff, Text und HTML in dieser Reihenfolge, vor jedem Teil "
            "seine Länge in acht Bytes. Die Freigabe steht im Protokoll, bevor der Versender von der E-Mail erfährt."
        ),
        "check": "Nachprüfen, ohne uns",
        "entry": "Eintrag {seq} ({type}) mit Einschlussnachweis",
        "one_of": (
            "Der Eintrag gibt {count} E-Mails frei. Gezeigt ist nur die Freigabe dieser E-Mail, die anderen betreffen "
            "andere Personen. Blatt-Hash des ganzen Eintrags: {leaf_hash}. Der ganze Eintrag steht in der JSON-Fassung "
            "dieses Nachweises."
        ),
        "checkpoint": "Unterschriebener Prüfpunkt",
        "how_to": (
            "Blatt-Hash = SHA-256(0x00 und die Bytes des Eintrags). Mit den Hashes des Einschlussnachweises nach "
            "RFC 9162, Abschnitt 2.1.3.2, zur Wurzel {root} rechnen; sie steht im Prüfpunkt. Dessen Unterschrift "
            "(Ed25519, C2SP signed-note) mit dem Schlüssel {key} prüfen. Ein früher anderswo hinterlegter Prüfpunkt "
            "zeigt, dass seither nichts geändert wurde. Anleitung mit Programm: consent/AUDIT.md."
        ),
    },
    "en": {
        "title_consent": "Proof of a consent",
        "title_mail": "Proof of a mail that was sent",
        "issued": "Issued",
        "consent": "Consent",
        "controller": "Controller",
        "subject": "Person",
        "pseudonym": "pseudonym",
        "basis": "Legal basis",
        "double_opt_in": "consent, Art. 6(1)(a) GDPR, confirmed by double opt-in",
        "imported": "consent, Art. 6(1)(a) GDPR, taken over with the proof of another system",
        "existing_customer": "existing customer, s. 7(3) UWG",
        "given_at": "given",
        "wording": "Wording: {purpose}, version {version}",
        "wording_imported": "Wording: {purpose}, of the other system",
        "wording_existing_customer": "Notice of the right to object: {purpose}",
        "no_wording": "The wording lay with the evidence, and the evidence was erased.",
        "matches": "as in entry {seq}",
        "differs": "NOT as in entry {seq}",
        "standing": "Standing",
        "stands": "stands",
        "consent.withdrawn": "withdrawn {when}, entry {seq}",
        "subject.erased": "person erased {when}, entry {seq}",
        "subject.merged": "merged with another person {when}, entry {seq}; nothing went over",
        "steps": "Both steps",
        "step_1": "First step: sign-up",
        "step_2": "Second step: confirmation",
        "recorded": "Taken over",
        "when": "Time",
        "form": "Form",
        "mail": "Confirmation mail",
        "how": "How",
        "button": "button pressed on the page behind the link of the confirmation mail (POST)",
        "latency": "after the sign-up",
        "withheld": "evidence held, not shown",
        "evidence": "Evidence",
        "salt": "Salt of the evidence (hex)",
        "destroyed": "erased; the entry still proves the time and, by the SHA-256, the wording",
        "the_mail": "Mail",
        "message": "Number",
        "purpose": "Purpose",
        "authorised_at": "authorised",
        "submitted_at": "handed to the provider",
        "outcome": "Delivery",
        "provider_id": "number at the provider",
        "content_sha256": "SHA-256 of the content",
        "tracking": "Measuring (entry of the consent)",
        "rests_on": "rests on entry",
        "no": "no",
        "content_rule": (
            "The hash of the content is over address, subject, text and HTML in this order, before each part its "
            "length in eight bytes. The authorisation stands in the ledger before the provider hears of the mail."
        ),
        "check": "Check it, without us",
        "entry": "Entry {seq} ({type}) with its proof of inclusion",
        "one_of": (
            "The entry permits {count} mails. Only the permit of this mail is shown, others are about other people. "
            "Leaf hash of the whole entry: {leaf_hash}. The whole entry stands in the JSON form of this proof."
        ),
        "checkpoint": "Signed checkpoint",
        "how_to": (
            "Leaf hash = SHA-256(0x00 and the bytes of the entry). With the hashes of the proof of inclusion compute, "
            "after RFC 9162, section 2.1.3.2, the root {root}; it stands in the checkpoint. Check the checkpoint's "
            "signature (Ed25519, C2SP signed-note) with the key {key}. A checkpoint that was left elsewhere earlier "
            "shows that nothing was changed since. Instructions with a program: consent/AUDIT.md."
        ),
    },
}
FIELDS: Mapping[str, tuple[str, str]] = {
    "page_url": ("Seite", "page"),
    "page": ("Seite", "page"),
    "endpoint": ("Schnittstelle", "interface"),
    "form": ("Formularfassung", "form version"),
    "method": ("Übermittlung", "method"),
    "box_default": ("Kästchen anfangs", "boxes at first"),
    "boxes": ("angebotene Kästchen", "boxes offered"),
    "ip": ("IP-Adresse", "IP address"),
    "user_agent": ("Browser", "user agent"),
    "caller_ip": ("IP-Adresse des aufrufenden Systems", "IP address of the calling system"),
    "caller_user_agent": ("aufrufendes System", "calling system"),
    "address": ("E-Mail-Adresse", "e-mail address"),
    "confirmed_at": ("bestätigt im anderen System", "confirmed in the other system"),
    "opted_in_at": ("angemeldet im anderen System", "signed up in the other system"),
    "from": ("anderes System", "other system"),
    "file_sha256": ("SHA-256 der eingelesenen Datei", "SHA-256 of the file read"),
    "export_optin_time": ("Anmeldezeit laut Export", "time of sign-up in the export"),
    "export_optin_ip": ("IP-Adresse der Anmeldung laut Export", "IP address of the sign-up in the export"),
    "export_optin_source": ("Quelle laut Export", "source in the export"),
    "export_confirm_time": ("Bestätigungszeit laut Export", "time of confirmation in the export"),
    "export_confirm_ip": ("IP-Adresse der Bestätigung laut Export", "IP address of the confirmation in the export"),
    "wording_stated": ("Wortlaut mitgeschickt", "wording sent along"),
    "event": ("Veranstaltung", "event"),
    "captured_by": ("aufgenommen durch", "captured by"),
    "captured_at": ("aufgenommen", "captured"),
    "signed_wording": ("SHA-256 des unterschriebenen Wortlauts", "SHA-256 of the wording signed"),
    "scan_sha256": ("SHA-256 des Scans", "SHA-256 of the scan"),
    "scan": ("Scan (Base64)", "scan (base64)"),
    "asked": ("Bitte um Erneuerung", "asked for renewal"),
    "sale": ("Verkauf", "sale"),
    "sale.id": ("Verkauf, Nummer", "sale, number"),
    "sale.date": ("Verkauf, Datum", "sale, date"),
    "similar_goods": ("ähnliche Waren", "similar goods"),
    "similar_goods.sold": ("verkaufte Ware", "goods sold"),
    "similar_goods.advertised": ("beworbene Ware", "goods advertised"),
    "notice": ("Hinweis", "notice"),
    "notice.place": ("Hinweis, Stelle", "notice, place"),
    "notice.date": ("Hinweis, Datum", "notice, date"),
    "objection": ("Prüfung auf Widerspruch", "check for objections"),
    "objection.checked": ("auf Widerspruch geprüft", "checked for objections"),
    "objection.by": ("geprüft durch", "checked by"),
}
"""Evidence by its name, in German and English; other evidence is printed under its own name."""
GERMAN: Mapping[str, str] = rights.GERMAN | {
    "unticked": "nicht angekreuzt",
    "ticked": "angekreuzt",
    "button": "Knopf",
    "yes": "ja",
    "no": "nein",
    "page": "auf der Seite",
    "one_click": "Ein-Klick-Abmeldung im Mailprogramm",
    "mailto": "E-Mail an das Abmeldepostfach",
    "operator": "durch den Betreiber eingetragen",
    "provider": "durch den Versender gemeldet",
    "api": "über die Schnittstelle",
    "crm": "aus dem CRM",
    "import": "mit einem Import",
    "merge": "mit einer Zusammenführung",
    "objection": "Widerspruch",
    "erasure": "mit der Löschung",
    "double_opt_in": "Double-Opt-In",
    "imported": "übernommen",
    "renewed": "erneuert",
    "merged": "zusammengeführt",
    "suppressed": "gesperrt, nicht gesendet",
    "no_consent": "keine Einwilligung",
    "not_covered": "vom Wortlaut nicht gedeckt",
    "restricted": "Verarbeitung eingeschränkt",
    "request": "auf Verlangen",
    "retention": "Frist abgelaufen",
    "hold_over": "Aufbewahrung abgelaufen",
    "unsubscribed": "abgemeldet",
    "hard_bounce": "unzustellbar",
    "complaint": "Beschwerde",
    "blocked": "vom Betreiber gesperrt",
    "audit": "Audit-Export",
    "proof": "Nachweis",
    "consent.lapsed": "Verfall",
    "consent.declined": "Ablehnung",
    "subject.erased": "Löschung",
    "key.rotated": "Schlüsselwechsel",
    "clock.anomaly": "Rücksprung der Uhr",
}
"""Words for the codes of the ledger and the tables; one without a word stands as it is."""


def field_name(name: str, language: str) -> str:
    """Say what a piece of evidence is."""
    german, english = FIELDS.get(name, (name, name))
    return german if language == "de" else english


def word(code: str, language: str) -> str:
    """Say a code as people read it."""
    if code not in GERMAN:
        return code
    return GERMAN[code] if language == "de" else code.replace("_", " ")
