"""How do a provider's events come in? Raw bytes, signature checked, stored before the answer (I3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from nurture import failpoints
from nurture.tracking import receiving, sendgrid_events
from nurture.web import bodies, edge
from nurture.web.listener import TEXT, answer, headers_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
LONGEST_HEADER = 300


async def sendgrid(scope: Scope, receive: Receive, send: Send) -> None:
    """Take one signed batch of SendGrid's event webhook.

    Answers 200 once it is committed (also when it came before), with whatever withdrawals it holds; 403 for a wrong or
    stale signature, 413 above 1 MiB, 415 for any Content-Encoding, and 503 as long as no public key is configured: an
    open door would let anybody write history.
    """
    here = edge.within(scope)
    key = here.workspace.settings.sendgrid_webhook_key
    if not key:
        closed = b"closed: no public key of the signed event webhook is configured\n"
        await answer(send, 503, TEXT, body=closed)
        return
    body = await bodies.take(scope, receive, bodies.HOOK_CAP)
    headers = headers_of(scope)
    signature, timestamp = (headers.get(name.encode(), b"").decode("latin-1") for name in (SIGNATURE, TIMESTAMP))
    at = here.now()
    if len(signature) > LONGEST_HEADER or not sendgrid_events.verify(key, signature, timestamp, body, at=at):
        await here.arrivals.forged(at)
        raise HTTPException(403)
    await here.arrivals.post(receiving.Post.of(here.workspace.keyring, body, at=at))
    failpoints.reach("webhook.raw_after_commit")
    await answer(send, 200, TEXT, body=b"stored\n")
