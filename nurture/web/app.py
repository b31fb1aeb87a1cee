"""How is the public edge put together? One Starlette application over one workspace.

It commits rows and gives hints; it sends nothing, scores nothing and plans nothing.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse

from consent import ledger
from nurture.leads import profiling
from nurture.store.committing import Committer
from nurture.web import edge, evidence
from nurture.web.arrivals import Arrivals
from nurture.web.brake import Brake
from nurture.web.guard import Guard
from nurture.web.listener import Listener
from nurture.web.pages import Pages
from nurture.web.routes import PUBLIC, lean_doors, route
from nurture.web.wake import Wake

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from nurture.clock import Clock
    from nurture.store.workspace import Workspace

MINIMUM_FILL = 2.0
ANSWER_FLOOR = 0.25


def create_app(
    workspace: Workspace,
    clock: Clock,
    *,
    wake: Wake | None = None,
    brake: Brake | None = None,
    minimum_fill: float = MINIMUM_FILL,
    answer_floor: float = ANSWER_FLOOR,
) -> Starlette:
    """Make the application.

    `minimum_fill`: seconds a form must have been open. `answer_floor`: seconds a sign-up's answer
    takes at least, so that its time tells nothing. Without `wake` no hints are given.
    """
    committer = Committer(workspace.store, prepare=ledger.lock)
    hints = wake or Wake("")
    here = edge.Edge(
        workspace=workspace,
        clock=clock,
        pages=Pages(workspace.settings),
        profiling=profiling.load(workspace.settings.policies),
        wake=hints,
        brake=brake or Brake(),
        trusted=evidence.networks(workspace.settings.trusted_proxies),
        minimum_fill=minimum_fill,
        answer_floor=answer_floor,
        committer=committer,
        arrivals=Arrivals(workspace, committer, hints),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await here.wake.close()

    app = Starlette(
        routes=[route(public) for public in PUBLIC],
        middleware=[Middleware(Guard, pages=here.pages), Middleware(Listener, doors=lean_doors(), wrong=_wrong)],
        exception_handlers={HTTPException: _wrong},
        lifespan=lifespan,
    )
    # An address with a slash too many is a wrong address: a redirect would show the token to logs.
    app.router.redirect_slashes = False
    app.state.edge = here
    return app


async def _wrong(request: Request, error: Exception) -> Response:
    """Answer an error in the words of the caller: a page, or plain text or JSON for machines."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path
    response: Response
    if path.startswith("/api/"):
        response = JSONResponse({"error": str(status)}, status)
    elif path.startswith("/hooks/"):
        response = PlainTextResponse(f"{status}\n", status)
    else:
        pages = edge.of(request).pages
        response = pages.wrong(pages.language(request), status)
    for name, value in (getattr(error, "headers", None) or {}).items():
        response.headers[name] = value
    return response
