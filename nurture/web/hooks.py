"""How do a provider's events come in? Raw bytes, signature checked, stored before the answer (I3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from nurture.tracking import intake, sendgrid_events
from nurture.web import bodies, edge

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
LONGEST_HEADER = 300


async def sendgrid(request: Request) -> Response:
    """Take one signed batch of SendGrid's event webhook.

    Answers 200 once it is committed (also when it came before), 403 for a wrong or stale signature,
    413 above 1 MiB, 415 for any Content-Encoding, and 503 as long as no public key is configured:
    an open door would let anybody write history.
    """
    here = edge.of(request)
    key = here.workspace.settings.sendgrid_webhook_key
    if not key:
        return PlainTextResponse("closed: no public key of the signed event webhook is configured\n", 503)
    body = await bodies.read(request, bodies.HOOK_CAP)
    signature, timestamp = request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")
    at = here.now()
    if len(signature) > LONGEST_HEADER or not sendgrid_events.verify(key, signature, timestamp, body, at=at):
        raise HTTPException(403)
    keyring = here.workspace.keyring
    if await here.write(lambda conn: intake.store_raw(conn, keyring, source="sendgrid", body=body, at=at)):
        here.wake.hint()
    return PlainTextResponse("stored\n")
