"""What does the person importing say about the file? A map in YAML, and what it makes of the columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field as Key
from pydantic import field_validator

from nurture.leads.importing.columns import (
    PERSON,
    PRESETS,
    SUPPRESSING,
    Field,
    Preset,
    could_say_no,
    detect,
    meaning,
    normal,
)
from nurture.leads.importing.dates import DateOrder
from nurture.leads.importing.problems import FileProblem, ImportFileError
from nurture.leads.stages import Stage  # noqa: TC001  pydantic reads it when it runs
from nurture.leads.wordings import WordedPurpose, context  # pydantic reads the first when it runs
from nurture.store import definitions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nurture.leads.importing.source import Source

LONGEST_TEXT = 20_000
"""Characters of a consent wording."""
MAIN_PURPOSE = "newsletter.product"


class Collision(StrEnum):
    """What wins when a known lead comes again."""

    KEEP = "keep"
    """What we have, even where it is empty."""
    FILL = "fill"
    """What we have; gaps are filled from the file."""
    OVERWRITE = "overwrite"
    """What the file says, unless its cell is empty."""


class Column(definitions.Part):
    """One column of the file."""

    field: Field
    collision: Collision | None = None


class Consent(definitions.Part):
    """The wording people agreed to, for one purpose. Without it no row is mailable."""

    purpose: WordedPurpose = Key(
        MAIN_PURPOSE, min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_.]*$", validate_default=True
    )
    text: str | dict[str, str] = Key("", description="the exact wording, or one for each language")
    text_file: str = Key("", description="file that holds the wording; seen from the map's folder")
    column: str = Key("", description="header of a column that says yes or no, where not everybody agreed")

    def wording(self, language: str) -> str:
        """Give the wording in a language; empty where none is named."""
        text = self.text if isinstance(self.text, str) else self.text.get(language, "")
        return text.strip()


class Map(definitions.Part):
    """A column map file."""

    preset: str = ""
    columns: dict[str, Field | Column] = Key(default_factory=dict, description="header of the file: field")
    collision: Collision = Collision.FILL
    consent: tuple[Consent, ...] = ()
    zone: str = Key("", description="IANA zone of times that name none; empty for the legal zone")
    dates: DateOrder = DateOrder.UNKNOWN
    language: str = Key("", pattern="^(de|en)?$", description="of rows that name none; empty for the setting")
    source: str = Key("import", min_length=1, max_length=32)
    status: str = Key("", pattern="^(subscribed|unsubscribed|bounced)?$", description="of all rows of the file")
    stages: dict[str, Stage] = Key(default_factory=dict, description="lifecycle name of the file: stage")
    encoding: str = ""
    sheet: str = ""

    @field_validator("consent", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, dict) else value

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str) -> str:
        if value and value not in PRESETS:
            raise ValueError(f"unknown preset; choose one of {', '.join(PRESETS)}")
        return value


@dataclass(frozen=True)
class Plan:
    """What every column of one file means, and the rules that go with it."""

    preset: Preset
    columns: dict[Field, int]
    suppressing: tuple[tuple[Field, int], ...]
    """Every column that can say no; there may be several of a kind, and one is enough."""
    consent_columns: dict[str, int]
    """Purpose -> column that says yes or no."""
    map: Map
    width: int
    collisions: dict[Field, Collision] = field(default_factory=dict)
    whole_file: str = ""
    """subscribed, unsubscribed or bounced where that holds for every row."""

    def collision(self, name: Field) -> Collision:
        """Give the rule of a column."""
        return self.collisions.get(name, self.map.collision)


def load_map(path: Path | None, policies: Path) -> Map:
    """Read a map file (or none); wordings in files are read, too.

    A purpose that policies/consent.yaml does not know is refused: it would stand in the ledger for good, and permit
    nothing. Raises DefinitionError or ImportFileError.
    """
    if path is None:
        return Map()
    made = definitions.load(path, Map, context=context(policies))
    consents = []
    for consent in made.consent:
        text = read_wording(path.parent / consent.text_file) if consent.text_file else consent.text
        consents.append(consent.model_copy(update={"text": text, "text_file": ""}))
    return made.model_copy(update={"consent": tuple(consents)})


def read_wording(path: Path) -> str:
    """Read the wording people agreed to from a UTF-8 file. Raises ImportFileError."""
    try:
        text = path.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError):
        raise ImportFileError(
            FileProblem.BAD_OPTION, "the consent text cannot be read as UTF-8", "Check the path of the text file"
        ) from None
    if not text or len(text) > LONGEST_TEXT:
        raise ImportFileError(
            FileProblem.BAD_OPTION,
            "the consent text is empty or longer than 20,000 characters",
            "Put exactly the wording that was shown into it",
        )
    return text


def zone_of(name: str) -> ZoneInfo:
    """Give a time zone by its IANA name. Raises ImportFileError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _option("the map names no known time zone", "Write one such as Europe/Berlin") from None


def plan(source: Source, settings: Map, *, preset: str = "", file_name: str = "") -> Plan:
    """Decide what every column means. Raises ImportFileError where that has no single answer."""
    chosen = preset or settings.preset
    if chosen and chosen not in PRESETS:
        raise _option(f"there is no preset of that name; choose one of {', '.join(PRESETS)}", "Mend --preset")
    kind = PRESETS[chosen] if chosen else detect(source.headers)
    found, collisions = _mapped(source, settings, kind)
    columns = {name: _single(name, places, kind, source) for name, places in found.items()}
    suppressing = tuple((name, place) for name in SUPPRESSING for place in found.get(name, ()))
    if Field.EMAIL not in columns:
        raise ImportFileError(
            FileProblem.NO_ADDRESS_COLUMN,
            "no column holds e-mail addresses",
            "Name it Email or E-Mail-Adresse in this line, or say which it is in a map (--map)",
            line=source.header_line,
        )
    by_name = {normal(header): place for place, header in enumerate(source.headers)}
    consent_columns = {}
    for consent in settings.consent:
        if consent.column:
            if normal(consent.column) not in by_name:
                raise _option(
                    "a consent column of the map is not in the file", "Mend the key column", source.header_line
                )
            consent_columns[consent.purpose] = by_name[normal(consent.column)]
    whole = settings.status or _whole_file(kind, columns, file_name)
    if whole not in {"unsubscribed", "bounced"} and {Field.OPT_IN_TIME, Field.CONFIRM_TIME} <= set(columns):
        read = {place for places in found.values() for place in places} | set(consent_columns.values())
        _refuse_unread_no(source, settings, kind, read)
    return Plan(kind, columns, suppressing, consent_columns, settings, len(source.headers), collisions, whole)


def fingerprint(path: Path, settings: Map, *, preset: str, controller: str) -> str:
    """Name this file under this map: SHA-256 of its bytes and of everything that decides what they mean.

    The same file with a wording it lacked before is another import; the same again is the same.
    """
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    said = settings.model_dump_json()
    return hashlib.sha256(f"{content}\0{said}\0{preset}\0{controller}".encode()).hexdigest()


def _mapped(source: Source, settings: Map, kind: Preset) -> tuple[dict[Field, list[int]], dict[Field, Collision]]:
    said = {normal(header): value for header, value in settings.columns.items()}
    missing = set(said) - {normal(header) for header in source.headers}
    if missing:
        raise _option(
            f"{len(missing)} of the columns named in the map are not in the file",
            "Write the headers as they stand in this line",
            source.header_line,
        )
    agreeing = {normal(consent.column) for consent in settings.consent if consent.column}
    found: dict[Field, list[int]] = {}
    collisions: dict[Field, Collision] = {}
    taken = {value.field if isinstance(value, Column) else value for value in said.values()}
    for place, header in enumerate(source.headers):
        value = said.get(normal(header))
        if isinstance(value, Column):
            name: Field | None = value.field
            if value.collision is not None:
                collisions[value.field] = value.collision
        else:
            name = value or meaning(header, kind)
            # What the map names by itself is not found a second time by its header, except what says no; and a
            # column that the map takes for yes or no holds no status words.
            again = name in taken and (name is Field.STATUS or name not in SUPPRESSING)
            if value is None and (again or (name is Field.STATUS and normal(header) in agreeing)):
                name = None
        if name is not None and name is not Field.IGNORE:
            found.setdefault(name, []).append(place)
    return found, collisions


def _refuse_unread_no(source: Source, settings: Map, kind: Preset, read: set[int]) -> None:
    """Refuse to prove consent while a column that could take it back is left out without anybody having said so."""
    if not any(consent.text for consent in settings.consent):
        return
    said = {normal(header) for header in settings.columns}
    unread = [
        place
        for place, header in enumerate(source.headers)
        if place not in read
        and could_say_no(header)
        and normal(header) not in said
        and meaning(header, kind) is not Field.IGNORE
    ]
    if unread:
        raise ImportFileError(
            FileProblem.UNREAD_NO,
            f"column {_numbers(unread)} could say that somebody does not want mail, and is not read",
            "Say in a map (--map) what it means: `opted_out`, `status`, or `ignore` if it says no such thing",
            line=source.header_line,
        )


def _single(name: Field, places: Sequence[int], kind: Preset, source: Source) -> int:
    """Give the one column of a field, or say why there is none."""
    if len(places) == 1:
        return places[0]
    names = [normal(source.headers[place]) for place in places]
    repeated = len(set(names)) < len(names)
    if name is Field.EMAIL and not repeated:
        primary = [place for place, header in zip(places, names, strict=True) if header in kind.primary]
        if len(primary) == 1:
            return primary[0]
        raise ImportFileError(
            FileProblem.TWO_ADDRESS_COLUMNS,
            f"columns {_numbers(places)} could all be the e-mail address",
            "Say in a map (--map) which one is `email`, and `ignore` for the others",
            line=source.header_line,
        )
    if repeated or name in PERSON or name is Field.FULL_NAME:
        if not repeated and name in {Field.PHONE, Field.COMPANY, Field.JOB_TITLE}:
            return places[0]
        raise ImportFileError(
            FileProblem.DUPLICATE_HEADER,
            f"columns {_numbers(places)} have the same name or meaning ({name.value})",
            "Rename or delete all but one, or say in a map (--map) which one counts",
            line=source.header_line,
        )
    return places[0]


def _numbers(places: Sequence[int]) -> str:
    return " and ".join(str(place + 1) for place in places)


def _option(text: str, remedy: str, line: int | None = None) -> ImportFileError:
    return ImportFileError(FileProblem.BAD_OPTION, text, remedy, line=line)


def _whole_file(kind: Preset, columns: dict[Field, int], file_name: str) -> str:
    """Tell by its name which of Mailchimp's three files it is, where no column does."""
    name = file_name.lower()
    if kind.name == "mailchimp" and Field.OPTED_OUT not in columns and name.startswith("unsubscribed"):
        return "unsubscribed"
    if kind.name == "mailchimp" and Field.BOUNCED not in columns and name.startswith("cleaned"):
        return "bounced"
    return ""
