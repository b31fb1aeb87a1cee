"""How does the book look on paper? Cover, registers, lists; the same figures as in JSON and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from consent.states import EVERYTHING
from consent.suppression import EVERYONE
from consent.texts import IMPORT
from nurture.audit import figures, sheets
from nurture.audit.book import localised
from nurture.audit.scope import said
from nurture.audit.words import word
from nurture.leads.rights.processing import COLUMNS as PROCESSING
from nurture.leads.rights.processing import HEADINGS
from nurture.store import pdf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nurture.audit.book import Book, Cover

MOST_ROWS = 500
"""Rows of one list on paper; the whole stands in CSV and JSON."""
HEADS = {
    "de": {
        "cover": "Deckblatt", "figures": "Zahlen", "texts": "Register der Einwilligungstexte",
        "forms": "Register der Formulare", "consents": "Einwilligungen", "withdrawals": "Widerrufe",
        "suppressions_now": "Sperrliste nach Gründen", "processors": "Empfänger",
        "transfers": "Übermittlungen in Drittländer",
        "retention": "Aufbewahrung", "erasures": "Löschungen", "record": "Verzeichnis von Verarbeitungstätigkeiten",
        "exports": "Protokoll der Ausfertigungen", "checkpoint": "Prüfpunkt", "check": "Prüfen",
        "requests": "Anmeldungen",
    },
    "en": {
        "cover": "Cover sheet", "figures": "Figures", "texts": "Register of consent texts",
        "forms": "Register of forms", "consents": "Consents", "withdrawals": "Withdrawals",
        "suppressions_now": "Suppression list by reason", "processors": "Recipients",
        "transfers": "Transfers to third countries",
        "retention": "Retention", "erasures": "Erasures", "record": "Record of processing activities",
        "exports": "Log of copies taken out", "checkpoint": "Checkpoint", "check": "How to check",
        "requests": "Sign-ups",
    },
}  # fmt: skip
COVER = {
    "de": {
        "controller": "Verantwortlicher", "officer": "Datenschutzbeauftragte Person", "period": "Zeitraum",
        "filters": "Auswahl", "made_at": "Erstellt", "version": "Programm", "verification": "Prüfergebnis",
        "revealed_by": "Adressen gezeigt durch", "reason": "Grund",
    },
    "en": {
        "controller": "Controller", "officer": "Data protection officer", "period": "Period", "filters": "Selection",
        "made_at": "Made", "version": "Program", "verification": "Verification",
        "revealed_by": "Addresses shown by", "reason": "Reason",
    },
}  # fmt: skip
MORE = {
    "de": "Hier stehen die ersten {shown} von {all}; alle stehen in csv/{name}.csv und export.json.",
    "en": "These are the first {shown} of {all}; all stand in csv/{name}.csv and export.json.",
}
ELSEWHERE = {"de": "aus einem anderen System", "en": "of another system"}
"""Said of the wordings that came with an import."""
ALL = {"de": "alle", "en": "all"}
CODED = frozenset({"basis", "state", "outcome", "route", "kind"})
"""Columns that hold words of the ledger."""
NONE = {"de": "Keine.", "en": "None."}
COLUMNS = {
    "forms": ("source", "language", "purpose", "version", "first_at", "last_at", "requests", "confirmed"),
    "requests": ("seq", "at", "subject", "source", "purposes", "outcome"),
    "consents": ("seq", "purpose", "subject", "basis", "since", "state", "ended_at", "uses"),
    "withdrawals": ("seq", "at", "subject", "route", "purposes", "seconds_to_next_send", "refused_after"),
    "suppressions_now": ("controller", "reason", "count"),
    "processors": ("recipient", "role", "data"),
    "transfers": ("transfer",),
    "retention": ("data", "rule"),
    "erasures": ("seq", "at", "subject", "reason"),
    "exports": ("seq", "at", "kind", "scope", "count", "actor", "reason"),
}
"""What a list shows on paper: as many columns as a page carries."""
GERMAN = {
    "source": "Formular", "language": "Sprache", "purpose": "Zweck", "purposes": "Zwecke", "version": "Fassung",
    "first_at": "zuerst", "last_at": "zuletzt", "requests": "Anmeldungen", "confirmed": "bestätigt",
    "seq": "Eintrag", "at": "Zeit (UTC)", "subject": "Person", "outcome": "Ergebnis", "address": "E-Mail-Adresse",
    "basis": "Grundlage", "since": "seit (UTC)", "state": "Stand", "ended_at": "Ende (UTC)", "uses": "E-Mails",
    "route": "Weg", "seconds_to_next_send": "Sekunden bis zur nächsten E-Mail", "refused_after": "danach verweigert",
    "controller": "Verantwortlicher", "reason": "Grund", "count": "Anzahl", "name": "Name", "role": "Rolle",
    "recipient": "Empfänger", "data": "Daten", "transfer": "Übermittlung", "rule": "Frist", "kind": "Art",
    "scope": "Umfang", "actor": "durch",
}  # fmt: skip
"""Heads of columns; in English they are called as in CSV and JSON."""
SUBJECTS = {
    "subject": 1.6,
    "basis": 1.3,
    "at": 1.4,
    "since": 1.4,
    "ended_at": 1.4,
    "purposes": 1.3,
    "purpose": 1.3,
    "scope": 2.2,
}
"""Widths of columns that need more, or less, than one share."""


def write(book: Book, cover: Cover, counted: Mapping[str, int], *, language: str) -> bytes:
    """Give the PDF."""
    title = "Audit-Export" if language == "de" else "Audit export"
    footer = f"{cover.controller}, {cover.made_at.astimezone(book.ws.settings.tz):%Y-%m-%d %H:%M %Z}"
    return pdf.write(title, blocks(book, cover, counted, language=language), language=language, footer=footer)


def blocks(book: Book, cover: Cover, counted: Mapping[str, int], *, language: str) -> list[pdf.Block]:
    """Give the document as blocks."""
    heads, names = HEADS[language], COVER[language]
    made_at = f"{cover.made_at.astimezone(book.ws.settings.tz):%Y-%m-%d %H:%M:%S %Z}"
    facts = [
        (label, made_at if name == "made_at" else _cell(getattr(cover, name)))
        for name, label in names.items()
        if getattr(cover, name)
    ]
    made: list[pdf.Block] = [
        pdf.Heading(heads["cover"]),
        pdf.Facts(facts),
        pdf.Heading(heads["checkpoint"], level=2),
        pdf.Exact(cover.checkpoint),
        pdf.Heading(heads["check"], level=2),
        pdf.Text(cover.repeat),
        pdf.Heading(heads["figures"]),
        pdf.Facts([(figures.label(name, language), str(value)) for name, value in counted.items()]),
        pdf.Heading(heads["texts"]),
    ]
    for text in book.texts():
        name = f"{text['controller']}/{text['purpose']}/{text['language']} {text['version']}"
        if text["channel"] == IMPORT:
            name = f"{text['controller']}/{text['purpose']}, {ELSEWHERE[language]} ({text['version']})"
        made += [
            pdf.Heading(name, level=2),
            pdf.Exact(text["body"]),
            pdf.Facts(
                [("SHA-256", text["sha256"]), (names["period"], f"{text['valid_from']} - {text['valid_until'] or ''}")]
            ),
        ]
    for name, columns in COLUMNS.items():
        made += [pdf.Heading(heads[name]), *_list(book, name, columns, counted, language)]
    return [
        *made,
        pdf.Heading(heads["record"]),
        *_processing(localised(book.record_of_processing(), language), language),
    ]


def _list(
    book: Book, name: str, columns: tuple[str, ...], counted: Mapping[str, int], language: str
) -> Iterator[pdf.Block]:
    shown = (*columns[:3], "address", *columns[3:]) if name == "consents" and book.scope.reveal else columns
    listed = iter(sheets.rows(book, name))
    taken = list(islice(listed, MOST_ROWS))
    if not taken:
        yield pdf.Text(NONE[language])
        return
    widths = [SUBJECTS.get(column, 1.0) for column in shown]
    heads = [GERMAN[column] if language == "de" else column for column in shown]
    told = [[_cell(_told(name, column, row[column], language)) for column in shown] for row in taken]
    yield pdf.Rows(heads, told, widths)
    # A figure may count more than rows, such as the addresses of a reason: only what is left over tells.
    if next(listed, None) is not None:
        yield pdf.Text(MORE[language].format(shown=len(taken), all=counted[name], name=name))


def _told(name: str, column: str, value: Any, language: str) -> Any:  # noqa: ANN401  whatever a column holds
    """Say a code in words; what somebody wrote, such as the reason of an export, stays as it is."""
    if not isinstance(value, str):
        return value
    if column == "scope":
        return said(value, language)
    if (column, value) in {("controller", EVERYONE), ("purposes", EVERYTHING)}:
        return ALL[language]
    coded = column in CODED or (column == "reason" and name in {"erasures", "suppressions_now"})
    return word(value, language) if coded else value


def _processing(told: Mapping[str, Any], language: str) -> Iterator[pdf.Block]:
    """Print the Art. 30 entry; its recipients, transfers and retention stand in lists of their own above."""

    def head(words: tuple[str, str]) -> str:
        return words[0] if language == "de" else words[1]

    yield pdf.Text(told["preamble"])
    yield pdf.Heading(head(HEADINGS["activities"]), level=2)
    heads = [head(PROCESSING[name]) for name in ("purpose", "basis", "data")]
    yield pdf.Rows(
        heads, [[one["name"], one["basis"], ", ".join(one["data"])] for one in told["activities"]], (2, 2, 1)
    )
    for name in ("subjects", "data", "measures"):
        yield pdf.Heading(head(HEADINGS[name]), level=2)
        yield pdf.Text("\n".join(f"- {one['name'] if isinstance(one, Mapping) else one}" for one in told[name]))


def _cell(value: Any) -> str:  # noqa: ANN401  whatever a column holds
    if value is None:
        return ""
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = str(value)
    # Microseconds belong to the machine's files; a page has no room for them.
    is_time = len(text) == len("2026-11-23T08:00:00.000000Z") and text[10:11] == "T" and text.endswith("Z")
    return f"{text[:10]} {text[11:19]}" if is_time else text
