"""How does somebody leave? A page with one button, one-click from the mail program, or the preferences.

GET shows, POST acts: scanners follow every link in a mail (A4). No log-in, no question back, no
address typed; what is withdrawn is withdrawn when the answer leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from consent import tokens, withdrawal
from nurture.web import bodies, edge, lookups, wake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from nurture.web.lookups import Recipient, Standing

ONE_CLICK = ("List-Unsubscribe", "One-Click")


async def show(request: Request) -> Response:
    """Show what the button would end. Changes nothing."""
    here = edge.of(request)
    recipient = await _recipient(request, "unsubscribe")
    return await _leave_page(request, here, recipient)


async def leave(request: Request) -> Response:
    """Withdraw: for a mail program (RFC 8058, answered 200 in plain words) or for the page's button."""
    here = edge.of(request)
    recipient = await _recipient(request, "unsubscribe")
    fields = await bodies.form(request)
    if fields.get(ONE_CLICK[0]) == ONE_CLICK[1]:
        await _withdraw(here, recipient, [recipient.purpose], "one_click")
        return PlainTextResponse("unsubscribed\n")
    if fields.get("action") != "leave":
        return await _leave_page(request, here, recipient, status=400)
    purposes = None if fields.get("everything") == "yes" else [recipient.purpose]
    await _withdraw(here, recipient, purposes, "page")
    language = here.pages.language(request, fields.get("lang") or recipient.language)
    return here.pages.answer("left", language)


async def preferences(request: Request) -> Response:
    """Show what is on and what is off. Changes nothing."""
    here = edge.of(request)
    recipient = await _recipient(request, "preferences")
    return await _preferences_page(request, here, recipient)


async def change(request: Request) -> Response:
    """Switch one purpose, or all, off. Nothing can be switched on here: that takes a new double opt-in."""
    here = edge.of(request)
    recipient = await _recipient(request, "preferences")
    fields = await bodies.form(request)
    wanted = fields.get("off", "")
    standings = await here.read(lambda conn: lookups.standings(conn, recipient.subject, here.controller))
    known = {standing.purpose for standing in standings}
    if wanted != "*" and wanted not in known:
        return await _preferences_page(request, here, recipient, status=400, known=fields.get("lang"))
    await _withdraw(here, recipient, None if wanted == "*" else [wanted], "page")
    return await _preferences_page(request, here, recipient, saved=True, known=fields.get("lang"))


async def _recipient(request: Request, purpose: str) -> Recipient:
    """Give whose link this is; the same 404 for a forged, a foreign and an unknown token."""
    here = edge.of(request)
    public_id = lookups.read_token(here.workspace.keyring, purpose, request.path_params["token"])
    found = None
    if public_id is not None:
        found = await here.read(lambda conn: lookups.recipient(conn, public_id))
    if found is None:
        raise HTTPException(404)
    return found


async def _withdraw(
    here: edge.Edge, recipient: Recipient, purposes: Sequence[str] | None, route: Literal["page", "one_click"]
) -> None:
    def act(conn: Connection) -> list[int]:
        return withdrawal.withdraw(
            conn,
            subject=recipient.subject,
            controller=here.controller,
            purposes=purposes,
            route=route,
            actor="subject",
            at=here.now(),
        )

    if await here.write(act):
        here.wake.hint(wake.CONSENT_WITHDRAWN)


async def _leave_page(request: Request, here: edge.Edge, recipient: Recipient, *, status: int = 200) -> Response:
    standings = await here.read(lambda conn: lookups.standings(conn, recipient.subject, here.controller))
    given = [standing.purpose for standing in standings if standing.given]
    # Measuring mails ends with the mails: it is no consent of its own to leave standing.
    others = [purpose for purpose in given if purpose not in {recipient.purpose, lookups.TRACKING}]
    return here.pages.answer(
        "unsubscribe",
        here.pages.language(request, recipient.language),
        status=status,
        switch=True,
        purpose=recipient.purpose,
        with_tracking=lookups.TRACKING in given and recipient.purpose != lookups.TRACKING,
        others=others,
        preferences_path=f"/p/{tokens.issue(here.workspace.keyring, 'preferences', _id_in(request))}",
    )


def _id_in(request: Request) -> str:
    """Give the public id of a token that was read before."""
    token: str = request.path_params["token"]
    return token[: -tokens.MAC_LENGTH]


async def _preferences_page(
    request: Request,
    here: edge.Edge,
    recipient: Recipient,
    *,
    status: int = 200,
    saved: bool = False,
    known: str | None = None,
) -> Response:
    standings: list[Standing] = await here.read(
        lambda conn: lookups.standings(conn, recipient.subject, here.controller)
    )
    return here.pages.answer(
        "preferences",
        here.pages.language(request, known or recipient.language),
        status=status,
        switch=True,
        standings=standings,
        any_given=any(standing.given for standing in standings),
        saved=saved,
    )
