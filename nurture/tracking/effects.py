"""What do events change beside the score? Delivery facts, consent, suppression, signals, the kill switch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from consent import opt_in, suppression
from nurture import failpoints
from nurture.leads.rights import ending
from nurture.store.inserting import chunks, insert_earliest, insert_new
from nurture.store.tables import delivery_fact, event, kill_switch, message, signal, switch_change
from nurture.tracking.vocabulary import FACTS, EventKind, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.store.workspace import Workspace
    from nurture.tracking.people import Item
    from nurture.tracking.signals import Signals

SOFT_BOUNCES = 3
SOFT_BOUNCE_SPAN = timedelta(days=30)
"""So many temporary refusals within the span, and the address counts as dead."""
HARMLESS = frozenset({"compliance_reactivate", "reactivate", "activated", "restored"})

SUPPRESSES = {EventKind.BOUNCED: "hard_bounce", EventKind.COMPLAINED: "complaint"}
DROP_SUPPRESSES = {
    "bounced_address": "hard_bounce",
    "invalid_address": "hard_bounce",
    "spam_reporting_address": "complaint",
    "unsubscribed_address": "unsubscribed",
}
"""Why the provider refused to send -> why we will not either: it knew something we did not."""
UNDELIVERED = frozenset({EventKind.BOUNCED, EventKind.DROPPED})
"""Ends of a mail that nobody will read."""
ENDS_ALL = frozenset({EventKind.COMPLAINED, EventKind.UNSUBSCRIBED})
DROP_ENDS_ALL = frozenset({"spam_reporting_address", "unsubscribed_address"})
PRESSING = ENDS_ALL | {EventKind.GROUP_UNSUBSCRIBED, EventKind.DROPPED, EventKind.ACCOUNT_CHANGED}
"""What may end a consent, or stop all sending: applied when it comes, not when the flow runs."""


def presses(kind: EventKind, attributes: Mapping[str, Any]) -> bool:
    """Must this event have its effect when it comes? A drop only where the provider knew of a person's no."""
    return kind in PRESSING and (kind is not EventKind.DROPPED or attributes.get("reason") in DROP_ENDS_ALL)


@dataclass
class Effects:
    """What was done."""

    suppressed: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    stopped: bool = False


def apply(
    conn: Connection, ws: Workspace, signals: Signals, items: Sequence[Item], ids: Mapping[str, int], *, at: datetime
) -> Effects:
    """Do what newly stored events ask for; `ids` holds the event id of each key. Harmless when repeated."""
    done = Effects()
    _keep_facts(conn, items, ids)
    _suppress(conn, items, done, at=at)
    failpoints.reach("webhook.apply_mid")
    _withdraw(conn, ws.settings.controller, items, done, at=at)
    _close_requests(conn, items, at=at)
    _keep_signals(conn, signals, items, ids)
    _stop(conn, items, done, at=at)
    return done


def _keep_facts(conn: Connection, items: Sequence[Item], ids: Mapping[str, int]) -> None:
    """Each fact of a message stands once, at its earliest time: order and repetition do not matter."""
    earliest: dict[tuple[int, str], dict[str, Any]] = {}
    for item in items:
        if item.mail is None or item.event.kind not in FACTS:
            continue
        place = (item.mail.id, item.event.kind.value)
        if place not in earliest or item.at < earliest[place]["at"]:
            earliest[place] = {"message_id": place[0], "fact": place[1], "at": item.at, "event_id": ids[item.key]}
    insert_earliest(conn, delivery_fact, [earliest[place] for place in sorted(earliest)], when=delivery_fact.c.at)


def _suppress(conn: Connection, items: Sequence[Item], done: Effects, *, at: datetime) -> None:
    reasons: dict[str, str] = {}
    for item in items:
        reason = SUPPRESSES.get(item.event.kind) or DROP_SUPPRESSES.get(item.attributes.get("reason", ""))
        if reason and item.subject:
            reasons[item.subject] = max(reasons.get(item.subject, reason), reason, key=suppression.gravity)
    soft = {item.subject for item in items if item.event.kind is EventKind.SOFT_BOUNCED and item.subject}
    for subject in _dead(conn, sorted(soft), at):
        reasons.setdefault(subject, "soft_bounces")
    for subject, reason in sorted(reasons.items()):
        if suppression.suppress_subject(conn, subject, reason, at=at):
            done.suppressed.add(subject)


def _dead(conn: Connection, subjects: Sequence[str], at: datetime) -> list[str]:
    """Which of these were refused for now too often?"""
    found: list[str] = []
    for part in chunks(subjects):
        often = (
            select(message.c.subject)
            .join(event, event.c.message_id == message.c.id)
            .where(
                message.c.subject.in_(part),
                event.c.kind == EventKind.SOFT_BOUNCED.value,
                event.c.at > at - SOFT_BOUNCE_SPAN,
            )
            .group_by(message.c.subject)
            .having(func.count() >= SOFT_BOUNCES)
        )
        found += conn.execute(often).scalars()
    return found


def _withdraw(conn: Connection, controller: str, items: Sequence[Item], done: Effects, *, at: datetime) -> None:
    """End consent where the provider says so. A resubscription there never gives any: no opt-in stands behind it."""
    ends: dict[str, set[str] | None] = {}
    for item in items:
        if not item.subject:
            continue
        if item.event.kind in ENDS_ALL or item.attributes.get("reason") in DROP_ENDS_ALL:
            ends[item.subject] = None
        elif item.event.kind is EventKind.GROUP_UNSUBSCRIBED:
            purpose = item.mail.purpose if item.mail else None
            held = ends.setdefault(item.subject, set())
            if purpose is None:
                ends[item.subject] = None
            elif held is not None:
                held.add(purpose)
    for subject, purposes in sorted(ends.items(), key=lambda each: each[0]):
        listed = None if purposes is None else sorted(purposes)
        if ending.withdraw(
            conn, subject=subject, controller=controller, purposes=listed, route="provider", actor="provider", at=at
        ):
            done.withdrawn.add(subject)


def _close_requests(conn: Connection, items: Sequence[Item], *, at: datetime) -> None:
    """Close sign-ups whose confirmation mail cannot arrive: nobody could press the button in it.

    After suppression, which needs the address: whom nothing else holds is erased here.
    """
    ids = {item.mail.request_id for item in items if item.mail is not None and item.event.kind in UNDELIVERED}
    lost = sorted(number for number in ids if number is not None)
    if lost:
        opt_in.bounce(conn, lost, at=at)


def _keep_signals(conn: Connection, signals: Signals, items: Sequence[Item], ids: Mapping[str, int]) -> None:
    rows = [
        {
            "lead_id": item.lead_id,
            "kind": item.event.kind.value,
            "strength": signals.signals[item.event.kind].strength,
            "at": item.at,
            "event_id": ids[item.key],
        }
        for item in items
        if item.event.kind in signals.signals and item.lead_id is not None and item.verdict is Verdict.HUMAN
    ]
    insert_new(conn, signal, rows)


def _stop(conn: Connection, items: Sequence[Item], done: Effects, *, at: datetime) -> None:
    """Stop all sending when the provider restricts our account; only a person resumes."""
    for item in items:
        told = item.attributes.get("type", "")
        if item.event.kind is EventKind.ACCOUNT_CHANGED and told not in HARMLESS:
            said = {"scope": "all", "actor": "provider", "reason": f"the provider changed our account: {told}"[:200]}
            if insert_new(conn, kill_switch, [{**said, "stopped_at": at}]):
                conn.execute(insert(switch_change).values(**said, change="stop", at=at))
            done.stopped = True
