"""Which pages say something and ask nothing? Home, imprint, health and the style sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from nurture.store.tables import setting
from nurture.web import edge

if TYPE_CHECKING:
    from starlette.requests import Request


async def home(request: Request) -> Response:
    """Say what this place is for."""
    pages = edge.of(request).pages
    return pages.answer("home", pages.language(request), switch=True)


async def imprint(request: Request) -> Response:
    """Say who is responsible."""
    here = edge.of(request)
    settings = here.workspace.settings
    return here.pages.answer(
        "imprint",
        here.pages.language(request),
        switch=True,
        postal_address=settings.postal_address,
        lines=settings.imprint.splitlines(),
        mail=settings.sender_address,
    )


async def health(request: Request) -> Response:
    """Answer 200 `ok` when the database answers, else 503. For machines."""
    try:
        await edge.of(request).read(lambda conn: conn.execute(select(func.count()).select_from(setting)).scalar())
    except SQLAlchemyError:
        return PlainTextResponse("the database does not answer\n", 503)
    return PlainTextResponse("ok\n")


async def static(request: Request) -> Response:
    """Give one of the files we ship, or the brand's; their address holds their hash, so they may be kept."""
    name = request.path_params["name"]
    served = edge.of(request).pages.files.get(name)
    if served is None:
        raise HTTPException(404)
    return Response(served.content, media_type=served.kind, headers={"Cache-Control": "public, max-age=86400"})
