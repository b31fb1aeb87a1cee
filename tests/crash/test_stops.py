"""Do the promises hold when PostgreSQL dies in the middle of everything, and would the loop notice?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.requirement(95), pytest.mark.usefixtures("settings")]


def stops(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the loop of immediate stops as by hand; give exit code and figures."""
    command = [sys.executable, "-m", "tests.crash.postgres", "--json", str(folder / "figures.json"), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text("utf-8"))
    return done.returncode, figures


@pytest.mark.slow
def test_immediate_stops_repeat_and_lose_nothing(tmp_path: Path) -> None:
    """`pg_ctl stop -m immediate` at any moment of two sending processes."""
    code, done = stops(tmp_path, "--stops", "4")
    assert code == 0, done
    assert done["stops"] == 4
    assert done["failed"] > 0
    assert done["verdict"]["taken"] > 0
