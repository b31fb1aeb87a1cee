"""How does a record look on paper? The same fields as the JSON, under names that people read."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from nurture.leads.rights.words import BY_FIELD, CODED, GERMAN, INNER, INTRO, NOTES, NOTHING, TITLE, WORDS
from nurture.store import pdf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nurture.leads.rights.model import Record

WIDEST_TABLE = 7
"""Parts with more fields are printed one below the other."""
LONG = frozenset({"details", "evidence", "content", "sha256"})
"""So are those with one of these, which take a page's width."""
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

    def inner(self, key: str) -> str:
        return _pick(INNER[key], self.language) if key in INNER else key

    def section(self, parts: Sequence[BaseModel]) -> Iterator[pdf.Block]:
        """One table where the fields fit side by side, else each part for itself."""
        if not parts:
            yield pdf.Text(_pick(NOTHING, self.language))
            return
        names = list(type(parts[0]).model_fields)
        if len(names) <= WIDEST_TABLE and len(parts) > 1 and not LONG & set(names):
            rows = [[self.field(part, name) for name in names] for part in parts]
            yield pdf.Rows([self.word(name) for name in names], rows)
            return
        for number, part in enumerate(parts, 1):
            if len(parts) > 1:
                yield pdf.Heading(f"{number}", level=2)
            yield pdf.Facts([(self.word(name), self.field(part, name)) for name in names])

    def field(self, part: BaseModel, name: str) -> str:
        """Write one field; a code with its word before it."""
        value = getattr(part, name)
        known = {**(GERMAN if name in CODED else {}), **BY_FIELD.get(name, {})}
        if self.language == "de" and isinstance(value, str) and value in known:
            return f"{known[value]} ({value})"
        return self.value(value)

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
                return "\n".join(f"{self.inner(key)}: {self.value(inner)}" for key, inner in value.items())
            case list():
                return "\n".join(self.value(inner) for inner in value)
            case BaseModel():
                return ", ".join(self.field(value, name) for name in type(value).model_fields)
            case _:
                return str(value)


def _joined(text: str) -> str:
    return text.replace("\n", " ")


def _pick(words: tuple[str, str], language: str) -> str:
    return words[0] if language == "de" else words[1]
