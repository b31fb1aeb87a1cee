"""How does an older database become today's? Alembic, run from code: no ini file to find."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import column, select, table
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

NEWEST = "0001"
"""The revision of today's models; a test holds it to the newest file in versions/."""

REVISIONS = table("alembic_version", column("version_num"))


def config() -> Config:
    """Alembic's settings for this package."""
    # Every flow run opens the database and finds it current; only one that does not needs Alembic.
    from alembic.config import Config  # noqa: PLC0415

    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def current(engine: Engine) -> str | None:
    """Which revision does this database stand at? None before the first."""
    try:
        with engine.connect() as connection:
            found: str | None = connection.execute(select(REVISIONS.c.version_num)).scalar()
            return found
    except DBAPIError:
        # No such table; a database that cannot be reached at all fails again, and clearly, right after.
        return None


def upgrade(engine: Engine) -> bool:
    """Bring the database to the newest revision; tell whether anything was done."""
    if current(engine) == NEWEST:
        return False
    from alembic import command  # noqa: PLC0415  as above

    made = config()
    made.attributes["engine"] = engine
    command.upgrade(made, "head")
    return True
