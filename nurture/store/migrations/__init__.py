"""How does an older database become today's? Alembic, run from code: no ini file to find."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from sqlalchemy import Engine


def config() -> Config:
    """Alembic's settings for this package."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def current(engine: Engine) -> str | None:
    """Which revision does this database stand at? None before the first."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine) -> bool:
    """Bring the database to the newest revision; tell whether anything was done."""
    made = config()
    newest = ScriptDirectory.from_config(made).get_current_head()
    if current(engine) == newest:
        return False
    made.attributes["engine"] = engine
    command.upgrade(made, "head")
    return True
