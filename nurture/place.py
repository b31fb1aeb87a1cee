"""Where do home and database lie, when the rest of the settings cannot be read? For the stop, which must not fail."""

from __future__ import annotations

import tomllib
from pathlib import Path  # noqa: TC003  pydantic reads it at run time
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError
from pydantic_settings.sources import InitSettingsSource

from nurture.settings import Settings, SettingsError, default_home

if TYPE_CHECKING:
    from pydantic_settings import PydanticBaseSettingsSource

NAMES = ("home", "database_url")


class _Place(BaseSettings):
    """The two settings that say where everything lies, read as `Settings` reads them."""

    model_config = SettingsConfigDict(env_prefix="NURTURE_", extra="ignore", hide_input_in_errors=True)

    home: Path = Field(default_factory=default_home)
    database_url: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003  fixed signature
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  fixed signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  fixed signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment, then what can be made out of nurture.toml."""
        return env_settings, InitSettingsSource(settings_cls, _made_out(default_home() / "nurture.toml"))

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()


def locate() -> tuple[Settings, Exception | None]:
    """Give the settings; where they cannot be read, those that say where everything lies, and the trouble.

    Everything else then has its default. Raises the trouble where not even these can be made out.
    """
    try:
        return Settings(), None
    except (ValidationError, UnreadableError, SettingsError, tomllib.TOMLDecodeError, UnicodeDecodeError) as trouble:
        try:
            place = _Place()
        except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise trouble from None
        return Settings.model_construct(**place.model_dump()), trouble


def _made_out(path: Path) -> dict[str, Any]:
    """Read the two from the file; where it is no TOML, from their own lines."""
    if not path.exists():
        return {}
    text = path.read_text("utf-8")
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        given = tomllib.loads(
            "\n".join(line for line in text.splitlines() if line.strip().strip("\"'").startswith(NAMES))
        )
    return {name: given[name] for name in NAMES if name in given}
