"""What does every answer carry, and what does the log see? Headers, route templates, never a token."""

from __future__ import annotations

import logging
import time
import traceback
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nurture.web.pages import Pages

access = logging.getLogger("nurture.web.access")
trouble = logging.getLogger("nurture.web.trouble")

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CSP,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Strict-Transport-Security": "max-age=31536000",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
}
OURS = frozenset(name.lower().encode() for name in [*HEADERS, "Cross-Origin-Resource-Policy"])
FIXED = tuple((name.lower().encode(), value.encode()) for name, value in HEADERS.items())
NO_STORE = (b"cache-control", b"no-store")
SAME_ORIGIN = (b"cross-origin-resource-policy", b"same-origin")
CROSS_ORIGIN = (b"cross-origin-resource-policy", b"cross-origin")
PIXEL = "/o/{token}.gif"
LONGEST_PATH = 1_024
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE", "CONNECT"})


class Guard:
    """The outermost layer: nothing leaves without its headers, no error leaks, one log line per answer."""

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        """Stand before `app`."""
        self.app = app
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _dressed(message.get("headers", ()), route_of(scope))
            await send(message)

        try:
            if len(scope.get("raw_path") or scope["path"]) > LONGEST_PATH:
                await self._page(scope, receive, sending, 404)
            else:
                await self.app(scope, receive, sending)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:  # noqa: BLE001  the edge: whatever it is, the reader gets a page and we a place
            trouble.error("%s in %s at %s", type(error).__name__, route_of(scope), _place(error))
            if not status:
                await self._page(scope, receive, sending, 500)
        finally:
            milliseconds = (time.monotonic() - started) * 1_000
            access.info("%s %s %s %.0f ms", method_of(scope), route_of(scope), status, milliseconds)

    async def _page(self, scope: Scope, receive: Receive, send: Send, status: int) -> None:
        request = Request(scope, receive)
        await self.pages.wrong(self.pages.language(request), status)(scope, receive, send)


def _dressed(headers: Iterable[tuple[bytes, bytes]], route: str) -> list[tuple[bytes, bytes]]:
    """Give an answer's own headers and those of every answer, spelt as they go out: this runs for every click."""
    kept = [pair for pair in headers if pair[0] not in OURS]
    kept += FIXED
    # A mail program shows the pixel in a page of its own origin; everything else stays with ours.
    kept.append(CROSS_ORIGIN if route == PIXEL else SAME_ORIGIN)
    if not any(name == b"cache-control" for name, _ in kept):
        kept.append(NO_STORE)
    return kept


def route_of(scope: Scope) -> str:
    """Name the route by its template: a path holds tokens, a template does not."""
    route = scope.get("nurture.route")
    return route if isinstance(route, str) else "-"


def method_of(scope: Scope) -> str:
    """Name the method if it is a usual one; a made-up one may hold anything."""
    return scope["method"] if scope["method"] in METHODS else "?"


def _place(error: Exception) -> str:
    """Say where it happened, without the message: messages may quote what a person sent."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.name}:{frame.lineno}"


class NamedRoute(Route):
    """A route that leaves its template in the scope, for the log."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or refuse its method."""
        scope["nurture.route"] = self.path
        await super().handle(scope, receive, send)
