"""How does the book become files that machines read? One JSON document, and one CSV file per list, as streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nurture.audit import cells, figures, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nurture.audit.book import Book, Cover

FORMAT = "nurture-audit-export/1"
SHEETS: Mapping[str, Sequence[str]] = {
    "texts": ("controller", "channel", "purpose", "language", "version", "valid_from", "valid_until", "sha256", "body"),
    "forms": (
        "source", "controller", "language", "purpose", "version", "text_sha256", "first_at", "last_at", "requests",
        "confirmed",
    ),
    "requests": (
        "seq", "at", "subject", "controller", "channel", "language", "source", "purposes", "expires", "outcome",
        "outcome_seq", "outcome_at",
    ),
    "consents": (
        "seq", "purpose", "subject", "address", "controller", "channel", "basis", "text_sha256", "text_version",
        "request_seq", "since", "state", "ended_seq", "ended_at", "ended_by", "uses", "last_use",
    ),
    "withdrawals": (
        "seq", "at", "subject", "controller", "channel", "route", "actor", "purposes", "ended", "voided",
        "next_send_seq", "next_send_at", "seconds_to_next_send", "refused_after",
    ),
    "sends": ("seq", "at", "message", "subject", "controller", "channel", "purpose", "consent_seq", "tracking_seq"),
    "refusals": ("seq", "at", "message", "subject", "controller", "channel", "purpose", "reason"),
    "suppressions_added": ("seq", "at", "controller", "reason", "count"),
    "suppressions_now": ("controller", "reason", "count"),
    "processors": ("recipient", "role", "data"),
    "transfers": ("transfer",),
    "retention": ("id", "data", "rule"),
    "erasures": ("seq", "at", "subject", "reason"),
    "other_entries": ("seq", "at", "type", "subject", "detail"),
    "exports": ("seq", "at", "subject", "kind", "scope", "count", "actor", "digest", "reason"),
}  # fmt: skip
"""The columns of each list."""


def rows(book: Book, name: str) -> Iterable[Mapping[str, Any]]:
    """Give the rows of a list of SHEETS."""
    readers: Mapping[str, Callable[[], Iterable[Mapping[str, Any]]]] = {
        "texts": book.texts,
        "forms": book.forms,
        "requests": book.requests,
        "consents": book.consents,
        "withdrawals": book.withdrawals,
        "sends": lambda: book.listed("send"),
        "refusals": lambda: book.listed("refusal"),
        "suppressions_added": lambda: book.listed("suppressed"),
        "suppressions_now": book.suppressions,
        "processors": book.processors,
        "transfers": book.transfers,
        "retention": book.retention,
        "erasures": lambda: book.listed("erasure"),
        "other_entries": lambda: book.listed("other"),
        "exports": book.exports,
    }
    return readers[name]()


def write_csv(book: Book, counted: Mapping[str, int], folder: Path, *, separator: str) -> Iterator[str]:
    """Write each list as a CSV file; give the name of each when it is there."""
    folder.mkdir()
    with _sheet(folder / "figures.csv") as file:
        file.write(cells.row(("figure", "meaning", "value"), separator=separator))
        for name, value in counted.items():
            file.write(cells.row((name, figures.label(name, "en"), value), separator=separator))
    yield "figures.csv"
    for name, columns in SHEETS.items():
        shown = [column for column in columns if column != "address" or book.scope.reveal]
        with _sheet(folder / f"{name}.csv") as file:
            file.write(cells.row(shown, separator=separator))
            for row in rows(book, name):
                file.write(cells.row((row[column] for column in shown), separator=separator))
        yield f"{name}.csv"


def _sheet(path: Path) -> Any:  # noqa: ANN401  a text file
    # newline="": the lines end as RFC 4180 says, on every system.
    file = path.open("w", encoding="utf-8", newline="")
    file.write(cells.BOM)
    return file


def write_json(book: Book, cover: Cover, counted: Mapping[str, int], path: Path) -> None:
    """Write the whole book as one JSON-LD document, without holding more than a row of it."""
    settings = book.ws.settings
    parties = book.parties()
    with path.open("w", encoding="utf-8") as file:
        document = _Document(file)
        document.value("@context", dict(records.CONTEXT))
        document.value("format", FORMAT)
        document.value("cover", {name: _plain(getattr(cover, name)) for name in cover.__dataclass_fields__})
        document.value("figures", dict(counted))
        document.array("parties", (party.node() for party in parties))
        document.array("processes", _processes(book, parties, settings.public_url))
        document.array("texts", (records.text_node(text) for text in book.texts()))
        document.array("records", _records(book))
        for name in SHEETS:
            if name not in {"texts", "consents"}:
                document.array(name, rows(book, name))
        document.value("record_of_processing", book.record_of_processing())
        document.end()


def _processes(book: Book, parties: Sequence[records.Party], pages: str) -> Iterator[dict[str, Any]]:
    kinds = {(text["controller"], text["purpose"]) for text in book.texts()}
    kinds |= {(row["controller"], row["purpose"]) for row in book.consents()}
    for controller, purpose in sorted(kinds):
        yield records.process(controller, purpose, parties, pages=pages)


def _records(book: Book) -> Iterator[dict[str, Any]]:
    for consent in book.consents():
        made = records.record(consent, book.facts.request(consent["request_seq"]))
        if book.scope.reveal:
            made["nurture:address"] = consent["address"]
        yield made


def _plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else value


class _Document:
    """A JSON object whose members are written one after the other."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401  a text file
        self.file = file
        self.mark = "{\n"

    def value(self, name: str, value: object) -> None:
        """Write a member."""
        self.file.write(f"{self.mark}{json.dumps(name)}: {_text(value)}")
        self.mark = ",\n"

    def array(self, name: str, items: Iterable[object]) -> None:
        """Write a member that is a list, one item a line."""
        self.file.write(f"{self.mark}{json.dumps(name)}: [")
        mark = "\n"
        for item in items:
            self.file.write(mark + _text(item))
            mark = ",\n"
        self.file.write("]" if mark == "\n" else "\n]")
        self.mark = ",\n"

    def end(self) -> None:
        """Close it."""
        self.file.write("\n}\n")


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)
