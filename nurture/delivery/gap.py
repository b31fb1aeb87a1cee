"""What may have been sent between a backup and now? All of it becomes doubtful, as if its workers had died.

A restored queue is the classic way to send everything twice: it holds as planned what was sent long ago.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import insert, literal, or_, select, update

from nurture.delivery import brakes, frequency
from nurture.delivery.brakes import Brake
from nurture.delivery.claiming import OPEN, size_of
from nurture.delivery.queue import environment
from nurture.delivery.states import Kind, State
from nurture.store import marks
from nurture.store.inserting import chunks
from nurture.store.tables import delivery_attempt, message, message_exception, send_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.delivery.composing import Letter
    from nurture.store.workspace import Workspace

CHUNK = 500
WHY = "restored"
NO_REQUEST = ""
"""The fingerprint of a request that we do not know: it was made, if at all, by a database that is gone."""


def announce(conn: Connection, since: datetime, at: datetime) -> None:
    """Stop all mail before anything else: the database is that of `since` (UTC)."""
    reason = f"the database is that of {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC and does not know what was sent since"
    brakes.pull(conn, Brake.RESTORED, reason, at)
    marks.set_mark(conn, brakes.GAP_MARKED, "")


def mark(conn: Connection, ws: Workspace, *, since: datetime, at: datetime) -> int:
    """Put into doubt every open batch that could have been handed over between `since` and `at`; give the messages.

    They go the way of a batch whose worker died after the intent, so that everything that is known about doubts
    holds: marketing is never sent again by itself, events resolve, a day makes unknown. Marketing mails take the
    slot of their reader that they would have held. Safe to repeat.
    """
    due = (
        OPEN,
        send_batch.c.environment == environment(conn),
        # What was planned for the lost time only now may have had another place in its span (`spread`).
        or_(send_batch.c.not_before <= at, send_batch.c.planned_at >= since),
        send_batch.c.not_after > since,
    )
    found = conn.execute(select(send_batch.c.id).where(*due).order_by(send_batch.c.id)).scalars().all()
    count = 0
    for part in chunks(found, CHUNK):
        count += size_of(conn, part)
        _take_slots(conn, ws, part, at)
        _put_in_doubt(conn, part, at)
    marks.set_mark(conn, brakes.GAP_MARKED, at.astimezone(UTC).isoformat())
    return count


def _put_in_doubt(conn: Connection, ids: Sequence[int], at: datetime) -> None:
    """Step by step, as the guards of the database want it."""
    mine = send_batch.c.id.in_(ids)
    planned = (mine, send_batch.c.state == State.PLANNED)
    conn.execute(update(send_batch).where(*planned).values(state=State.CLAIMED, attempt=send_batch.c.attempt + 1))
    claimed = (mine, send_batch.c.state == State.CLAIMED)
    attempts = select(
        send_batch.c.id, send_batch.c.attempt, literal(at, delivery_attempt.c.started_at.type), literal(NO_REQUEST)
    ).where(*claimed)
    conn.execute(insert(delivery_attempt).from_select(["batch_id", "n", "started_at", "request_sha256"], attempts))
    conn.execute(update(send_batch).where(*claimed).values(state=State.SUBMITTING))
    open_attempts = (delivery_attempt.c.batch_id.in_(ids), delivery_attempt.c.outcome.is_(None))
    conn.execute(update(delivery_attempt).where(*open_attempts).values(outcome="unknown", detail=WHY))
    conn.execute(
        update(send_batch)
        .where(mine, send_batch.c.state == State.SUBMITTING)
        .values(state=State.IN_DOUBT, error=WHY, lease_owner=None, lease_until=None)
    )


def _take_slots(conn: Connection, ws: Workspace, ids: Sequence[int], at: datetime) -> None:
    """Count what may have been sent into its readers' cap."""
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
    letters: Sequence[Any] = conn.execute(
        select(message.c.id.label("message_id"), message.c.lead_id).where(
            message.c.batch_id.in_(ids), message.c.kind == Kind.MARKETING, ~own
        )
    ).all()
    cap = frequency.load(ws.settings.policies).marketing
    for part in chunks(letters):
        window = cap.window(at, ws.settings.tz)
        # Of a letter this reads whose it is and which; that is all there is.
        frequency.take_slots(conn, cast("Sequence[Letter]", part), window, cap.most)
