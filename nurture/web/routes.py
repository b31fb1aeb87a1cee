"""Which doors are open to the public, and why? Every route of the edge stands in this one table.

Nothing here is behind a log-in: a token in the path, a signature, or a cap is what protects. A
route that is not listed with its reason does not exist (tests/architecture/test_routes.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request

from nurture.web import (
    api,
    clicks,
    enquiries,
    hooks,
    my_data,
    opting_in,
    plain,
    preferences,
    profile,
    sign_up,
    withdrawing,
)
from nurture.web.guard import PIXEL, NamedRoute
from nurture.web.listener import Lean

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    Handler = Callable[[Request], Awaitable[Response]] | Lean


@dataclass(frozen=True)
class Public:
    """One public path: what GET shows, what POST does, and why anybody may call it."""

    path: str
    why: str
    get: Handler | None = None
    post: Handler | None = None

    @property
    def handlers(self) -> dict[str, Handler]:
        """What is done, by method; HEAD is a GET without a body."""
        given = (("GET", self.get), ("HEAD", self.get), ("POST", self.post))
        return {method: handler for method, handler in given if handler is not None}


PUBLIC = (
    Public("/", "says what the site is for", plain.home),
    Public("/subscribe", "sign-up form; caps, stamp and honeypot", sign_up.show, sign_up.submit),
    Public("/api/opt-in", "sign-up from the company's own forms; the form's caps", sign_up.wording, sign_up.take),
    Public("/api/withdraw", "bearer token of the settings; shut without one", None, api.withdraw),
    Public("/api/openapi.json", "describes the two above; says nothing about anybody", api.describe),
    Public("/confirm/{token}", "random token of one request", opting_in.show, opting_in.confirm),
    Public("/decline/{token}", "random token of one request", None, opting_in.decline),
    Public("/u/{token}", "token bound to unsubscribing; RFC 8058", withdrawing.show, Lean(withdrawing.leave)),
    Public("/p/{token}", "token bound to preferences", preferences.show, preferences.change),
    Public("/q/{token}", "token bound to the profile; takes one answer", None, profile.answer),
    Public("/d/{token}", "token bound to my data; shows kinds, no values", my_data.show, my_data.ask),
    Public("/c/{token}/{index}", "token bound to clicks", Lean(clicks.click)),
    Public(PIXEL, "token bound to opens; the same picture for all", Lean(clicks.pixel)),
    Public("/hooks/sendgrid", "signature of the provider", None, Lean(hooks.sendgrid)),
    Public("/request/{form}", "contact forms; caps, stamp and honeypot", enquiries.show, enquiries.submit),
    Public("/imprint", "the law wants it public", plain.imprint),
    Public("/health", "tells a load balancer one word", plain.health),
    Public("/static/{name}", "style sheet and icon", plain.static),
)


class Entrance:
    """A public path as the router calls it."""

    def __init__(self, public: Public) -> None:
        """Answer for one line of the table."""
        self._handlers = public.handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the route has refused other methods."""
        handler = self._handlers[scope["method"]]
        if isinstance(handler, Lean):
            await handler.app(scope, receive, send)
            return
        answer = await handler(Request(scope, receive, send))
        await answer(scope, receive, send)


def route(public: Public) -> NamedRoute:
    """Make one route of a line of the table: GET (and HEAD) shows, POST acts, nothing else is known."""
    return NamedRoute(public.path, Entrance(public), methods=list(public.handlers), name=public.path)


def lean_doors() -> Iterator[tuple[str, Mapping[str, ASGIApp]]]:
    """Give those lines of the table that the listener answers, with their handlers by method."""
    for public in PUBLIC:
        lean = {method: one.app for method, one in public.handlers.items() if isinstance(one, Lean)}
        if lean:
            yield public.path, lean
