"""Does `nurture up` bring everything up, and take everything down again?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from nurture.cli.launcher import ports

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent.parent
UP = [sys.executable, "-m", "nurture", "up"]


def environment(home: Path) -> dict[str, str]:
    """Give an environment for a fresh installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NURTURE_", "PREFECT_"))}
    port = str(ports.any_free())
    return {**kept, "NURTURE_HOME": str(home), "NURTURE_WEB_PORT": "0", "NURTURE_PREFECT_PORT": port,
            "PYTHONPATH": str(ROOT)}  # fmt: skip


def left_over(home: Path) -> list[str]:
    """Which processes still work for this home folder?"""
    mark = f"NURTURE_HOME={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_check_starts_verifies_and_stops(tmp_path: Path) -> None:
    done = subprocess.run(
        [*UP, "--check", "--json"], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(f"\nseconds of a first start: {told['seconds']}")  # noqa: T201  the figure is asked for
    assert {"public pages", "prefect", "outbox", "health"} <= told["addresses"].keys()
    assert left_over(tmp_path) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(told["addresses"]["health"])


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_start_can_be_interrupted(tmp_path: Path, asked: signal.Signals) -> None:
    starting = subprocess.Popen(
        UP, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "logs" / "prefect-server.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    starting.send_signal(asked)
    _, said = starting.communicate(timeout=120)
    assert starting.returncode == 0
    assert said.splitlines()[-1] == "stopped"
    assert left_over(tmp_path) == []


def test_another_prefect_is_refused(tmp_path: Path) -> None:
    env = {**environment(tmp_path), "PREFECT_API_URL": "http://10.1.2.3:4200/api"}
    done = subprocess.run(UP, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unset PREFECT_API_URL" in done.stderr
