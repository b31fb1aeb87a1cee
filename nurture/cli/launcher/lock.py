"""Is there one `nurture up` per home folder, and nothing at its side that would change the ground under it?"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nurture.cli.launcher.environment import prefect_home
from nurture.cli.launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the lock of a workspace. Raises LauncherError naming the `nurture up` that runs already."""
    import fcntl

    path = prefect_home(home) / "up.lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LauncherError(f"nurture up runs already for this home folder{_where(home)}") from None
        yield


def _where(home: Path) -> str:
    try:
        known = json.loads((prefect_home(home) / "up.json").read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return f" (process {known.get('pid')}): {known.get('public pages')}, {known.get('prefect')}"
