"""The whole way over real HTTP, and once more by real clicks in a browser."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
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

CHROMIUM = Path("/usr/bin/chromium")
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


@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium at /usr/bin/chromium")
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts on", "scripts off"])
def test_the_way_in_and_out_in_a_browser(
    served: str, workspace: Workspace, ledger: Callable[[], list[str]], *, scripts: bool
) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  where there is no browser it is not needed

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                  "--disable-background-networking", "--disable-component-update"],
        )  # fmt: skip
        try:
            context = browser.new_context(locale="de-DE", java_script_enabled=scripts)
            page = context.new_page()
            complaints: list[str] = []
            page.on("console", lambda said: complaints.append(said.text))
            requests: list[str] = []
            page.on("request", lambda sent: requests.append(sent.url))
            page.goto(f"{served}/subscribe")
            page.fill("#address", "anna@firma.example")
            page.check("#box-1")
            page.check("#box-2")
            page.get_by_role("button", name="Anmelden").click()
            assert "Postfach" in page.inner_text("h1")
            confirm, leave, preferences = links(workspace)
            page.goto(served + confirm)
            page.get_by_role("button", name="Anmeldung bestätigen").click()
            assert "Vielen Dank" in page.inner_text("h1")
            page.goto(served + preferences)
            page.get_by_role("button", name="Ausschalten: Messung").click()
            assert "Gespeichert" in page.inner_text("main")
            page.goto(served + leave)
            page.get_by_role("button", name="Jetzt abmelden").click()
            assert "Sie sind abgemeldet" in page.inner_text("h1")
            assert context.cookies() == []
        finally:
            browser.close()
    assert complaints == []
    assert all(url.startswith(served) for url in requests)
    assert ledger() == ["consent.requested", "consent.confirmed", "consent.withdrawn", "consent.withdrawn"]
