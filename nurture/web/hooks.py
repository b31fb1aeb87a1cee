"""How do a provider's events come in? Raw bytes, signature checked, stored before the answer (I3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from nurture.store import marks
from nurture.tracking import intake, sendgrid_events
from nurture.web import bodies, edge

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
LONGEST_HEADER = 300
TALLY_EVERY = timedelta(minutes=1)


@dataclass
class Tally:
    """Forged posts that are counted and not stored yet: a flood of them must not become a flood of writes."""

    count: int = 0
    stored_at: datetime | None = None

    def due(self, at: datetime) -> int:
        """Count one more; give how many to store now, 0 when some were stored within a minute."""
        self.count += 1
        if self.stored_at is not None and at - self.stored_at < TALLY_EVERY:
            return 0
        due, self.count, self.stored_at = self.count, 0, at
        return due


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
        await _count_forged(request, here, at)
        raise HTTPException(403)
    keyring = here.workspace.keyring
    if await here.write(lambda conn: intake.store_raw(conn, keyring, source="sendgrid", body=body, at=at)):
        here.wake.hint()
    return PlainTextResponse("stored\n")


async def _count_forged(request: Request, here: edge.Edge, at: datetime) -> None:
    """Count a post that is not the provider's; `nurture delivery status` tells how many there were."""
    state = request.app.state
    if not hasattr(state, "forged"):
        state.forged = Tally()
    due = state.forged.due(at)
    if due:
        await here.write(lambda conn: marks.add_to(conn, marks.FORGED, due))
