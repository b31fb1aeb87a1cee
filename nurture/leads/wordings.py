"""What do people agree to here? Reads policies/consent.yaml and publishes its wordings, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from consent import texts
from nurture import NurtureError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from nurture.settings import Settings

FILE = "consent.yaml"


class WordingError(NurtureError):
    """policies/consent.yaml cannot be used; the message names what and where."""


Texts = dict[Annotated[str, StringConstraints(pattern="^(de|en)$")], str]
"""By language."""


class Purpose(BaseModel):
    """One thing to agree to, with its wording per language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1)
    about: Texts
    text: Texts


class Wordings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purposes: dict[str, Purpose] = Field(min_length=1)


def load(policies: Path) -> Wordings:
    """Read the file; raises WordingError with one line per mistake."""
    path = policies / FILE
    try:
        return Wordings.model_validate(YAML(typ="safe").load(path.read_text("utf-8")))
    except OSError as error:
        raise WordingError(f"{FILE}: cannot be read: {error.strerror}") from error
    except YAMLError as error:
        raise WordingError(f"{FILE}: {error}") from error
    except ValidationError as error:
        lines = (f"{FILE}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise WordingError("\n".join(lines)) from None


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
