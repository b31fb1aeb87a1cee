"""Why is the first start of the Prefect server fast? Its empty database is laid down, not migrated a hundred times.

`prefect_schema.sql` is what Prefect's own migrations make of an empty SQLite file, written by
`python -m nurture.cli.launcher`. It names the revision it stands at, so a newer Prefect simply
migrates on from there; a test tells when it has fallen behind.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

SCHEMA = Path(__file__).with_name("prefect_schema.sql")
DATABASE = "prefect.db"


def lay_down(folder: Path) -> bool:
    """Put the empty database into Prefect's home folder; do nothing (False) when there is one already."""
    target = folder / DATABASE
    if target.exists():
        return False
    # Beside the target first: a start that is interrupted here must not leave half a database.
    half = target.with_suffix(".new")
    half.unlink(missing_ok=True)
    with closing(sqlite3.connect(half)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(SCHEMA.read_text("utf-8"))
    half.chmod(0o600)
    half.replace(target)
    return True


def dump(database: Path) -> str:
    """Give the statements that make an empty database of the same schema and revision."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "select sql from sqlite_master where sql is not null and name not like 'sqlite_%' "
            "order by case type when 'table' then 0 when 'index' then 1 else 2 end, rowid"
        ).fetchall()
        (revision,) = connection.execute("select version_num from alembic_version").fetchone()
    statements = [sql.rstrip(";\n") + ";" for (sql,) in rows]
    insert = f"INSERT INTO alembic_version (version_num) VALUES ('{revision}');"
    return "\n".join(["BEGIN;", *statements, insert, "COMMIT;", ""])


def renew() -> None:
    """Renew prefect_schema.sql by letting Prefect migrate an empty folder."""
    import tempfile

    from nurture.cli.launcher.server import prefect_server

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "prefect").mkdir(mode=0o700)
        # An empty file, so that nothing is laid down and Prefect has to migrate.
        (home / "prefect" / DATABASE).touch()
        with prefect_server(home):
            pass
        SCHEMA.write_text(dump(home / "prefect" / DATABASE), "utf-8")
