"""What do people agree to here? Reads policies/consent.yaml and publishes its wordings, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from consent import texts
from nurture.store import definitions
from nurture.store.definitions import Part

if TYPE_CHECKING:
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
    about: Texts
    text: Texts


class Wordings(Part):
    """The whole file."""

    purposes: dict[str, Purpose] = Field(min_length=1)


def load(policies: Path) -> Wordings:
    """Read the file; raises DefinitionError with one line per mistake."""
    return definitions.load(policies / FILE, Wordings)


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
        )
        for name, purpose in load(settings.policies).purposes.items()
        for language, body in purpose.text.items()
    ]
