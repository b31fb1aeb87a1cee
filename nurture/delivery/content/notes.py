"""What do marketers declare beside a mail? `_base/library.yaml` for all, `mail.yaml` in a step's folder."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from nurture.delivery.content import Finding, RefusedError

if TYPE_CHECKING:
    from pathlib import Path


class MessageClass(StrEnum):
    """What kind of message a mail is; the only vocabulary for it."""

    EDUCATIONAL = "educational"
    """Helps with the reader's work and sells nothing; the only class for cold leads."""
    PRODUCT = "product"
    """Shows and compares the product."""
    DIRECT = "direct"
    """Speaks about a case, a trial, a talk."""
    FOLLOW_UP = "follow_up"
    """Comes back to an earlier mail, and must bring something of value."""
    CONFIRMATION = "confirmation"
    """Asks for the confirmation of a request, and nothing else."""


class Temperature(StrEnum):
    """How warm the reader is."""

    COLD = "cold"
    WARM = "warm"
    HOT = "hot"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LibraryNotes(_Strict):
    """`_base/library.yaml`: what holds for every mail."""

    languages: tuple[str, ...] = ("de", "en")
    hosts: tuple[str, ...] = Field(description="hosts that mails may link to")
    classes: dict[Temperature, MessageClass] = Field(description="the class of a mail by temperature")
    commercial_links: tuple[str, ...] = Field((), description="link keys that cold mails must not have")


class MailNotes(_Strict):
    """`mail.yaml` of a step: what the mail is for, and where it differs from the library's rules."""

    about: str = Field("", description="one line for people")
    classes: dict[Temperature, MessageClass] = Field(default_factory=dict)
    tone: dict[Temperature, str] = Field(default_factory=dict, description="how it speaks, for authors")
    asset: str | None = Field(None, description="link key of what a follow-up brings")
    requires: tuple[str, ...] = Field((), description="fields that every variant must use, such as lead.last_name")
    dated_fact: str | None = Field(None, description="the dated fact behind an urgent wording")


Notes = TypeVar("Notes", bound=BaseModel)


def read_notes(kind: type[Notes], templates: Path, file: Path) -> Notes:
    """Read a notes file, checked; raises RefusedError with file and line."""
    name = file.relative_to(templates).as_posix()
    try:
        content = YAML(typ="safe", pure=True).load(file.read_text("utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RefusedError([Finding(name, line, "yaml", str(error.problem))]) from error
    try:
        return kind.model_validate(content or {})
    except ValidationError as error:
        raise RefusedError(
            [Finding(name, 1, "yaml", f"{'.'.join(map(str, item['loc']))}: {item['msg']}") for item in error.errors()]
        ) from error
