"""Real HTTP to a real process that is killed: does the provider's second try find one post, counted once?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import func, select

from consent.keys import Keyring
from nurture.clock import SystemClock
from nurture.store.tables import raw_event
from nurture.web.hooks import SIGNATURE
from nurture.web.server import prepare
from tests.nurture.web.provider import PATH, PUBLIC, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from nurture.store.workspace import Workspace

PATIENCE = 60


@pytest.fixture
def ready(workspace: Workspace, at: datetime) -> Workspace:
    """A workspace with the wordings that the server publishes when it starts."""
    prepare(workspace, at=at)
    return workspace


@contextmanager
def serving(ws: Workspace, home: Path, failpoints: str = "") -> Iterator[str]:
    """Run `python -m nurture.web` over the test's database; gives its address, ends it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = {
        "NURTURE_HOME": str(home), "NURTURE_WEB_PORT": str(port), "NURTURE_SENDGRID_WEBHOOK_KEY": PUBLIC,
        "NURTURE_DATABASE_URL": ws.store.engine.url.render_as_string(hide_password=False),
        "NURTURE_FAILPOINTS": failpoints,
    }  # fmt: skip
    command = [sys.executable, "-m", "nurture.web"]
    process = subprocess.Popen(command, env=os.environ | told, stderr=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(PATIENCE)


def _wait(process: subprocess.Popen[Any], port: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, "the server did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server does not listen")


@pytest.mark.parametrize(
    ("point", "kept"), [("webhook.raw_before_commit", 0), ("webhook.apply_mid", 0), ("webhook.raw_after_commit", 1)]
)
def test_a_killed_server_is_told_again_and_counts_once(
    ready: Workspace, mailed: Callable[..., str], ledger: Callable[[], list[str]], tmp_path: Path, point: str, kept: int
) -> None:
    """Before the commit nothing stands, after it all of it; then the same post leaves one row and one withdrawal."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    ready.keyring.store(home / "keys.json")
    assert Keyring.load_or_create(home / "keys.json") == ready.keyring
    event = {
        "email": "a@b.example", "event": "spamreport", "timestamp": 1_760_000_000, "sg_event_id": "e",
        "sg_message_id": "m", "nurture_message_id": mailed(),
    }  # fmt: skip
    body = json.dumps([event]).encode()

    def stored() -> tuple[int, int]:
        with ready.store.read() as conn:
            rows = conn.execute(select(func.count()).select_from(raw_event)).scalar_one()
        return rows, ledger().count("consent.withdrawn")

    headers = sign(body, SystemClock().now())
    with serving(ready, home, f"kill:{point}@1") as site, pytest.raises(httpx.TransportError):
        httpx.post(site + PATH, content=body, headers=headers, timeout=PATIENCE, trust_env=False)
    assert stored() == (kept, kept)
    with serving(ready, home) as site, httpx.Client(base_url=site, timeout=PATIENCE, trust_env=False) as client:
        again = [client.post(PATH, content=body, headers=headers).status_code for _ in range(2)]
        forged = client.post(PATH, content=body, headers=headers | {SIGNATURE: "AAAA"}).status_code
    assert (again, forged, stored()) == ([200, 200], 403, (1, 1))
