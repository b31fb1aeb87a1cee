"""How do the company's own systems end a consent, and where is the API described?

POST /api/withdraw is for servers that hold the token of the settings (`api_token`); without that
setting the door is shut. Known and unknown addresses get the same answer: the holder of the token may
end consents, not find out who gave any.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from consent import texts
from consent.addresses import Address
from nurture.leads import hygiene
from nurture.leads.rights import ending
from nurture.web import bodies, edge, openapi, wake

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

LONGEST_HEADER = 512


@dataclass(frozen=True)
class Wish:
    """Whose consents shall end. `purposes` None means all."""

    address: Address
    purposes: tuple[str, ...] | None


async def withdraw(request: Request) -> Response:
    """End consents of an address for one of the company's own systems; at once, and never by GET."""
    here = edge.of(request)
    started = time.monotonic()
    secret = here.workspace.settings.secret("api_token")
    if secret is None:
        return JSONResponse({"error": "closed"}, 403)
    if not holds(request, secret):
        return JSONResponse({"error": "token"}, 401, headers={"WWW-Authenticate": "Bearer"})
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return JSONResponse({"error": "content-type"}, 415)
    try:
        asked = json.loads(await bodies.read(request, bodies.FORM_CAP))
    except (ValueError, RecursionError):
        return JSONResponse({"error": "json"}, 400)
    known = await here.read(lambda conn: {str(row["purpose"]) for row in texts.overview(conn)})
    wish = _read(asked, known)
    if isinstance(wish, str):
        return JSONResponse({"error": wish}, 422)
    if await here.write(lambda conn: _end(here, conn, wish)):
        here.wake.hint(wake.CONSENT_WITHDRAWN)
    # A known address costs other work than an unknown one; the answer rests on the same floor.
    await asyncio.sleep(max(0.0, started + here.answer_floor - time.monotonic()))
    return JSONResponse({"status": "accepted"}, 202)


async def describe(request: Request) -> Response:
    """Give the OpenAPI document."""
    return JSONResponse(openapi.document(edge.of(request).workspace.settings.public_url))


def holds(request: Request, secret: str) -> bool:
    """Does the caller hold the token? Digests are compared, so that neither length nor content shows in time."""
    header = request.headers.get("authorization", "")[:LONGEST_HEADER]
    scheme, _, token = header.partition(" ")
    given, wanted = (hashlib.sha256(one.encode("utf-8", "replace")).digest() for one in (token.strip(), secret))
    return hmac.compare_digest(given, wanted) and scheme.lower() == "bearer"


def _read(asked: object, known: set[str]) -> Wish | str:
    """Give the wish in a JSON body, or the name of the field that is wrong. `known`: purposes with a wording."""
    if not isinstance(asked, dict):
        return "json"
    typed, purposes = asked.get("address"), asked.get("purposes")
    try:
        address = Address.of(hygiene.check(typed[: hygiene.LONGEST + 1] if isinstance(typed, str) else ""))
    except hygiene.BadAddress:
        return "address"
    if purposes is None:
        return Wish(address, None)
    if not isinstance(purposes, list) or not purposes or not all(isinstance(one, str) for one in purposes):
        return "purposes"
    return Wish(address, tuple(dict.fromkeys(purposes))) if set(purposes) <= known else "purposes"


def _end(here: edge.Edge, conn: Connection, wish: Wish) -> bool:
    """Record the withdrawal; False when there was nothing to end. An address nobody knows is kept out of imports."""
    ended = ending.withdraw_address(
        conn,
        here.workspace.keyring,
        wish.address,
        controller=here.controller,
        purposes=wish.purposes,
        route="api",
        actor="api",
        at=here.now(),
    )
    return bool(ended)
