"""Where does a link in a mail lead, and who is told? GET only; a link holds no address of its own.

What was not agreed to is not recorded: a click counts when the message was sent with tracking and
the person still agrees to it (R29).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from nurture.tracking.visiting import Visit
from nurture.web import edge, evidence, lookups
from nurture.web.listener import answer, headers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from nurture.web.lookups import Mail

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
GIF_TYPE = (b"content-type", b"image/gif")
LONGEST_INDEX = 4


async def click(scope: Scope, _receive: Receive, send: Send) -> None:
    """Send the reader on to the link's target; record the click if it may be recorded."""
    here = edge.within(scope)
    told = scope["path_params"]
    index: str = told["index"]
    public_id = lookups.read_token(here.workspace.keyring, "click", told["token"])
    if public_id is None or not (index.isascii() and index.isdigit() and len(index) <= LONGEST_INDEX):
        raise HTTPException(404)
    mail = await _visited(here, scope, public_id, int(index))
    target = None if mail is None else mail.target(int(index))
    if target is None:
        raise HTTPException(404)
    await answer(send, 302, (b"location", target.encode("ascii")))


async def pixel(scope: Scope, _receive: Receive, send: Send) -> None:
    """Give the picture, to everybody the same; record the opening if it may be recorded."""
    here = edge.within(scope)
    public_id = lookups.read_token(here.workspace.keyring, "open", scope["path_params"]["token"])
    if public_id is not None and is_visit(scope, headers_of(scope)):
        await _visited(here, scope, public_id, None)
    await answer(send, 200, GIF_TYPE, body=GIF)


def is_visit(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Tell a visit from a HEAD and from a browser's own prefetch, which says so."""
    purpose = headers.get(b"sec-purpose", b"") + headers.get(b"purpose", b"")
    return scope["method"] == "GET" and b"prefetch" not in purpose.lower()


async def _visited(here: edge.Edge, scope: Scope, public_id: str, link: int | None) -> Mail | None:
    """Give the mail behind a link or pixel, once the visit is recorded, if it is one."""
    headers = headers_of(scope)
    if is_visit(scope, headers):
        agent = evidence.printable(headers.get(b"user-agent", b"").decode("latin-1"), evidence.LONGEST_AGENT)
        try:
            return await here.arrivals.visit(Visit(public_id, link, agent, here.now()))
        except TimeoutError:
            # Somebody else holds the database: it is recorded later, the reader goes on now.
            pass
    return await here.read(lambda conn: here.arrivals.mail(conn, public_id))
