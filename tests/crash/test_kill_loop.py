"""Do the promises hold when our processes are killed with SIGKILL, and would the loop notice if they did not?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.loop import SENDING

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.requirement(95), pytest.mark.usefixtures("settings")]


def loop(folder: Path, url: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the loop as by hand: it forks, and a process with pytest's threads should not. Give exit code and figures."""
    command = [sys.executable, "-m", "tests.crash", "--url", url, "--json", str(folder / "figures.json"), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text("utf-8"))
    return done.returncode, figures


@pytest.mark.slow
def test_a_kill_at_every_failpoint_repeats_and_loses_nothing(
    tmp_path: Path, database_url: str, database_kind: str
) -> None:
    """Each point once on SQLite, a third of them on PostgreSQL; `python -m tests.crash` kills a thousand times."""
    points = SENDING if database_kind == "sqlite" else SENDING[::3]
    options = ("--points", ",".join(points), "--each", "1", "--kills", str(len(points)))
    code, done = loop(tmp_path, database_url, *options)
    assert code == 0, done
    assert done["failed"] == 0, done
    assert set(done["kills"]) == set(points)
    assert done["verdict"]["taken"] > 0


@pytest.mark.parametrize(
    ("name", "point", "figure"),
    [
        ("send, then mark", "result.before_tx", "twice"),
        ("mark, then send", "intent.after_commit", "lost"),
    ],
)
def test_a_broken_order_of_steps_is_caught_by_real_kills(tmp_path: Path, name: str, point: str, figure: str) -> None:
    """The same loop, the same verdict, with the steps in another order."""
    options = ("--variant", name, "--points", point, "--kills", "4", "--each", "4", "--faults", "0")
    code, done = loop(tmp_path, f"sqlite:///{tmp_path / 'nurture.db'}", *options)
    assert code == 1, done
    assert done["verdict"][figure] > 0, done
