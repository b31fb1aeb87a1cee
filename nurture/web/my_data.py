"""How does somebody see what is kept about them, ask for a copy, or have it erased?

A link in a mail travels with the mail: whoever gets it forwarded holds it too. So this page names kinds
of data, never a value of them; a copy is asked for here and sent by people to the address on file; only
what takes away (withdrawing, erasing) works from here at once. See docs/decisions/0016.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, exists, select

from consent import identity
from consent.schema import rights_request
from nurture.leads import profiling
from nurture.leads.rights import RightsError, request_erasure, requests
from nurture.leads.rights.requests import Kind
from nurture.store.tables import event, lead, lead_score, message
from nurture.web import bodies, edge, lookups, wake, withdrawing

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from nurture.web.lookups import Recipient

PURPOSE = "data"
"""What the token of this page is bound to."""
DETAILS = ("first_name", "last_name", "salutation", "company", "job_title", "phone", "product_interest", "message")
"""Kinds of details that the page can name."""


@dataclass(frozen=True)
class Kept:
    """What kinds of data there are about somebody, and what they asked for already. No value of any."""

    details: tuple[str, ...]
    consents: bool
    mails: bool
    events: bool
    score: bool
    skipped: bool
    """A question was put aside."""
    asked: dict[str, tuple[datetime, datetime]]
    """Open requests by kind: when it came, and until when it must be answered (UTC)."""


async def show(request: Request) -> Response:
    """Show what is kept, in kinds. Changes nothing."""
    here = edge.of(request)
    recipient = await withdrawing.recipient_of(request, PURPOSE)
    return await _page(request, here, recipient)


async def ask(request: Request) -> Response:
    """Take down a request for a copy or for erasure; erasure asks once whether it is meant."""
    here = edge.of(request)
    recipient = await withdrawing.recipient_of(request, PURPOSE)
    fields = await bodies.form(request)
    language = here.pages.language(request, fields.get("lang") or recipient.language)
    action = fields.get("action", "")
    if recipient.subject is None:
        return await _page(request, here, recipient, known=language)
    subject, at, workspace = recipient.subject, here.now(), here.workspace
    if action == "copy":
        zone = workspace.settings.tz
        await here.write(
            lambda conn: requests.take_down(conn, subject, Kind.ACCESS, route="page", actor="subject", zone=zone, at=at)
        )
        return await _page(request, here, recipient, done="copy", known=language)
    if action == "erase" and fields.get("sure") == "yes":
        # Every consent ends and nothing is done with the data from this commit on; a flow runs the erasing.
        with suppress(RightsError):  # erased since the page was opened: what was asked for is done
            await here.write(
                lambda conn: request_erasure(conn, workspace, subject, route="page", actor="subject", at=at)
            )
        here.wake.hint(wake.CONSENT_WITHDRAWN)
        return here.pages.notice(language, "erasing")
    if action == "erase":
        return here.pages.answer("erase", language, here=request.url.path)
    return await _page(request, here, recipient, status=400, known=language)


def kept(conn: Connection, here: edge.Edge, subject: str) -> Kept:
    """Tell what kinds of data there are about a person."""
    person = identity.reveal(conn, here.workspace.keyring, [subject]).get(subject)
    details = {} if person is None else person.details

    def there(*condition: object) -> bool:
        return bool(conn.execute(select(exists().where(*condition))).scalar())  # type: ignore[arg-type]

    mine = lead.c.subject == subject
    return Kept(
        details=tuple(name for name in DETAILS if details.get(name)),
        consents=bool(lookups.standings(conn, subject, here.controller, at=here.now())),
        mails=there(message.c.subject == subject),
        events=there(event.c.lead_id == lead.c.id, mine),
        score=there(lead_score.c.lead_id == lead.c.id, mine),
        skipped=any(name.startswith(profiling.SKIPPED) for name in details),
        asked=_asked(conn, subject),
    )


def _asked(conn: Connection, subject: str) -> dict[str, tuple[datetime, datetime]]:
    """Give the requests that wait for their answer (index on the subject)."""
    table = rights_request.c
    waiting = and_(table.subject == subject, table.settled_at.is_(None), table.hold_until.is_(None))
    rows = conn.execute(select(table.kind, table.received_at, table.due_at).where(waiting))
    return {row.kind: (row.received_at, row.due_at) for row in rows}


async def _page(
    request: Request,
    here: edge.Edge,
    recipient: Recipient,
    *,
    status: int = 200,
    done: str = "",
    known: str | None = None,
) -> Response:
    subject = recipient.subject
    found = None if subject is None else await here.read(lambda conn: kept(conn, here, subject))
    keyring, public_id = here.workspace.keyring, withdrawing.id_in(request)
    return here.pages.answer(
        "my_data",
        here.pages.language(request, known or recipient.language),
        status=status,
        switch=True,
        kept=found,
        done=done,
        here=request.url.path,
        mail=here.workspace.settings.sender_address,
        preferences_path=lookups.token_path(keyring, "/p/", "preferences", public_id),
    )
