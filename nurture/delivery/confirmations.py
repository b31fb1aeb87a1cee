"""Whom must we ask to confirm? Open requests without a mail, or whose mail may have been lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select

from consent import opt_in
from consent.schema import identity, opt_in_request
from nurture.delivery.content.library import MailKey
from nurture.delivery.facts import PROVEN
from nurture.delivery.queue import environment, insert_batches, remember_mails
from nurture.delivery.states import Kind, State
from nurture.store.tables import delivery_attempt, message, message_exception, send_batch

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

    from nurture.delivery.content.library import Library, Mail
    from nurture.store.workspace import Workspace

DOUBT = (State.IN_DOUBT, State.UNKNOWN)
MOST = 3
AGAIN_AFTER = timedelta(minutes=15)
"""Longer than an acceptance may come late; a second identical mail is harmless, a missing one loses the lead."""


@dataclass(frozen=True)
class Wanted:
    """A confirmation mail to queue: the `occurrence`-th for its request."""

    request_id: int
    subject: str
    language: str
    expires_at: datetime
    occurrence: int


def queue_confirmations(conn: Connection, ws: Workspace, library: Library, *, at: datetime, limit: int) -> int:
    """Queue the confirmation mails that are due, at most `limit`; give how many.

    At least once: a mail whose fate nobody knows is followed by another after 15 minutes, at most 3 in
    all, with the same token, and none after the request has expired. One mail per batch, so that one
    doubt concerns one person.
    """
    due = opt_in.due(conn, at=at, limit=limit)
    opt_in.mark_queued(conn, [item.request_id for item in due], at=at)
    wanted = [Wanted(item.request_id, item.subject, item.language, item.expires_at, 1) for item in due]
    wanted += _again(conn, at=at, limit=limit - len(wanted))
    mails = {language: _mail(library, language, ws.settings.language) for language in {one.language for one in wanted}}
    versions = remember_mails(conn, mails.values(), at=at)
    here = environment(conn)
    for one in wanted:
        mail = mails[one.language]
        batch = {
            "kind": Kind.CONFIRMATION,
            "provider": ws.settings.provider,
            "environment": here,
            "not_before": at,
            "not_after": one.expires_at,
        }
        row = {
            "subject": one.subject,
            "request_id": one.request_id,
            "step": "confirm",
            "occurrence": one.occurrence,
            "class": "confirmation",
            "language": mail.key.rpartition("/")[2],
            "template_version_id": versions[mail.key, mail.sha256],
            "tracked": False,
        }
        insert_batches(conn, batch, [row], batch_limit=1, at=at)
    return len(wanted)


def _mail(library: Library, language: str, fallback: str) -> Mail:
    wanted = MailKey("opt_in", "confirm", "neutral", language)
    return library.mail(wanted if library.has(wanted) else MailKey("opt_in", "confirm", "neutral", fallback))


def _again(conn: Connection, *, at: datetime, limit: int) -> list[Wanted]:
    """Which open requests may have lost every mail so far?"""
    if limit <= 0:
        return []
    by_request: dict[int, list[Row[Any]]] = {}
    for row in conn.execute(_mails_of_doubtful_requests(at)):
        by_request.setdefault(row.request_id, []).append(row)
    wanted = []
    for request_id, mails in sorted(by_request.items()):
        last = mails[-1]
        # One that is planned, under way, accepted or refused for good speaks against another; so does an event that
        # came meanwhile, although doubts are looked into but once a night.
        lost = all(mail.state in DOUBT and mail.own is None and not mail.proven for mail in mails)
        if lost and len(mails) < MOST and last.started_at is not None and last.started_at <= at - AGAIN_AFTER:
            wanted.append(Wanted(request_id, last.subject, last.language, last.expires_at, last.occurrence + 1))
    return wanted[:limit]


def _mails_of_doubtful_requests(at: datetime) -> Select[Any]:
    """All mails of open requests of which one is in doubt (ix_send_batch_doubtful, ix_message_batch)."""
    doubtful = (
        select(message.c.request_id)
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .where(send_batch.c.state.in_(DOUBT), send_batch.c.kind == Kind.CONFIRMATION)
    )
    attempt = and_(delivery_attempt.c.batch_id == send_batch.c.id, delivery_attempt.c.n == send_batch.c.attempt)
    source = (
        message.join(send_batch, send_batch.c.id == message.c.batch_id)
        .join(opt_in_request, opt_in_request.c.id == message.c.request_id)
        .join(identity, identity.c.subject == opt_in_request.c.subject)
        .outerjoin(delivery_attempt, attempt)
        .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
    )
    return (
        select(
            message.c.request_id,
            message.c.subject,
            message.c.occurrence,
            opt_in_request.c.language,
            opt_in_request.c.expires_at,
            send_batch.c.state,
            delivery_attempt.c.started_at,
            message_exception.c.state.label("own"),
            PROVEN.label("proven"),
        )
        .select_from(source)
        .where(
            message.c.request_id.in_(doubtful),
            opt_in_request.c.state == "requested",
            opt_in_request.c.expires_at > at,
            identity.c.restricted_at.is_(None),
        )
        .order_by(message.c.request_id, message.c.occurrence)
        # Two workers would give the same person's next mail the same number.
        .with_for_update(of=opt_in_request, skip_locked=True)
    )
