"""Which doors are open to the public, and why? Every route of the edge stands in this one table.

Nothing here is behind a log-in: a token in the path, a signature, or a cap is what protects. A
route that is not listed with its reason does not exist (tests/architecture/test_routes.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Public:
    """One public path: what GET shows, what POST does, and why anybody may call it."""

    path: str
    why: str
    get: Handler | None = None
    post: Handler | None = None


PUBLIC = (
    Public("/", "says what the site is for", plain.home),
    Public("/subscribe", "sign-up form; caps, stamp and honeypot", sign_up.show, sign_up.submit),
    Public("/api/opt-in", "sign-up from the company's own forms; the form's caps", sign_up.wording, sign_up.take),
    Public("/api/withdraw", "bearer token of the settings; shut without one", None, api.withdraw),
    Public("/api/openapi.json", "describes the two above; says nothing about anybody", api.describe),
    Public("/confirm/{token}", "random token of one request", opting_in.show, opting_in.confirm),
    Public("/decline/{token}", "random token of one request", None, opting_in.decline),
    Public("/u/{token}", "token bound to unsubscribing; RFC 8058", withdrawing.show, withdrawing.leave),
    Public("/p/{token}", "token bound to preferences", preferences.show, preferences.change),
    Public("/q/{token}", "token bound to the profile; takes one answer", None, profile.answer),
    Public("/d/{token}", "token bound to my data; shows kinds, no values", my_data.show, my_data.ask),
    Public("/c/{token}/{index}", "token bound to clicks", clicks.click),
    Public(PIXEL, "token bound to opens; the same picture for all", clicks.pixel),
    Public("/hooks/sendgrid", "signature of the provider", None, hooks.sendgrid),
    Public("/request/{form}", "contact forms; caps, stamp and honeypot", enquiries.show, enquiries.submit),
    Public("/imprint", "the law wants it public", plain.imprint),
    Public("/health", "tells a load balancer one word", plain.health),
    Public("/static/{name}", "style sheet and icon", plain.static),
)


def route(public: Public) -> NamedRoute:
    """Make one route of a line of the table: GET (and HEAD) shows, POST acts, nothing else is known."""

    async def answer(request: Request) -> Response:
        handler = public.post if request.method == "POST" else public.get
        if handler is None:  # the route's own methods keep this from happening
            message = f"{public.path} has no handler for its method"
            raise LookupError(message)
        return await handler(request)

    methods = [method for method, handler in (("GET", public.get), ("POST", public.post)) if handler]
    return NamedRoute(public.path, answer, methods=methods, name=public.path)
