"""How does somebody ask for a demo, an offer or prices? By a form; it is stored raw as an event.

No sign-up: the data serves this one answer. What follows from it (signal, handover) is decided by
the flows that read the event. Beside the address the form asks one thing, the first of
policies/profiling.yaml: whoever opens it is a stranger, and to look up what is known of an address
would tell it to anybody who types one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from consent.addresses import Address
from nurture.leads import profiling
from nurture.tracking import intake
from nurture.web import bodies, edge, evidence, sign_up, stamp
from nurture.web.brake import Room

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

FORMS = ("demo_request", "offer_request", "price_request", "whitepaper")
FIELDS: Mapping[str, int] = {
    "first_name": 80,
    "last_name": 80,
    "company": 120,
    "job_title": 120,
    "phone": 40,
    "product_interest": 40,
    "message": 2_000,
}
"""Optional fields that are taken, also from a form of the company's own, and their longest length."""


BUSY: Mapping[Room, int] = {Room.OWN_FULL: 429, Room.ALL_FULL: 503}
"""Status of an answer that asks to come back later."""
STRANGER = profiling.Profile({})


async def show(request: Request) -> Response:
    """Show the empty form."""
    here = edge.of(request)
    return _page(here, _form(request), here.pages.language(request), {}, {})


async def submit(request: Request) -> Response:
    """Take the form: stored when the answer leaves, or shown again with what is missing or keeps us from it."""
    edge.refuse_foreign_pages(request)
    here = edge.of(request)
    form, at = _form(request), here.now()
    fields = await bodies.form(request)
    language = here.pages.language(request, fields.get("lang"))
    address, problems = sign_up.read_address(here, language, fields)
    if len(fields.get("message", "")) > FIELDS["message"]:
        problems |= {"message": here.pages.words[language]("error.message")}
    if not problems:
        problems = sign_up.stamp_problems(here, language, form, fields, at=at)
    if problems:
        return _page(here, form, language, fields, problems)
    if not fields.get("website"):  # people cannot see this field; what fills it is no person
        room = _room(here, request, address, at=at)
        if room is not Room.FREE:
            problems = {"later": here.pages.words[language]("error.later")}
            return _page(here, form, language, fields, problems, status=BUSY[room])
        told = {"form": form, "address": address, "fields": _told(fields), "language": language, "at": at.isoformat()}
        body = json.dumps(told, sort_keys=True, ensure_ascii=False).encode()
        keyring = here.workspace.keyring
        if await here.write(lambda conn: intake.store_raw(conn, keyring, source="form", body=body, at=at)):
            here.wake.hint()
    return here.pages.notice(language, "received")


def _room(here: edge.Edge, request: Request, address: str, *, at: datetime) -> Room:
    caller = evidence.client_ip(request, here.trusted)
    inbox = here.workspace.keyring.abuse_index(Address.of(address).abuse)
    return here.brake.room(inbox, evidence.network_of(caller) if caller else None, at=at)


def _form(request: Request) -> str:
    form: str = request.path_params["form"]
    if form not in FORMS:
        raise HTTPException(404)
    return form


def _told(fields: Mapping[str, str]) -> dict[str, str]:
    """Give what was filled in, without control characters; line breaks of the message become spaces."""
    told = {}
    for name, longest in FIELDS.items():
        text = evidence.printable(" ".join(fields.get(name, "").split()), longest)
        if text:
            told[name] = text
    return told


def _page(
    here: edge.Edge,
    form: str,
    language: str,
    fields: Mapping[str, str],
    problems: Mapping[str, str],
    *,
    status: int = 422,
) -> Response:
    """Show the form; with problems, what was typed stays in it and `status` says whose fault they are."""
    at = here.now()
    old = fields.get("stamp", "")
    keep = stamp.served(here.workspace.keyring, form, old, at=at) is not None
    return here.pages.answer(
        "request",
        language,
        status=status if problems else 200,
        switch=not problems,
        form=form,
        fields={name: fields.get(name, "")[:longest] for name, longest in {"address": 254, **FIELDS}.items()},
        limits=FIELDS,
        question=profiling.upcoming(here.profiling, STRANGER, at=at),
        sure=sign_up.sure(fields),
        stamp=old if keep else stamp.issue(here.workspace.keyring, form, at=at),
        problems=problems,
    )
