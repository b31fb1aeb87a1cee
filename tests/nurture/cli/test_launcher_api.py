"""Do we speak to our own Prefect server, and wait for it where it is slow?"""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from nurture.cli.launcher import api as launcher_api
from nurture.cli.launcher.api import PrefectApi
from nurture.cli.launcher.errors import LauncherError, PortTakenError
from nurture.cli.launcher.server import wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

Answers = dict[str, list[int]]
"""Path to the statuses it answers with, one after the other; the last one stays."""


@contextmanager
def server(answers: Answers) -> Iterator[str]:
    """Stand in for a Prefect server on loopback; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            listed = answers[self.path.partition("?")[0]]
            body = json.dumps({"token": "t"}).encode()
            self.send_response(listed.pop(0) if len(listed) > 1 else listed[0])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815  the base class dispatches by these names

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}/api"
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def test_another_installations_server_is_told_apart() -> None:
    foreign: Answers = {"/api/ready": [200], "/api/flows/filter": [401], "/api/admin/version": [401]}
    with server(foreign) as url, pytest.raises(PortTakenError, match="start again"):
        wait_ready(PrefectApi(url, "nurture:ours"), None)


def test_our_own_server_is_taken() -> None:
    ours: Answers = {"/api/ready": [503, 200], "/api/flows/filter": [401], "/api/admin/version": [200]}
    with server(ours) as url:
        assert wait_ready(PrefectApi(url, "nurture:ours"), None) >= 0


def test_a_busy_server_is_asked_again_for_its_token() -> None:
    busy: Answers = {"/api/csrf-token": [503, 503, 200], "/api/things": [403, 200]}
    with server(busy) as url:
        assert PrefectApi(url, "nurture:ours").post("/things", {}) == {"token": "t"}


def test_a_token_that_never_comes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_api, "PATIENCE", 0.2)
    with (
        server({"/api/csrf-token": [503]}) as url,
        pytest.raises(LauncherError, match="GET /api/csrf-token: status 503"),
    ):
        PrefectApi(url, "nurture:ours").post("/things", {})
