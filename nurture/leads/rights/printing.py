"""How does a record look on paper? The same fields as the JSON, under names that people read."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from nurture.store import pdf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nurture.leads.rights.model import Record

WIDEST_TABLE = 7
"""Parts with more fields are printed one below the other."""
LONG = frozenset({"details", "evidence", "content", "sha256"})
"""So are those with one of these, which take a page's width."""
TITLE = ("Auskunft über Ihre gespeicherten Daten", "The data we hold about you")
INTRO = (
    """Auskunft nach Art. 15 DSGVO, zugleich Kopie nach Art. 20 DSGVO: maschinenlesbar in der JSON-Datei, die dieselben
Angaben enthält. Zeiten stehen in der Zeitzone {zone}. Sie haben das Recht auf Berichtigung (Art. 16), Löschung
(Art. 17), Einschränkung (Art. 18) und Widerspruch (Art. 21) und können sich bei einer Aufsichtsbehörde beschweren.
Antworten Sie dazu auf {contact}.""",
    """Access under Art. 15 GDPR and copy under Art. 20 GDPR: machine-readable in the JSON file, which holds the same.
Times are in the zone {zone}. You have the right to rectification (Art. 16), erasure (Art. 17), restriction (Art. 18)
and objection (Art. 21), and may complain to a supervisory authority. Write to {contact}.""",
)
NOTHING = ("Nichts gespeichert.", "Nothing is stored.")
NOTES = {
    "proofs": (
        """Zum Nachprüfen: HMAC-SHA-256 mit dem Salz (als Bytes) über den Nachweis in kanonischer Form ergibt den Wert
„commit“ im Protokolleintrag; SHA-256 über ein Null-Byte und den Eintrag ergibt seine Prüfsumme im Protokoll.""",
        """To check: HMAC-SHA-256 under the salt (as bytes) over the evidence in canonical form gives “commit” in the
entry; SHA-256 over a zero byte and the entry gives its hash in the ledger.""",
    ),
    "scores": (
        """Der Score ordnet ein, wie groß das Interesse an unseren Produkten scheint. Er ist die Summe der Punkte unten,
die mit der Zeit weniger werden; er entscheidet, welche E-Mails Sie erhalten und ob der Vertrieb Sie anspricht.""",
        """The score says how interested in our products somebody seems. It is the sum of the points below, which fade
with time; it decides which mails you get and whether sales contacts you.""",
    ),
    "ledger": (
        "Einträge, die mehrere Personen betreffen, sind auf Ihre eigene Zeile gekürzt.",
        "Entries about several people are cut down to your own line.",
    ),
}
WORDS: dict[str, tuple[str, str]] = {
    "controller": ("Verantwortlicher", "Controller"),
    "persons": ("Person", "Person"),
    "leads": ("Merkmale", "Facts"),
    "sources": ("Herkunft der Daten", "Sources"),
    "consents": ("Einwilligungen", "Consents"),
    "wordings": ("Wortlaut der Einwilligungen", "Wordings of the consents"),
    "proofs": ("Nachweise", "Proofs"),
    "sign_ups": ("Anmeldungen", "Sign-ups"),
    "suppressions": ("Sperrliste", "Suppression list"),
    "preferences": ("Einstellungen", "Preferences"),
    "mails": ("E-Mails", "Mails"),
    "events": ("Ereignisse", "Events"),
    "signals": ("Kaufsignale", "Buying signals"),
    "scores": ("Score", "Score"),
    "temperatures": ("Verlauf der Temperatur", "Temperatures"),
    "stages": ("Verlauf der Phase", "Stages"),
    "enrolments": ("Teilnahmen an Sequenzen", "Sequences"),
    "decisions": ("Entscheidungen über E-Mails", "Decisions about mails"),
    "handovers": ("Übergaben an den Vertrieb", "Handovers to sales"),
    "recipients": ("Empfänger", "Recipients"),
    "retention": ("Aufbewahrung", "Retention"),
    "requests": ("Ihre Anfragen", "Your requests"),
    "ledger": ("Einwilligungsprotokoll", "Consent ledger"),
    "format": ("Format", "Format"),
    "made_at": ("Stand", "As of"),
    "language": ("Sprache", "Language"),
    "zone": ("Zeitzone", "Time zone"),
    "id": ("Kennung", "Id"),
    "company": ("Unternehmen", "Company"),
    "postal_address": ("Anschrift", "Postal address"),
    "imprint": ("Impressum", "Imprint"),
    "contact": ("Kontakt", "Contact"),
    "subject": ("Zufallskennung", "Random id"),
    "address": ("E-Mail-Adresse", "E-mail address"),
    "details": ("Angaben", "Details"),
    "known_since": ("Bekannt seit", "Known since"),
    "restricted_since": ("Eingeschränkt seit", "Restricted since"),
    "lead": ("Nummer", "Number"),
    "merged_into": ("Zusammengeführt mit", "Merged into"),
    "country": ("Land", "Country"),
    "industry": ("Branche", "Industry"),
    "company_size": ("Beschäftigte", "Employees"),
    "role": ("Rolle", "Role"),
    "freemail": ("Freemail-Adresse", "Freemail address"),
    "role_address": ("Funktionsadresse", "Role address"),
    "stage": ("Phase", "Stage"),
    "stage_since": ("Phase seit", "Stage since"),
    "owner": ("Zuständig", "In charge"),
    "created_at": ("Angelegt", "Created"),
    "source": ("Quelle", "Source"),
    "detail": ("Näheres", "Detail"),
    "at": ("Zeit", "Time"),
    "channel": ("Kanal", "Channel"),
    "purpose": ("Zweck", "Purpose"),
    "purposes": ("Zwecke", "Purposes"),
    "version": ("Fassung", "Version"),
    "sha256": ("SHA-256 des Wortlauts", "SHA-256 of the wording"),
    "body": ("Wortlaut", "Wording"),
    "basis": ("Rechtsgrundlage", "Legal basis"),
    "state": ("Stand", "State"),
    "since": ("Seit", "Since"),
    "used_at": ("Zuletzt genutzt", "Last used"),
    "ledger_entry": ("Protokolleintrag", "Ledger entry"),
    "wording_sha256": ("SHA-256 des Wortlauts", "SHA-256 of the wording"),
    "evidence": ("Nachweis", "Evidence"),
    "canonical": ("Nachweis in kanonischer Form", "Evidence in canonical form"),
    "salt": ("Salz", "Salt"),
    "leaf": ("Protokolleintrag im Wortlaut", "Ledger entry, verbatim"),
    "leaf_hash": ("Prüfsumme des Eintrags", "Hash of the entry"),
    "inclusion": ("Beleg im Protokollbaum (tlog-proof)", "Proof of inclusion (tlog-proof)"),
    "type": ("Art", "Type"),
    "reason": ("Grund", "Reason"),
    "request": ("Nummer", "Number"),
    "requested_at": ("Angemeldet", "Requested"),
    "expires_at": ("Gültig bis", "Valid until"),
    "settled_at": ("Erledigt", "Settled"),
    "mail_queued_at": ("Bestätigungsmail", "Confirmation mail"),
    "fact": ("Meldung", "Report"),
    "mail": ("E-Mail", "Mail"),
    "kind": ("Art", "Kind"),
    "template": ("Vorlage", "Template"),
    "subject_line": ("Betreff", "Subject line"),
    "sequence": ("Sequenz", "Sequence"),
    "step": ("Schritt", "Step"),
    "planned_at": ("Geplant", "Planned"),
    "measured": ("Öffnen und Klicken gemessen", "Opens and clicks measured"),
    "authorised_by": ("Freigabe (Protokolleinträge)", "Authorised by (ledger entries)"),
    "reported": ("Meldungen des Versanddienstes", "Reported by the provider"),
    "phase": ("Zeitpunkt", "Phase"),
    "outcome": ("Ergebnis", "Outcome"),
    "event": ("Ereignis", "Event"),
    "verdict": ("Mensch oder Maschine", "Human or machine"),
    "verdict_reason": ("Anlass der Einstufung", "Reason of the verdict"),
    "attributes": ("Näheres", "Detail"),
    "strength": ("Stärke", "Strength"),
    "score": ("Score", "Score"),
    "engagement": ("Anteil Verhalten", "Part of behaviour"),
    "fit": ("Anteil Unternehmen", "Part of the company"),
    "temperature": ("Temperatur", "Temperature"),
    "temperature_since": ("Temperatur seit", "Temperature since"),
    "rules_version": ("Fassung der Regeln", "Version of the rules"),
    "scored_at": ("Berechnet", "Computed"),
    "rule": ("Regel", "Rule"),
    "axis": ("Achse", "Axis"),
    "points": ("Punkte", "Points"),
    "cause": ("Anlass", "Cause"),
    "entered_at": ("Beginn", "Begun"),
    "left_at": ("Ende", "Left"),
    "handover": ("Kennung", "Id"),
    "recipient": ("Empfänger", "Recipient"),
    "number": ("Nummer", "Number"),
    "delivered_at": ("Übermittelt", "Delivered"),
    "answer": ("Antwort", "Answer"),
    "content": ("Inhalt", "Content"),
    "paused_until": ("Pause bis", "Paused until"),
    "per_week": ("E-Mails pro Woche", "Mails a week"),
    "changed_at": ("Geändert", "Changed"),
    "data": ("Daten", "Data"),
    "until": ("Bis", "Until"),
    "route": ("Weg", "Route"),
    "received_at": ("Eingegangen", "Received"),
    "due_at": ("Frist", "Due"),
    "hold_until": ("Aufbewahrt bis", "Held until"),
}
"""Names of fields: German, English. A section and a field of one name mean the same."""
HEADER = ("made_at", "language", "zone", "format")


def printed(record: Record) -> bytes:
    """Give the PDF of a record, in the person's language."""
    title = _pick(TITLE, record.language)
    footer = f"{record.controller.company} · {shown(record.made_at, record.zone, record.language)}"
    return pdf.write(title, blocks(record), language=record.language, footer=footer)


def blocks(record: Record) -> Iterator[pdf.Block]:
    """Give the record as blocks of a document, every field once."""
    paper = _Paper(record.language, record.zone)
    intro = _pick(INTRO, record.language)
    yield pdf.Text(_joined(intro).format(zone=record.zone, contact=record.controller.contact))
    yield pdf.Facts([(paper.word(name), paper.value(getattr(record, name))) for name in HEADER])
    for name in type(record).model_fields:
        part = getattr(record, name)
        if name in HEADER:
            continue
        parts: Sequence[BaseModel] = part if isinstance(part, list) else [part]
        yield pdf.Heading(f"{paper.word(name)} ({len(parts)})")
        if name in NOTES:
            yield pdf.Text(_joined(_pick(NOTES[name], record.language)))
        yield from paper.section(parts)


def shown(moment: datetime, zone: str, language: str) -> str:
    """Write a time for people: in their zone, with its distance from UTC."""
    local = moment.astimezone(ZoneInfo(zone))
    day = local.strftime("%d.%m.%Y" if language == "de" else "%d %B %Y")
    offset = local.strftime("%z")
    return f"{day} {local:%H:%M:%S} ({offset[:3]}:{offset[3:5]})"


class _Paper:
    """Words and values in one language and zone."""

    def __init__(self, language: str, zone: str) -> None:
        self.language, self.zone = language, zone

    def word(self, name: str) -> str:
        return _pick(WORDS[name], self.language)

    def section(self, parts: Sequence[BaseModel]) -> Iterator[pdf.Block]:
        """One table where the fields fit side by side, else each part for itself."""
        if not parts:
            yield pdf.Text(_pick(NOTHING, self.language))
            return
        names = list(type(parts[0]).model_fields)
        if len(names) <= WIDEST_TABLE and len(parts) > 1 and not LONG & set(names):
            rows = [[self.value(getattr(part, name)) for name in names] for part in parts]
            yield pdf.Rows([self.word(name) for name in names], rows)
            return
        for number, part in enumerate(parts, 1):
            if len(parts) > 1:
                yield pdf.Heading(f"{number}", level=2)
            yield pdf.Facts([(self.word(name), self.value(getattr(part, name))) for name in names])

    def value(self, value: Any) -> str:  # noqa: ANN401, PLR0911  whatever a record holds, a line each
        """Write one value; a mapping or a list takes a line for each of its items."""
        if value is None or (not value and isinstance(value, str | list | dict)):
            return "–"  # noqa: RUF001  a dash for nothing, as tables have it
        match value:
            case bool():
                return _pick(("ja", "yes") if value else ("nein", "no"), self.language)
            case datetime():
                return shown(value, self.zone, self.language)
            case float():
                text = str(value)
                return text.replace(".", ",") if self.language == "de" else text
            case dict():
                return "\n".join(f"{key}: {self.value(inner)}" for key, inner in value.items())
            case list():
                return "\n".join(self.value(inner) for inner in value)
            case BaseModel():
                return ", ".join(self.value(getattr(value, name)) for name in type(value).model_fields)
            case _:
                return str(value)


def _joined(text: str) -> str:
    return text.replace("\n", " ")


def _pick(words: tuple[str, str], language: str) -> str:
    return words[0] if language == "de" else words[1]
