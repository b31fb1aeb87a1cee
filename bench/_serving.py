"""Which server is measured? One of ours, or what it is compared with, on the same uvicorn; a process of its own.

Started as `python -m bench._serving WHAT`, with the rest as JSON on stdin; says its port on stdout, and ends with
stdin.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response

from consent.keys import Keyring
from nurture.clock import SystemClock
from nurture.settings import Settings
from nurture.store.engine import open_store
from nurture.store.workspace import Workspace
from nurture.tracking.sendgrid_events import verify
from nurture.web.app import create_app
from nurture.web.guard import Guard
from nurture.web.hooks import SIGNATURE, TIMESTAMP
from nurture.web.listener import Listener
from nurture.web.pages import Pages
from nurture.web.server import LOG_FORMAT, configuration, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from nurture.store.engine import Store

TARGET = "https://musterwerk.example/guide?from=mail"


@dataclass
class Server:
    """A server process: its port, and how to end it."""

    process: Popen[bytes]
    port: int

    @classmethod
    def start(cls, what: str, **how: str) -> Server:
        """Start one and wait until it listens."""
        process = Popen([sys.executable, "-m", "bench._serving", what, json.dumps(how)], stdin=PIPE, stdout=PIPE)
        if process.stdout is None:
            raise AssertionError("a server without its pipe")
        return cls(process, int(process.stdout.readline() or b"0"))

    def cpu(self) -> float:
        """Give the CPU seconds that it took so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it and wait."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(30)


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Give the median over the rounds of what they took to what we took: 1 means that our work costs nothing."""
    return median(their / our for their, our in zip(theirs, ours, strict=True))


def address_of(store: Store) -> str:
    """Give a store's address with its password, for the other process."""
    return store.engine.url.render_as_string(hide_password=False)


async def _drop(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def redirect(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Redirect whatever comes, and do nothing else."""
    await _answer(send, 302, [(b"location", TARGET.encode())], b"")


def bare(settings: Settings) -> ASGIApp:
    """Make an application like ours, whose links redirect and do nothing else: same guard, same headers, same log."""

    async def wrong(_request: Request, _error: Exception) -> Response:
        return Response(status_code=500)

    doors = [("/c/{token}/{index}", {"GET": redirect})]
    guard = Middleware(Guard, pages=Pages(settings))
    return Starlette(middleware=[guard, Middleware(Listener, doors=doors, wrong=wrong)])


def parsing(key: str) -> ASGIApp:
    """Make the application that reads, verifies and parses a post, and stores nothing."""

    async def parse(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        signature, timestamp = (headers[name.encode()].decode() for name in (SIGNATURE, TIMESTAMP))
        body = await _drop(receive)
        good = verify(key, signature, timestamp, body, at=SystemClock().now()) and orjson.loads(body)
        await _answer(send, 200 if good else 403, [(b"content-type", b"text/plain")], b"read\n")

    return parse


def main(what: str, how: dict[str, Any]) -> None:
    """Serve until stdin ends."""
    # As in production: one line per answer.
    logging.basicConfig(filename=os.devnull, level=logging.INFO, format=LOG_FORMAT)
    app: Any
    if what == "naked":
        app = redirect
    elif what == "parsing":
        app = parsing(how["key"])
    else:
        home = Path(how["home"])
        settings = Settings(home=home, sendgrid_webhook_key=how.get("key", ""))
        if what == "bare":
            app = bare(settings)
        else:
            workspace = Workspace(settings, open_store(how["database"]), Keyring.load_or_create(home / "keys.json"))
            app = create_app(workspace, SystemClock())
    config = configuration(app, host="127.0.0.1", port=0)
    config.lifespan = "off"
    server = uvicorn.Server(config)
    settle()
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)

    def until_the_end() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=until_the_end, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    server.run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
