"""How does somebody ask for our e-mail? By a form, or by the company's own form through the JSON API.

Whatever is known of an address, the answer is the same: body, status, headers, and its time rests
on a floor (A9). What an answer may depend on is only what was typed. The commit comes before the
answer, so whoever reads "check your mail" has a row; mail is sent by a flow.

The API (POST /api/opt-in, application/json, for servers, no CORS) takes
    {"address": "...", "purposes": ["newsletter.product"], "language": "de",
     "page_url": "https://...", "form": "footer", "wording": {"newsletter.product": "<sha256>"}}
where only address and purposes are mandatory, and answers 202 {"status": "accepted"}, or 400, 409
(the wording shown is not the current one), 413, 415, 422 with {"error": "<field>"}.
GET /api/opt-in?lang=de gives the current wording with its SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from consent import opt_in, texts
from consent.addresses import Address
from consent.states import EMAIL
from nurture.leads import hygiene
from nurture.web import bodies, edge, evidence, stamp
from nurture.web.lookups import MAIN, TRACKING
from nurture.web.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

FORM = "subscribe"
SOURCES = frozenset({"newsletter", "lead_magnet", "contest", "survey", "registration", "fair"})
"""What may stand in ?source= of a link to the form; anything else is the newsletter."""


@dataclass(frozen=True)
class Offer:
    """One consent somebody may give, with the wording that stands beside its box."""

    purpose: str
    body: str
    version: int
    sha256: str


@dataclass(frozen=True)
class Wish:
    """A sign-up that may be recorded."""

    address: str
    """Delivery form."""
    purposes: tuple[str, ...]
    language: str
    source: str
    evidence: Mapping[str, str]
    form: str = ""
    """The page as it was shown, for sign-ups by our own form."""


# --- the form --------------------------------------------------------------------------------


async def show(request: Request) -> Response:
    """Show the empty form: no box is ticked."""
    here = edge.of(request)
    language = here.pages.language(request)
    source = request.query_params.get("source", "")
    fields = {"source": source if source in SOURCES else "newsletter"}
    return _page(here, language, await here.read(lambda conn: offered(here, conn, language)), fields, {})


async def submit(request: Request) -> Response:
    """Take the form; show it again with what is missing, else "check your mail"."""
    edge.refuse_foreign_pages(request)
    here = edge.of(request)
    started, at = time.monotonic(), here.now()
    fields = await bodies.form(request)
    language = here.pages.language(request, fields.get("lang"))
    offers = await here.read(lambda conn: offered(here, conn, language))
    if not offers:
        return _page(here, language, offers, fields, {})
    address, problems = read_address(here, language, fields)
    problems |= _declaration_problems(here, language, fields, offers)
    if not problems:
        problems = stamp_problems(here, language, FORM, fields, at=at)
    if problems:
        return _page(here, language, offers, fields, problems)
    if not fields.get("website"):  # people cannot see this field; what fills it is no person
        source = fields.get("source", "")
        wish = Wish(
            address,
            tuple(offer.purpose for offer in offers if _ticked(fields, offer.purpose)),
            language,
            f"web.{source if source in SOURCES else 'newsletter'}",
            _form_evidence(here, request, offers),
            form=_as_shown(here, language, offers),
        )
        await _record(here, request, wish, at=at)
    await _rest(here, started)
    return here.pages.answer("check_mail", language)


def read_address(here: edge.Edge, language: str, fields: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Give the delivery form of the address field and what is wrong with it, by field, in words."""
    words = here.pages.words[language]
    typed = fields.get("address", "")
    try:
        address = hygiene.check(typed)
    except hygiene.BadAddress:
        return "", {"address": words("error.address")}
    suggestion = hygiene.facts(address).typo_of
    if suggestion and fields.get("sure") != address:
        return address, {"address": words("error.typo", suggestion=suggestion)}
    return address, {}


def stamp_problems(
    here: edge.Edge, language: str, form: str, fields: Mapping[str, str], *, at: datetime
) -> dict[str, str]:
    """Ask for the form once more when it was filled in faster than a person can, or is a day old.

    Never dropped in silence: a person with a password manager may be that fast.
    """
    served = stamp.served(here.workspace.keyring, form, fields.get("stamp", ""), at=at)
    if served is not None and (at - served).total_seconds() >= here.minimum_fill:
        return {}
    return {"form": here.pages.words[language]("error.again")}


def _declaration_problems(
    here: edge.Edge, language: str, fields: Mapping[str, str], offers: Sequence[Offer]
) -> dict[str, str]:
    words = here.pages.words[language]
    if fields.get("wording") != _digest(offers):
        return {"form": words("error.wording")}
    return {} if _ticked(fields, MAIN) else {MAIN: words("error.purpose")}


def _ticked(fields: Mapping[str, str], purpose: str) -> bool:
    return fields.get(f"box:{purpose}") == "yes"


def _page(
    here: edge.Edge, language: str, offers: Sequence[Offer], fields: Mapping[str, str], problems: Mapping[str, str]
) -> Response:
    if not offers:
        return here.pages.answer("subscribe_closed", language, status=503, switch=True)
    at = here.now()
    old = fields.get("stamp", "")
    # An honest stamp is kept: the second try is then slow enough.
    keep = stamp.served(here.workspace.keyring, FORM, old, at=at) is not None
    return here.pages.answer(
        "subscribe",
        language,
        status=422 if problems else 200,
        switch=not problems,
        offers=offers,
        required=MAIN,
        wording=_digest(offers),
        stamp=old if keep else stamp.issue(here.workspace.keyring, FORM, at=at),
        address=fields.get("address", "")[: hygiene.LONGEST],
        sure=sure(fields),
        source=fields.get("source", "newsletter"),
        # A reader who met an error keeps the boxes that reader ticked; nothing else is ever ticked.
        ticked={offer.purpose for offer in offers if _ticked(fields, offer.purpose)},
        problems=problems,
    )


def _as_shown(here: edge.Edge, language: str, offers: Sequence[Offer]) -> str:
    """Give the form as everybody gets it, empty, with its boxes in their default state (R14)."""
    blank: dict[str, Any] = {"wording": _digest(offers), "stamp": "", "address": "", "sure": "", "source": "newsletter"}
    shown = here.pages.answer(
        "subscribe", language, switch=True, offers=offers, required=MAIN, ticked=set(), problems={}, **blank
    )
    return bytes(shown.body).decode()


def sure(fields: Mapping[str, str]) -> str:
    """Give the address that the reader, sending the form a second time, insists on."""
    try:
        return hygiene.check(fields.get("address", ""))
    except hygiene.BadAddress:
        return ""


def _form_evidence(here: edge.Edge, request: Request, offers: Sequence[Offer]) -> dict[str, str]:
    gathered = evidence.of(request, here.workspace.settings, here.trusted, page="/subscribe", form=FORM)
    return gathered | {"box_default": "unticked", "boxes": " ".join(offer.purpose for offer in offers)}


# --- the API ---------------------------------------------------------------------------------


async def wording(request: Request) -> Response:
    """Give the wording that a form must show beside its boxes."""
    here = edge.of(request)
    language = here.pages.language(request)
    offers = await here.read(lambda conn: offered(here, conn, language))
    told = [
        {"purpose": offer.purpose, "version": offer.version, "body": offer.body, "sha256": offer.sha256}
        for offer in offers
    ]
    return JSONResponse({"language": language, "texts": told})


async def take(request: Request) -> Response:
    """Take a sign-up from one of the company's own forms; the caps and the answer are the form's."""
    here = edge.of(request)
    started, at = time.monotonic(), here.now()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A form on a stranger's page can post text, but not this type.
        return JSONResponse({"error": "content-type"}, 415)
    try:
        asked = json.loads(await bodies.read(request, bodies.FORM_CAP))
    except (ValueError, RecursionError):
        return JSONResponse({"error": "json"}, 400)
    read = _read_wish(here, request, asked)
    if isinstance(read, str):
        return JSONResponse({"error": read}, 422)
    offers = await here.read(lambda conn: offered(here, conn, read.language))
    current = {offer.purpose: offer.sha256 for offer in offers}
    if not set(read.purposes) <= set(current):
        return JSONResponse({"error": "purposes"}, 422)
    shown = asked.get("wording", {})
    if any(shown.get(purpose, current[purpose]) != current[purpose] for purpose in read.purposes):
        return JSONResponse({"error": "wording"}, 409)
    await _record(here, request, read, at=at)
    await _rest(here, started)
    return JSONResponse({"status": "accepted"}, 202)


def _read_wish(here: edge.Edge, request: Request, asked: object) -> Wish | str:
    """Give the wish in a JSON body, or the name of the field that is wrong."""
    if not isinstance(asked, dict):
        return "json"
    purposes, language = asked.get("purposes"), asked.get("language", here.workspace.settings.language)
    try:
        address = hygiene.check(_text(asked, "address", hygiene.LONGEST))
    except hygiene.BadAddress:
        return "address"
    sound = {
        "purposes": isinstance(purposes, list) and MAIN in purposes and all(isinstance(one, str) for one in purposes),
        "language": language in LANGUAGES,
        "box_default": asked.get("box_default", "unticked") == "unticked",  # a ticked box proves nothing (C-61/19)
        "wording": isinstance(asked.get("wording", {}), dict),
    }
    wrong = [name for name, fine in sound.items() if not fine]
    if wrong:
        return wrong[0]
    gathered = _api_evidence(here, request, asked)
    return Wish(address, tuple(dict.fromkeys(purposes or ())), str(language), "api.opt-in", gathered)


def _api_evidence(here: edge.Edge, request: Request, asked: Mapping[str, object]) -> dict[str, str]:
    """Gather what the caller states. Its own address and agent are not the person's and named so (A14)."""
    own = evidence.of(request, here.workspace.settings, here.trusted, page="/api/opt-in", form="api")
    gathered = {f"caller_{name}": own[name] for name in ("ip", "user_agent") if name in own}
    for name in ("page_url", "form", "box_default"):
        stated = _text(asked, name, 300)
        if stated:
            gathered[name] = stated
    return gathered | {"endpoint": own["page_url"], "wording_stated": "yes" if asked.get("wording") else "no"}


def _text(asked: Mapping[str, object], name: str, longest: int) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        return ""
    # One character too many stays visible to whoever checks the length.
    return evidence.printable(value, longest + 1) if name != "address" else value[: longest + 1]


# --- both ------------------------------------------------------------------------------------


async def _record(here: edge.Edge, request: Request, wish: Wish, *, at: datetime) -> None:
    """Commit the request, unless it is beyond the caps; nobody outside can tell which."""
    caller = evidence.client_ip(request, here.trusted)
    network = evidence.network_of(caller) if caller else None

    def record(conn: Connection) -> None:
        told = dict(wish.evidence)
        if wish.form:
            about = {"controller": here.controller, "form": FORM, "language": wish.language}
            form = texts.publish_form(conn, body=wish.form, at=at, **about)
            told |= {"form_version": str(form.version), "form_sha256": form.sha256}
        opt_in.request(
            conn,
            here.workspace.keyring,
            address=Address.of(wish.address),
            purposes=wish.purposes,
            controller=here.controller,
            language=wish.language,
            source=wish.source,
            evidence=told,
            at=at,
            network=network,
            public=True,
        )

    await here.write(record)


async def _rest(here: edge.Edge, started: float) -> None:
    """Answer not before the floor: a known address costs other work than a new one."""
    await asyncio.sleep(max(0.0, started + here.answer_floor - time.monotonic()))


def offered(here: edge.Edge, conn: Connection, language: str) -> list[Offer]:
    """Give the current wordings, the main one first; none at all when that one is not published."""
    ours = (here.controller, language, EMAIL)
    rows = [row for row in texts.overview(conn) if (row["controller"], row["language"], row["channel"]) == ours]
    offers = []
    for purpose in {str(row["purpose"]) for row in rows}:
        text = texts.current(conn, controller=here.controller, purpose=purpose, language=language)
        offers.append(Offer(purpose, text.body, text.version, text.sha256))
    # The main purpose stands first; measuring, which is no mail, last.
    ordered = sorted(offers, key=lambda offer: (offer.purpose == TRACKING, offer.purpose != MAIN, offer.purpose))
    return ordered if ordered and ordered[0].purpose == MAIN else []


def _digest(offers: Sequence[Offer]) -> str:
    return hashlib.sha256(" ".join(offer.sha256 for offer in offers).encode()).hexdigest()[:16]
