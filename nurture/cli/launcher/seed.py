"""Why is the first start of the Prefect server fast? Its empty database was migrated once, at installation.

Prefect runs about a hundred migrations on an empty SQLite file. `dev.py` lets it do so while it
prepares `.venv` and keeps the result there; each new workspace gets a copy. Without it everything
works, only the first start of each workspace takes longer. A newer Prefect simply migrates on.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

DATABASE = "prefect.db"


def kept(prefix: Path = Path(sys.prefix)) -> Path:
    """Where the empty database of the installed Prefect is kept."""
    return prefix / "share" / "nurture" / f"prefect-{version('prefect')}.db"


def prepare(target: Path | None = None) -> Path:
    """Let the installed Prefect migrate an empty database and keep it; does nothing when it is there.

    Raises CalledProcessError when Prefect fails to.
    """
    target = target or kept()
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        made = Path(name) / DATABASE
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        env = {**inherited, "PREFECT_HOME": name, "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        subprocess.run(command, env=env, cwd=name, check=True, capture_output=True)  # noqa: S603  our own words
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        made.replace(target)
    return target


def lay_down(folder: Path, source: Path | None = None) -> bool:
    """Put the empty database into Prefect's home folder; False when there is one already, or none to copy."""
    target, source = folder / DATABASE, source or kept()
    if target.exists() or not source.exists():
        return False
    # Beside the target first: a start that is interrupted here must not leave half a database.
    half = target.with_suffix(".new")
    shutil.copyfile(source, half)
    half.chmod(0o600)
    half.replace(target)
    return True
