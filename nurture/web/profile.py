"""How is one more thing asked, and answered or put aside? By a small form that nobody has to fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nurture.leads import profiling
from nurture.web import bodies, edge, withdrawing
from nurture.web.lookups import token_path

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from nurture.leads.profiling import Question

PURPOSE = "profile"
"""What the token of such a form is bound to."""


def offer(here: edge.Edge, conn: Connection, subject: str) -> Question | None:
    """Which question may stand on a page for this person now?"""
    return profiling.ask(conn, here.workspace.keyring, here.profiling, subject, at=here.now())


def shown(here: edge.Edge, question: Question | None, public_id: str) -> dict[str, Any]:
    """Give what a page needs to show the question (or none) of the person behind a public id."""
    path = token_path(here.workspace.keyring, "/q/", PURPOSE, public_id)
    return {"question": question, "question_path": path, "question_why": here.profiling.why}


async def answer(request: Request) -> Response:
    """Keep the answer or the "rather not". Says thanks either way, and asks nothing further on this visit."""
    here = edge.of(request)
    recipient = await withdrawing.recipient_of(request, PURPOSE)
    fields = await bodies.form(request)
    language = here.pages.language(request, fields.get("lang") or recipient.language)
    if recipient.subject is not None and fields.get("action") in {"save", "skip"}:
        subject, at = recipient.subject, here.now()
        given = fields if fields["action"] == "save" else {}
        asked = fields.get("question", "")
        await here.write(
            lambda conn: profiling.answer(
                conn, here.workspace.keyring, here.profiling, subject, question=asked, given=given, at=at
            )
        )
    public_id = withdrawing.id_in(request)
    back = token_path(here.workspace.keyring, "/p/", "preferences", public_id)
    return here.pages.notice(language, "told", link=(f"{back}?lang={language}", "told.back"))
