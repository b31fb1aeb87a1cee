"""Which pages say something and ask nothing? Home, imprint, health and the style sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from nurture.store.tables import setting
from nurture.web import edge
from nurture.web.pages import STATIC

if TYPE_CHECKING:
    from starlette.requests import Request

KINDS = {"site.css": "text/css; charset=utf-8", "favicon.svg": "image/svg+xml"}
FILES = {name: (STATIC / name).read_bytes() for name in KINDS}


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
    """Give one of the files we ship; their address holds their hash, so they may be kept."""
    name = request.path_params["name"]
    if name not in FILES:
        raise HTTPException(404)
    return Response(FILES[name], media_type=KINDS[name], headers={"Cache-Control": "public, max-age=86400"})
