"""What do people agree to here? Reads policies/consent.yaml and publishes its wordings, once each."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from consent import texts
from nurture.rereading import remembered
from nurture.store import definitions
from nurture.store.definitions import Part

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from nurture.settings import Settings

FILE = "consent.yaml"


Texts = dict[Annotated[str, StringConstraints(pattern="^(de|en)$")], str]
"""By language."""


class Purpose(Part):
    """One thing to agree to, with its wording per language."""

    version: int = Field(ge=1)
    title: Texts = Field(default_factory=dict, description="heading on the pages; no part of what is agreed to")
    about: Texts
    text: Texts
    covers: dict[Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,39}$")], Texts] = Field(
        default_factory=dict, description="scopes a sequence may ask for: how the text names each, per language"
    )


class Wordings(Part):
    """The whole file."""

    existing_customer: Literal["off", "on"] = Field(
        "off", description="may customers be written to without consent, on evidence (s. 7(3) UWG)?"
    )
    purposes: dict[str, Purpose] = Field(min_length=1)

    @field_validator("existing_customer", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        """YAML 1.1 readers give a bare on and off as true and false."""
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


def _worded(purpose: str, info: ValidationInfo) -> str:
    """Refuse a purpose that nobody here is asked about; without the purposes as context every one may stand."""
    known = (info.context or {}).get("purposes")
    if known is not None and purpose not in known:
        raise ValueError(unknown(purpose, known))
    return purpose


WordedPurpose = Annotated[str, AfterValidator(_worded)]
"""A purpose as another file names it: one of policies/consent.yaml, where the file is read with `context`."""


def context(policies: Path) -> Mapping[str, Hashable]:
    """Give the purposes that there are, for reading files that name one. Raises DefinitionError."""
    return {"purposes": tuple(load(policies).purposes)}


def unknown(purpose: str, known: Iterable[str]) -> str:
    """Say that a purpose is none of those known, and which one may be meant."""
    names = sorted(known)
    near = get_close_matches(purpose, names, n=1)
    meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
    return f"{purpose} is no purpose of policies/{FILE}; {meant}"


def load(policies: Path) -> Wordings:
    """Read the file; raises DefinitionError with one line per mistake."""
    return remembered(_read, policies / FILE)


def _read(path: Path) -> Wordings:
    return definitions.load(path, Wordings)


def publish(connection: Connection, settings: Settings, *, at: datetime) -> int:
    """Publish what the database does not have yet; give how many wordings that were.

    Raises ConsentError when a published version was edited.
    """
    return texts.publish(connection, versions(settings), at=at)


def versions(settings: Settings) -> list[texts.TextVersion]:
    """Give every wording of the file, filled in for the controller of the settings."""
    return [
        texts.TextVersion(
            controller=settings.controller,
            controller_name=settings.company,
            purpose=name,
            version=purpose.version,
            language=language,
            subject_matter=purpose.about.get(language, ""),
            body=body.format(company=settings.company, about=purpose.about.get(language, "")),
            covers={scope: words.get(language, "") for scope, words in purpose.covers.items()},
        )
        for name, purpose in load(settings.policies).purposes.items()
        for language, body in purpose.text.items()
    ]


def scope(policies: Path, purpose: str, name: str | None) -> texts.Scope | None:
    """Give the scope that a sequence names; None when it names none.

    One that the file does not know has no words: nobody's consent covers it, and no mail leaves.
    """
    if name is None:
        return None
    held = load(policies).purposes.get(purpose)
    words = held.covers.get(name, {}) if held else {}
    return texts.Scope(name, tuple(word for _, word in sorted(words.items())))


def exception_allowed(policies: Path) -> bool:
    """May mails rest on the existing-customer exception here? Off unless the file says on."""
    return load(policies).existing_customer == "on"
