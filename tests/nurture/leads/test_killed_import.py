"""Does a kill in the middle of an import leave nothing of it?"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.nurture.leads.conftest import Desk

PROGRAM = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from nurture.leads.importing import run
from nurture.settings import Settings
from nurture.store.workspace import open_workspace

run.CHUNK = 50
home, url, file = sys.argv[1:]
with open_workspace(Settings(home=Path(home), database_url=url)) as workspace:
    def kill(rows):
        if rows >= 150:
            os.kill(os.getpid(), signal.SIGKILL)
    run.import_file(workspace, Path(file), at=datetime(2026, 11, 23, tzinfo=UTC), progress=kill)
"""


def test_a_kill_leaves_nothing_and_the_next_try_all(desk: Desk) -> None:
    """A process killed in the middle leaves no row behind, and the next import takes the whole file."""
    rows = "".join(f"v{number}@firma.example,ja\n" for number in range(20))
    rows += "".join(f"w{number}@firma.example,\n" for number in range(300))
    path = desk.file(f"Email,Opt-Out\n{rows}")
    arguments = [str(desk.folder), desk.workspace.settings.database, str(path)]
    killed = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=False, capture_output=True)
    assert killed.returncode == -9
    assert set(desk.sizes().values()) == {0}
    assert desk.take(path).counts.new == 300
