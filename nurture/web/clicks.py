"""Where does a link in a mail lead, and who is told? GET only; a link holds no address of its own.

What was not agreed to is not recorded: a click counts when the message was sent with tracking and
the person still agrees to it (R29).
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from consent import gate
from nurture.tracking import intake
from nurture.web import edge, evidence, lookups

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
LONGEST_INDEX = 4


async def click(request: Request) -> Response:
    """Send the reader on to the link's target; record the click if it may be recorded."""
    here = edge.of(request)
    public_id = lookups.read_token(here.workspace.keyring, "click", request.path_params["token"])
    index = request.path_params["index"]
    if public_id is None or not (index.isascii() and index.isdigit() and len(index) <= LONGEST_INDEX):
        raise HTTPException(404)
    target = await here.read(lambda conn: lookups.target(conn, public_id, int(index)))
    if target is None:
        raise HTTPException(404)
    if target.tracked and is_visit(request):
        await _record(request, "click", target.subject, {"message": public_id, "link": int(index)})
    return Response(status_code=302, headers={"Location": target.url})


async def pixel(request: Request) -> Response:
    """Give the picture, to everybody the same; record the opening if it may be recorded."""
    here = edge.of(request)
    public_id = lookups.read_token(here.workspace.keyring, "open", request.path_params["token"])
    if public_id is not None and is_visit(request):
        subject = await here.read(lambda conn: lookups.tracked_subject(conn, public_id))
        if subject is not None:
            await _record(request, "open", subject, {"message": public_id})
    return Response(GIF, media_type="image/gif")


def is_visit(request: Request) -> bool:
    """Tell a visit from a HEAD and from a browser's own prefetch, which says so."""
    purpose = request.headers.get("sec-purpose", "") + request.headers.get("purpose", "")
    return request.method == "GET" and "prefetch" not in purpose.lower()


async def _record(request: Request, source: str, subject: str, facts: dict[str, object]) -> None:
    here = edge.of(request)
    at = here.now()
    facts |= {
        "method": request.method,
        "user_agent": evidence.printable(request.headers.get("user-agent", ""), evidence.LONGEST_AGENT),
        "at": at.isoformat(),
    }
    if await here.write(lambda conn: _store(here, conn, source, subject, facts, at=at)):
        here.wake.hint()


def _store(
    here: edge.Edge, conn: Connection, source: str, subject: str, facts: dict[str, object], *, at: datetime
) -> bool:
    """Store the event raw; False when the person no longer agrees to being measured."""
    if subject not in gate.tracking(conn, [subject], controller=here.controller):
        return False
    body = json.dumps(facts, sort_keys=True).encode()
    return intake.store_raw(conn, here.workspace.keyring, source=source, body=body, at=at)
