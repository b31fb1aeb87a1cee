"""How is it told that the settings, the database or the machine refuse? One line with the remedy, never a traceback."""

from __future__ import annotations


def of_settings(error: Exception) -> str | None:
    """Say which setting is wrong, never its value, which may be a secret; None for every other error."""
    from tomllib import TOMLDecodeError

    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(error, ValidationError) and error.title == "Settings":
        wrong = (
            ": ".join((*map(str, one["loc"][:1]), one["msg"].removeprefix("Value error, "))) for one in error.errors()
        )
        return f"settings: {'; '.join(wrong)}. All are in docs/reference/settings.md"
    if isinstance(error, TOMLDecodeError):
        return f"nurture.toml in the home folder cannot be read: {error}"
    if isinstance(error, SettingsError):
        # A list in the environment that is not JSON; the message names the field only.
        return f"settings: {error}; a list is written as JSON"
    return None


def of_outside(error: Exception) -> str | None:
    """Say what the machine around us refuses: the database or a file; None for every other error."""
    from sqlalchemy.exc import OperationalError

    if isinstance(error, OperationalError):
        # The first line is the driver's own; parameters and details are never in it.
        said = str(error.orig).partition("\n")[0].rstrip(".")
        return f"the database does not answer: {said}. Is it running, is there room, and is database_url right?"
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        return f"{what}: {error.filename}" if error.filename else what
    return None
