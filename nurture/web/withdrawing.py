"""How does somebody leave? A page with one button, or one-click from the mail program.

GET shows, POST acts: scanners follow every link in a mail (A4). No log-in, no question back, no
address typed; what is withdrawn is withdrawn when the answer leaves. Whoever was erased meanwhile
gets the same answer as everybody: there is nothing left to end, and the wish is fulfilled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request

from consent import tokens
from nurture.leads.rights import ending
from nurture.web import bodies, edge, lookups, wake
from nurture.web.listener import TEXT, answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from nurture.web.lookups import Recipient, Standing

ONE_CLICK = ("List-Unsubscribe", "One-Click")


async def show(request: Request) -> Response:
    """Show what the button would end, or that all has ended. Changes nothing."""
    here = edge.of(request)
    recipient = await recipient_of(request, "unsubscribe")
    return await _leave_page(request, here, recipient)


async def leave(scope: Scope, receive: Receive, send: Send) -> None:
    """Withdraw: for a mail program (RFC 8058, answered 200 in plain words) or for the page's button."""
    here, request = edge.within(scope), Request(scope, receive)
    public_id = _read(here, scope, "unsubscribe")
    fields = await bodies.form(request)
    if fields.get(ONE_CLICK[0]) != ONE_CLICK[1]:
        page = await _press(request, here, fields)
        await page(scope, receive, send)
        return
    # Whose link it is, and the end of their consent: one transaction, which other one-clicks may share.
    if await here.write(lambda conn: _end_topic(here, conn, public_id)):
        here.wake.hint(wake.CONSENT_WITHDRAWN)
    await answer(send, 200, TEXT, body=b"unsubscribed\n")


async def _press(request: Request, here: edge.Edge, fields: Mapping[str, str]) -> Response:
    """Do what the page's button says."""
    recipient = await recipient_of(request, "unsubscribe")
    if fields.get("action") != "leave":
        return await _leave_page(request, here, recipient, status=400)
    purposes = None if fields.get("everything") == "yes" else [recipient.purpose]
    await withdraw(here, recipient, purposes, "page")
    language = here.pages.language(request, fields.get("lang") or recipient.language)
    # Without a look at what goes on, it promises nothing beyond the topic.
    stays = await here.read_beside(lambda conn: _mails_given(here, conn, recipient), None)
    return here.pages.answer("left", language, stays=stays, preferences_path=_preferences_path(here, request))


async def recipient_of(request: Request, purpose: str) -> Recipient:
    """Give whose link this is; the same 404 for a forged and a foreign token."""
    here = edge.of(request)
    public_id = _read(here, request.scope, purpose)
    return await here.read(lambda conn: lookups.recipient(conn, public_id))


def _read(here: edge.Edge, scope: Scope, purpose: str) -> str:
    """Give the id in the token of this path; raises HTTPException 404."""
    public_id = lookups.read_token(here.workspace.keyring, purpose, scope["path_params"]["token"])
    if public_id is None:
        raise HTTPException(404)
    return public_id


async def withdraw(
    here: edge.Edge, recipient: Recipient, purposes: Sequence[str] | None, route: Literal["page", "one_click"]
) -> None:
    """End consents of a recipient, all of them with `purposes` None, and of the leads that were merged with them."""
    if await here.write(lambda conn: _end(here, conn, recipient, purposes, route)):
        here.wake.hint(wake.CONSENT_WITHDRAWN)


def _end_topic(here: edge.Edge, conn: Connection, public_id: str) -> list[int]:
    """End what the mail with this public id was about, as a mail program asks."""
    recipient = lookups.recipient(conn, public_id)
    return _end(here, conn, recipient, [recipient.purpose], "one_click")


def _end(
    here: edge.Edge,
    conn: Connection,
    recipient: Recipient,
    purposes: Sequence[str] | None,
    route: Literal["page", "one_click"],
) -> list[int]:
    if recipient.subject is None:
        return []
    return ending.withdraw(
        conn,
        subject=recipient.subject,
        controller=here.controller,
        purposes=purposes,
        route=route,
        actor="subject",
        at=here.now(),
    )


def _standings(here: edge.Edge, conn: Connection, recipient: Recipient) -> list[Standing]:
    return lookups.standings(conn, recipient.subject, here.controller, at=here.now())


def _mails_given(here: edge.Edge, conn: Connection, recipient: Recipient) -> list[str] | None:
    """Which purposes that bring mail does this person agree to now? Measuring brings none."""
    standings = _standings(here, conn, recipient)
    return [one.purpose for one in standings if one.given and one.purpose != lookups.TRACKING]


def _preferences_path(here: edge.Edge, request: Request) -> str:
    return lookups.token_path(here.workspace.keyring, "/p/", "preferences", id_in(request))


async def _leave_page(request: Request, here: edge.Edge, recipient: Recipient, *, status: int = 200) -> Response:
    standings = await here.read(lambda conn: _standings(here, conn, recipient))
    given = [standing.purpose for standing in standings if standing.given]
    # Measuring mails ends with the mails: it is no consent of its own to leave standing.
    others = [purpose for purpose in given if purpose not in {recipient.purpose, lookups.TRACKING}]
    word = next((standing for standing in standings if standing.purpose == recipient.purpose), None)
    # A mail about a purpose of which nothing is on record can be ended all the same: the button stays.
    ended = recipient.subject is None or (word is not None and not word.given)
    return here.pages.answer(
        "unsubscribe",
        here.pages.language(request, recipient.language),
        status=status,
        switch=True,
        purpose=recipient.purpose,
        ended=ended,
        since=word.since if ended and word else None,
        with_tracking=lookups.TRACKING in given and recipient.purpose != lookups.TRACKING,
        others=others,
        preferences_path=_preferences_path(here, request),
    )


def id_in(request: Request) -> str:
    """Give the public id of a token that was read before."""
    token: str = request.path_params["token"]
    return token[: tokens.ID_LENGTH]
