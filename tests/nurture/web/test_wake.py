"""Hints to Prefect: one for a burst, another later for what came meanwhile, and never in the way."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from nurture.web.wake import CONSENT_CONFIRMED, EVENTS_RECEIVED, Wake

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server(ThreadingHTTPServer):
    """A stand-in for Prefect's API on loopback, with or without its CSRF protection."""

    csrf = False

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[dict[str, Any]] = []
        self.authorisation: list[str | None] = []

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.server_address[1]}/api"


class Handler(BaseHTTPRequestHandler):
    """Takes events."""

    server: Server

    def do_GET(self) -> None:
        """Give a CSRF token, as Prefect does."""
        self._answer(200, json.dumps({"token": "t0ken", "client": "c", "expiration": "2030"}).encode())

    def do_POST(self) -> None:
        """Take events."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.csrf and self.headers.get("Prefect-Csrf-Token") != "t0ken":
            self._answer(403, b"{}")
            return
        self.server.authorisation.append(self.headers.get("authorization"))
        self.server.taken += json.loads(body)
        self._answer(204, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A running stand-in."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def drive(wake: Wake, hints: list[tuple[float, str]], *, then: float) -> None:
    """Give hints after waits, then wait, then close."""

    async def run() -> None:
        for wait, name in hints:
            await asyncio.sleep(wait)
            wake.hint(name)
        await asyncio.sleep(then)
        await wake.close()

    asyncio.run(run())


def test_a_hint_holds_a_name_and_a_count(server: Server) -> None:
    drive(Wake(server.url, "admin:pass"), [(0, EVENTS_RECEIVED)], then=0.5)
    [told] = server.taken
    assert (told["event"], told["payload"], told["resource"]) == (
        "nurture.events.received",
        {"count": 1},
        {"prefect.resource.id": "nurture.web"},
    )
    assert server.authorisation == ["Basic " + base64.b64encode(b"admin:pass").decode()]


def test_a_burst_is_one_hint_and_one_after(server: Server) -> None:
    drive(Wake(server.url, quiet=0.4), [(0, EVENTS_RECEIVED), (0.15, EVENTS_RECEIVED), *[(0, EVENTS_RECEIVED)] * 500],
          then=0.8)  # fmt: skip
    assert [told["payload"]["count"] for told in server.taken] == [1, 501]


def test_different_names_share_one_post(server: Server) -> None:
    drive(Wake(server.url), [(0, EVENTS_RECEIVED), (0, CONSENT_CONFIRMED)], then=0.5)
    assert sorted(told["event"] for told in server.taken) == [CONSENT_CONFIRMED, EVENTS_RECEIVED]


def test_a_protected_server_is_asked_for_its_token(server: Server) -> None:
    server.csrf = True
    drive(Wake(server.url), [(0, EVENTS_RECEIVED)], then=0.5)
    assert len(server.taken) == 1


def test_closing_posts_what_waits(server: Server) -> None:
    drive(Wake(server.url, quiet=60), [(0, EVENTS_RECEIVED), (0.3, EVENTS_RECEIVED)], then=0)
    assert sum(told["payload"]["count"] for told in server.taken) == 2


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/api", "no url at all", "http://[::1"])
def test_nobody_there_is_no_matter(url: str) -> None:
    drive(Wake(url), [(0, EVENTS_RECEIVED)], then=0.2)


def test_it_reads_what_prefect_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api/")
    assert Wake.from_environment().url == "http://127.0.0.1:4200/api"
