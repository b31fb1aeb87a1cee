"""Which answers do without the framework? Those that come by the thousand: webhooks, clicks, opens, one-click.

Their doors stand in the same table as all others (`routes.py`), and the same guard stands before them. Only the way
is shorter: their handlers are ASGI applications, found by the first part of the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import compile_path

if TYPE_CHECKING:
    import re
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    Wrong = Callable[[Request, Exception], Awaitable[Response]]

TEXT = (b"content-type", b"text/plain; charset=utf-8")


@dataclass(frozen=True)
class Lean:
    """A handler that reads and answers by itself: what a request tells stands in its scope."""

    app: ASGIApp


@dataclass(frozen=True)
class Door:
    """One path with the handlers that are lean, by method."""

    template: str
    pattern: re.Pattern[str]
    handlers: Mapping[str, ASGIApp]


class Listener:
    """Answers at the lean doors; whatever else comes goes to the framework, also their other methods."""

    def __init__(self, app: ASGIApp, doors: Iterable[tuple[str, Mapping[str, ASGIApp]]], wrong: Wrong) -> None:
        """Stand before `app` with (path, handlers by method); `wrong` makes the answer to an HTTPException."""
        self._app = app
        self._wrong = wrong
        self._doors: dict[str, Door] = {}
        for path, handlers in doors:
            first = path.split("/")[1]
            if first in self._doors or "{" in first:
                message = f"{path}: the first part of a lean path must be its own"
                raise ValueError(message)
            self._doors[first] = Door(path, compile_path(path)[0], handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        handler = self._find(scope) if scope["type"] == "http" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        try:
            await handler(scope, receive, send)
        except HTTPException as error:
            answer = await self._wrong(Request(scope, receive), error)
            await answer(scope, receive, send)

    def _find(self, scope: Scope) -> ASGIApp | None:
        """Find the handler, and note in the scope what the router would."""
        path: str = scope["path"]
        door = self._doors.get(path[1:].partition("/")[0])
        handler = None if door is None else door.handlers.get(scope["method"])
        if door is None or handler is None:
            return None
        found = door.pattern.match(path)
        if found is None:
            return None
        scope["nurture.route"] = door.template
        scope["path_params"] = found.groupdict()
        return handler


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Give the headers of a request by their lower-case names, the first where one came twice."""
    return dict(reversed(scope["headers"]))


async def answer(send: Send, status: int, *headers: tuple[bytes, bytes], body: bytes = b"") -> None:
    """Send a whole answer; the guard adds what every answer carries."""
    length = (b"content-length", b"%d" % len(body))
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
