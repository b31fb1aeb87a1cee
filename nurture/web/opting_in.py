"""How is a sign-up confirmed or refused? By pressing a button on a page; opening a link does nothing (A1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from consent import opt_in
from nurture.failpoints import reach
from nurture.leads import register
from nurture.web import bodies, edge, evidence, profile, wake
from nurture.web.lookups import LONGEST_TOKEN, token_path

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    # What pressing the button may come to.
    Answer = opt_in.Confirmed | opt_in.AlreadyConfirmed | opt_in.Lapsed | opt_in.Unknown


async def show(request: Request) -> Response:
    """Show the wording and one button. Changes nothing."""
    here = edge.of(request)
    token, at = _token(request), here.now()
    view = await here.read(lambda conn: opt_in.look_up(conn, token, at=at))
    if view is None:
        raise HTTPException(404)
    language = here.pages.language(request, view.language)
    if view.state is opt_in.RequestState.CONFIRMED:
        return here.pages.notice(language, "already")
    if view.state is not opt_in.RequestState.REQUESTED:
        return _lapsed(here, language)
    return here.pages.answer(
        "confirm",
        language,
        switch=False,  # the wording is that of the request, in its language
        token=token,
        texts=view.texts,
        expires_at=view.expires_at,
    )


async def confirm(request: Request) -> Response:
    """Confirm: consent entry and lead in one transaction; a second press says "already" (A7)."""
    here = edge.of(request)
    token, at = _token(request), here.now()
    fields = await bodies.form(request)
    proof = evidence.of(request, here.workspace.settings, here.trusted, page="/confirm/{token}", form="confirm")
    answer = await here.write(lambda conn: _confirm(here, conn, token, proof, at=at))
    if isinstance(answer, opt_in.Unknown):
        raise HTTPException(404)
    known = answer.language if isinstance(answer, opt_in.Confirmed) else fields.get("lang")
    language = here.pages.language(request, known)
    if isinstance(answer, opt_in.Lapsed):
        return _lapsed(here, language)
    if isinstance(answer, opt_in.AlreadyConfirmed):
        return here.pages.notice(language, "already")
    here.wake.hint(wake.CONSENT_CONFIRMED)
    return await _welcome(here, language, answer.subject)


async def _welcome(here: edge.Edge, language: str, subject: str) -> Response:
    """Say thanks; one question may follow, which nobody has to answer."""
    question = await here.read_beside(lambda conn: profile.offer(here, conn, subject), None)
    return here.pages.answer(
        "confirmed",
        language,
        preferences_path=token_path(here.workspace.keyring, "/p/", "preferences", subject),
        **profile.shown(here, question, subject),
    )


async def decline(request: Request) -> Response:
    """Delete the sign-up that somebody else made."""
    here = edge.of(request)
    token, at = _token(request), here.now()
    fields = await bodies.form(request)
    answer = await here.write(lambda conn: opt_in.decline(conn, token, at=at))
    if isinstance(answer, opt_in.Unknown):
        raise HTTPException(404)
    language = here.pages.language(request, fields.get("lang"))
    if isinstance(answer, opt_in.AlreadyConfirmed):
        return here.pages.notice(language, "already")
    return _lapsed(here, language) if isinstance(answer, opt_in.Lapsed) else here.pages.notice(language, "declined")


def _confirm(here: edge.Edge, conn: Connection, token: str, proof: dict[str, str], *, at: datetime) -> Answer:
    keyring = here.workspace.keyring
    answer = opt_in.confirm(conn, keyring, token, evidence=proof, at=at)
    if isinstance(answer, opt_in.Confirmed):
        source = "api" if answer.source.startswith("api") else "form"
        lead = register.NewLead(answer.subject, answer.language, source, source_detail=answer.source)
        register.register(conn, [lead], at=at, keyring=keyring)
    reach("doi.confirm_before_commit")
    return answer


def _token(request: Request) -> str:
    token: str = request.path_params["token"]
    if len(token) > LONGEST_TOKEN:
        raise HTTPException(404)
    return token


def _lapsed(here: edge.Edge, language: str) -> Response:
    return here.pages.notice(
        language, "lapsed", status=410, mark="wrong", link=(f"/subscribe?lang={language}", "lapsed.again")
    )
