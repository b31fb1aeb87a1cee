"""Do the promises hold when our processes are killed with SIGKILL, and would the loop notice if they did not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash.campaign import run
from tests.crash.loop import SENDING
from tests.simulation.broken import VARIANTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulation.broken import Variant

pytestmark = [pytest.mark.requirement(95), pytest.mark.usefixtures("settings")]
BY_NAME = {one.name: one for one in VARIANTS}


@pytest.mark.slow
def test_a_kill_at_every_failpoint_repeats_and_loses_nothing(
    tmp_path: Path, database_url: str, database_kind: str
) -> None:
    """Each point once on SQLite, a third of them on PostgreSQL; `python -m tests.crash` kills a thousand times."""
    points = SENDING if database_kind == "sqlite" else SENDING[::3]
    done = run(tmp_path, database_url, kills=len(points), each=1, points=points)
    assert done.verdict.good, done.table()
    assert done.failed == 0, done.table()
    assert done.verdict.taken > 0


@pytest.mark.parametrize(
    ("name", "point", "figure"),
    [
        ("send, then mark", "result.before_tx", "twice"),
        ("mark, then send", "intent.after_commit", "lost"),
    ],
)
def test_a_broken_order_of_steps_is_caught_by_real_kills(
    tmp_path: Path, sqlite_template: Path, name: str, point: str, figure: str
) -> None:
    """The same loop, the same verdict, with the steps in another order."""
    variant: Variant = BY_NAME[name]
    url = f"sqlite:///{tmp_path / 'nurture.db'}"
    done = run(tmp_path, url, kills=4, each=4, points=(point,), variant=variant, faults=0)
    assert getattr(done.verdict, figure) > 0, done.table()
