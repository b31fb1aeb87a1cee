"""Whom must we ask to confirm? Open requests without a mail, or whose mail may have been lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, not_, or_, select

from consent.schema import opt_in_request
from nurture.delivery.content.library import MailKey
from nurture.delivery.queue import environment, insert_batches, remember_mails
from nurture.delivery.states import Kind, State
from nurture.store.tables import delivery_attempt, message, message_exception, send_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from nurture.delivery.content.library import Library
    from nurture.store.workspace import Workspace

MOST = 3
AGAIN_AFTER = timedelta(minutes=15)
"""Longer than an acceptance may come late; a second identical mail is harmless, a missing one loses the lead."""


def queue_confirmations(conn: Connection, ws: Workspace, library: Library, *, at: datetime, limit: int) -> int:
    """Queue the confirmation mails that are due, at most `limit`; give how many.

    At least once: a mail whose fate nobody knows is followed by another after 15 minutes, at most 3 in
    all, with the same token, and none after the request has expired. One mail per batch, so that one
    doubt concerns one person.
    """
    rows = _due(conn, at=at, limit=limit)
    here = environment(conn)
    mails = {language: _mail(library, language, ws.settings.language) for language in {row.language for row in rows}}
    versions = remember_mails(conn, mails.values(), at=at)
    for row in rows:
        mail = mails[row.language]
        batch = {
            "kind": Kind.CONFIRMATION,
            "provider": ws.settings.provider,
            "environment": here,
            "not_before": at,
            "not_after": row.expires_at,
        }
        insert_batches(conn, batch, [_message(row, mail.key, versions[mail.key, mail.sha256])], batch_limit=1, at=at)
    return len(rows)


def _mail(library: Library, language: str, fallback: str) -> Any:  # noqa: ANN401  the library's Mail
    wanted = MailKey("opt_in", "confirm", "neutral", language)
    return library.mail(wanted if library.has(wanted) else MailKey("opt_in", "confirm", "neutral", fallback))


def _message(row: Row[Any], key: str, version: int) -> dict[str, Any]:
    return {
        "subject": row.subject,
        "request_id": row.id,
        "step": "confirm",
        "occurrence": row.sent + 1,
        "class": "confirmation",
        "language": key.rpartition("/")[2],
        "template_version_id": version,
        "tracked": False,
    }


def _due(conn: Connection, *, at: datetime, limit: int) -> Sequence[Row[Any]]:
    """Which open requests need a (further) mail, oldest first? Served by ix_opt_in_request_open and the unique key."""
    of_request = message.c.request_id == opt_in_request.c.id
    sent = select(func.count()).where(of_request).select_from(message).scalar_subquery()
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
    lost = and_(
        send_batch.c.state.in_([State.IN_DOUBT, State.UNKNOWN]),
        delivery_attempt.c.started_at <= at - AGAIN_AFTER,
        not_(own),
    )
    tried = message.join(send_batch, send_batch.c.id == message.c.batch_id).outerjoin(
        delivery_attempt,
        and_(delivery_attempt.c.batch_id == send_batch.c.id, delivery_attempt.c.n == send_batch.c.attempt),
    )
    # Every mail so far is lost: one that is planned, under way, accepted or refused for good needs no other.
    settled = select(message.c.id).select_from(tried).where(of_request, not_(func.coalesce(lost, False))).exists()
    query = (
        select(
            opt_in_request.c.id,
            opt_in_request.c.subject,
            opt_in_request.c.language,
            opt_in_request.c.expires_at,
            sent.label("sent"),
        )
        .where(
            opt_in_request.c.state == "requested",
            opt_in_request.c.channel == "email",
            opt_in_request.c.expires_at > at,
            or_(sent == 0, and_(sent < MOST, not_(settled))),
        )
        .order_by(opt_in_request.c.id)
        .limit(limit)
    )
    return conn.execute(query).all()
