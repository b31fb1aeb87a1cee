"""The whole way over real HTTP; by real clicks in a browser it stands in tests/browser."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from sqlalchemy import select

from consent import opt_in, tokens
from consent.schema import identity
from nurture.clock import SystemClock
from nurture.web.app import create_app
from nurture.web.server import configuration, prepare
from tests.nurture.web.visitor import forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nurture.store.workspace import Workspace

ENTRIES = ["consent.requested", "consent.confirmed", "consent.withdrawn"]


@pytest.fixture
def served(workspace: Workspace) -> Iterator[str]:
    """The edge as `nurture serve` runs it, on a free port; its address."""
    clock = SystemClock()
    prepare(workspace, at=clock.now())
    app = create_app(workspace, clock, minimum_fill=0)
    taken = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(configuration(app, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=20)
    taken.close()


def links(workspace: Workspace) -> tuple[str, str, str]:
    """The paths that mails would hold: confirm, unsubscribe, preferences."""
    with workspace.store.read() as conn:
        subject = conn.execute(select(identity.c.subject)).scalar_one()
        secret = opt_in.token(conn, workspace.keyring, 1)
    leave = tokens.issue(workspace.keyring, "unsubscribe", subject)
    return f"/confirm/{secret}", f"/u/{leave}", f"/p/{tokens.issue(workspace.keyring, 'preferences', subject)}"


@pytest.mark.requirement(26)
def test_the_way_in_and_out_over_http(served: str, workspace: Workspace, ledger: Callable[[], list[str]]) -> None:
    with httpx.Client(base_url=served, trust_env=False) as reader:
        [form] = forms(reader.get("/subscribe").text)
        asked = reader.post(
            form.action, data=form.fields | {"address": "anna@firma.example", "box:newsletter.product": "yes"}
        )
        confirm, leave, _ = links(workspace)
        opened, pressed = reader.get(confirm), reader.post(confirm)
        left = reader.post(leave, data={"List-Unsubscribe": "One-Click"})
    assert [answer.status_code for answer in (asked, opened, pressed, left)] == [200] * 4
    assert ledger() == ENTRIES
    assert not reader.cookies
    assert "server" not in asked.headers


def test_odd_requests_do_not_stop_the_server(served: str) -> None:
    host, port = served.removeprefix("http://").split(":")
    for junk in (b"GET /\r\n\r\n", b"\x00\xff", b"POST /subscribe HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc",
                 b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"):  # fmt: skip
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(junk)
    assert httpx.get(f"{served}/health", trust_env=False).text == "ok\n"
