"""How does somebody choose what to get, how often, and whether to be measured? On one page, by buttons.

Off works at once. On is asked for like a sign-up: with the current wording, by one mail to the address
we have, confirmed there. So whoever holds a forwarded mail can end things, but agree to nothing.
How often and pauses only ever narrow what is planned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consent import identity, opt_in, rights
from consent.addresses import Address
from nurture.leads import preferences as choices
from nurture.leads.rights import requests
from nurture.leads.rights.group import group_of
from nurture.web import bodies, edge, evidence, lookups, profile, sign_up, withdrawing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from nurture.leads.preferences import Choice
    from nurture.leads.profiling import Question
    from nurture.web.lookups import Recipient, Standing
    from nurture.web.sign_up import Offer

PACES: Mapping[str, int | None] = {"planned": None, "weekly": 1, "rarely": choices.RARELY}
"""Value of the form and of the column."""
SOURCE = "web.preferences"


async def show(request: Request) -> Response:
    """Show what is on and what is off. Changes nothing."""
    here = edge.of(request)
    recipient = await withdrawing.recipient_of(request, "preferences")
    return await _page(request, here, recipient)


async def change(request: Request) -> Response:
    """Do what one button says: switch off, ask to switch on, choose how often, pause, resume."""
    here = edge.of(request)
    recipient = await withdrawing.recipient_of(request, "preferences")
    fields = await bodies.form(request)
    known = fields.get("lang")
    if recipient.subject is None or await here.read(lambda conn: _erasing(conn, recipient)) is not None:
        return await _page(request, here, recipient, known=known)
    if "on" in fields:
        return await _switch_on(request, here, recipient, fields)
    if "off" in fields:
        done = await _switch_off(here, recipient, fields["off"])
    else:
        done = await _choose(here, recipient.subject, fields)
    return await _page(request, here, recipient, status=200 if done else 400, saved=done, known=known)


async def _switch_off(here: edge.Edge, recipient: Recipient, wanted: str) -> bool:
    """End one purpose, or all with `*`; False for one the person never had."""
    at = here.now()
    standings = await here.read(lambda conn: lookups.standings(conn, recipient.subject, here.controller, at=at))
    if wanted != "*" and wanted not in {standing.purpose for standing in standings}:
        return False
    await withdrawing.withdraw(here, recipient, None if wanted == "*" else [wanted], "page")
    return True


async def _choose(here: edge.Edge, subject: str, fields: Mapping[str, str]) -> bool:
    """Keep how often, a pause, or its end; False for what the page does not offer."""
    at = here.now()
    change = _chosen(fields)
    if change is None:
        return False
    await here.write(lambda conn: change(conn, subject, at=at))
    return True


def _chosen(fields: Mapping[str, str]) -> Callable[..., object] | None:
    if fields.get("pace") in PACES:
        wanted = PACES[fields["pace"]]
        return lambda conn, subject, *, at: choices.slow_down(conn, subject, wanted, at=at)
    if fields.get("pause") in {str(days) for days in choices.PAUSES}:
        days = int(fields["pause"])
        return lambda conn, subject, *, at: choices.pause(conn, subject, days, at=at)
    return choices.resume if fields.get("pause") == "end" else None


async def _switch_on(request: Request, here: edge.Edge, recipient: Recipient, fields: Mapping[str, str]) -> Response:
    """Ask for a double opt-in with the wording that stood beside the button; nothing is on before it is confirmed.

    The answer is that of a sign-up, whether or not a mail follows (the same caps hold).
    """
    language = here.pages.language(request, fields.get("lang") or recipient.language)
    offers = await here.read(lambda conn: _offers(here, conn, recipient, language))
    offer = next((one for one in offers if one.purpose == fields["on"]), None)
    if offer is None or fields.get("wording") != offer.sha256:
        return await _page(request, here, recipient, status=400 if offer is None else 409, known=language)
    proof = evidence.of(request, here.workspace.settings, here.trusted, page="/p/{token}", form="preferences")
    proof |= {"box_default": "button", "boxes": offer.purpose}
    at, keyring = here.now(), here.workspace.keyring
    caller = evidence.client_ip(request, here.trusted)
    network = evidence.network_of(caller) if caller else None

    def ask(conn: Connection) -> None:
        person = identity.reveal(conn, keyring, [recipient.subject or ""]).get(recipient.subject or "")
        if person is None:
            return
        opt_in.request(
            conn,
            keyring,
            address=Address.of(person.address),
            purposes=[offer.purpose],
            controller=here.controller,
            language=language,
            source=SOURCE,
            evidence=proof,
            at=at,
            network=network,
            public=True,
        )

    await here.write(ask)
    return here.pages.answer("check_mail", language)


def _offers(here: edge.Edge, conn: Connection, recipient: Recipient, language: str) -> list[Offer]:
    """What may this person ask to switch on? What has a wording and is off, or needs to be renewed.

    Measuring only beside mails.
    Nothing while their data is restricted or on its way to be erased.
    """
    if rights.restricted(conn, [recipient.subject or ""]):
        return []
    standings = lookups.standings(conn, recipient.subject, here.controller, at=here.now())
    given = {one.purpose for one in standings if one.given}
    stands = given - {one.purpose for one in standings if one.renewable}
    found = [offer for offer in sign_up.offered(here, conn, language) if offer.purpose not in stands]
    return [offer for offer in found if offer.purpose != lookups.TRACKING or given]


def _erasing(conn: Connection, recipient: Recipient) -> datetime | None:
    """Since when is this person on the way to be erased? All has ended then, and there is nothing left to choose."""
    subject = recipient.subject
    return None if subject is None else requests.erasing_since(conn, group_of(conn, subject).subjects)


async def _page(
    request: Request,
    here: edge.Edge,
    recipient: Recipient,
    *,
    status: int = 200,
    saved: bool = False,
    known: str | None = None,
) -> Response:
    language = here.pages.language(request, known or recipient.language)
    at = here.now()

    def read(conn: Connection) -> tuple[list[Standing], list[Offer], Choice, Question | None]:
        subject = recipient.subject
        if subject is None:
            return [], [], choices.NONE, None
        standings = lookups.standings(conn, subject, here.controller, at=at)
        choice = choices.of(conn, [subject]).get(subject, choices.NONE)
        return standings, _offers(here, conn, recipient, language), choice, profile.offer(here, conn, subject)

    erasing = await here.read(lambda conn: _erasing(conn, recipient))
    standings, offers, choice, question = await here.read(read)
    mails = any(one.given and not one.rests and one.purpose != lookups.TRACKING for one in standings)
    public_id = withdrawing.id_in(request)
    keyring = here.workspace.keyring
    return here.pages.answer(
        "preferences",
        language,
        status=status,
        switch=True,
        erasing=erasing,
        standings=standings,
        offers={offer.purpose: offer for offer in offers},
        renewing={one.purpose for one in standings if one.renewable},
        any_given=any(standing.given for standing in standings),
        mails=mails,
        pace=next((name for name, value in PACES.items() if value == choice.per_week), "planned"),
        paces=list(PACES),
        pauses=choices.PAUSES,
        paused_until=choice.paused_until if choice.pauses(at) else None,
        saved=saved,
        here=request.url.path,
        data_path=None if recipient.subject is None else lookups.token_path(keyring, "/d/", "data", public_id),
        # A question is worth asking only of somebody who gets mail.
        **profile.shown(here, question if mails and not saved else None, public_id),
    )
