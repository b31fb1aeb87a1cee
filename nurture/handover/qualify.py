"""Who is ready for sales? Decides over a set of leads and writes the handover outbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, insert, or_, select

from consent.schema import consent_state
from consent.states import TRACKING, State
from consent.tokens import random_id
from nurture.failpoints import reach
from nurture.handover.policy import ANY, HandoverPolicy, Rule
from nurture.leads import stages
from nurture.store.tables import handover, lead, lead_score, signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

CHUNK = 1000
NURTURED = ("unconfirmed", "confirmed", "engaged", "mql", "recycled")
"""Stages from which a lead may be handed over: not yet with sales, not a customer, not disqualified."""


@dataclass(frozen=True)
class Facts:
    """What the decision rests on, for one lead."""

    lead_id: int
    temperature: str
    temperature_since: datetime | None
    signals: tuple[tuple[str, datetime], ...]
    """(kind, time), newest first."""
    epoch: int
    """How often this lead was handed over before."""
    answered_at: datetime | None
    """When sales settled the last handover; older evidence does not count again."""
    withdrew_at: datetime | None = None
    """When the last mail consent was withdrawn, where none is given any more."""
    requests: frozenset[str] = frozenset()
    """Kinds among the signals that ask for something: the strong ones."""


@dataclass(frozen=True)
class Qualified:
    """The rule that fits, and the reason as it will be shown."""

    rule: Rule
    reason: str


def decide(facts: Facts, policy: HandoverPolicy, at: datetime) -> Qualified | None:
    """Give the first rule whose every condition holds at `at`, or None: keep nurturing.

    Who withdrew every mail consent wants to be left alone: only a request made after that speaks for them.
    """
    for rule in policy.rules:
        when = rule.when
        wanted = [
            kind
            for kind, happened in facts.signals
            if (ANY in when.signal or kind in when.signal)
            and at - happened <= when.within
            and (facts.answered_at is None or happened > facts.answered_at)
            and (facts.withdrew_at is None or (happened > facts.withdrew_at and kind in facts.requests))
        ]
        if not wanted and (when.signal or facts.withdrew_at is not None):
            continue
        if when.temperature and not _is(when.temperature, facts):
            continue
        return Qualified(rule, f"signal:{wanted[0]}" if wanted else rule.name)
    return None


def _is(temperature: str, facts: Facts) -> bool:
    if facts.temperature != temperature:
        return False
    # A lead that sales gave back qualifies by temperature only after it cooled down and warmed up again.
    return facts.answered_at is None or (
        facts.temperature_since is not None and facts.temperature_since > facts.answered_at
    )


def facts_of(connection: Connection, lead_ids: Sequence[int]) -> list[Facts]:
    """Read the facts of those leads of a chunk that are still in marketing's care."""
    # What sales answered about a lead that was merged into another counts for that one.
    former = lead.alias("former")
    now = func.coalesce(former.c.merged_into, former.c.id)
    last = (
        select(
            now.label("lead_id"),
            func.max(handover.c.epoch).label("epoch"),
            func.max(handover.c.settled_at).label("answered"),
        )
        .join(former, former.c.id == handover.c.lead_id)
        .where(or_(handover.c.lead_id.in_(lead_ids), former.c.merged_into.in_(lead_ids)))
        .group_by(now)
        .subquery()
    )
    # Primary keys carry the lead and its score, ix_signal_lead_id the signals.
    rows = connection.execute(
        select(lead.c.id, lead_score.c.temperature, lead_score.c.temperature_since, last.c.epoch, last.c.answered)
        .outerjoin(lead_score, lead_score.c.lead_id == lead.c.id)
        .outerjoin(last, last.c.lead_id == lead.c.id)
        .where(
            lead.c.id.in_(lead_ids),
            lead.c.stage.in_(NURTURED),
            lead.c.owner == "marketing",
            lead.c.merged_into.is_(None),
        )
        .order_by(lead.c.id)
    ).all()
    signals: dict[int, list[tuple[str, datetime]]] = {}
    requests: dict[int, set[str]] = {}
    found = select(signal.c.lead_id, signal.c.kind, signal.c.at, signal.c.strength)
    found = found.where(signal.c.lead_id.in_(lead_ids)).order_by(signal.c.at.desc(), signal.c.id.desc())
    for lead_id, kind, happened, strength in connection.execute(found):
        signals.setdefault(lead_id, []).append((kind, happened))
        if strength == "strong":
            requests.setdefault(lead_id, set()).add(kind)
    withdrew = _withdrew(connection, lead_ids)
    return [
        Facts(
            row.id,
            row.temperature or "cold",
            row.temperature_since,
            tuple(signals.get(row.id, ())),
            row.epoch or 0,
            row.answered,
            withdrew.get(row.id),
            frozenset(requests.get(row.id, ())),
        )
        for row in rows
    ]


def _withdrew(connection: Connection, lead_ids: Sequence[int]) -> dict[int, datetime]:
    """Who withdrew, and holds no mail consent that is given? With the time of the last withdrawal."""
    given = func.count().filter(consent_state.c.state == State.GIVEN)
    ended = func.max(consent_state.c.since).filter(consent_state.c.state == State.WITHDRAWN)
    # The primary key of consent_state begins with the subject.
    found = connection.execute(
        select(lead.c.id, ended)
        .join(consent_state, consent_state.c.subject == lead.c.subject)
        .where(lead.c.id.in_(lead_ids), consent_state.c.purpose != TRACKING)
        .group_by(lead.c.id)
        .having(given == 0, ended.is_not(None))
    )
    return {row[0]: row[1] for row in found}


def qualify(
    connection: Connection, policy: HandoverPolicy, lead_ids: Iterable[int], *, zone: ZoneInfo, at: datetime
) -> tuple[int, ...]:
    """Hand over those of the leads that qualify at `at`; give the ids of the new handovers.

    The row is the outbox: what delivers it comes later and may fail and repeat. A second call
    changes nothing, because a lead that sales owns is no longer asked and (lead, epoch) is unique.
    """
    wanted = sorted(set(lead_ids))
    made: list[int] = []
    for start in range(0, len(wanted), CHUNK):
        chunk = facts_of(connection, wanted[start : start + CHUNK])
        qualified = [(facts, found) for facts in chunk if (found := decide(facts, policy, at))]
        if not qualified:
            continue
        rows = [
            {
                "public_id": random_id(),
                "lead_id": facts.lead_id,
                "epoch": facts.epoch + 1,
                "state": "created",
                "reason": found.reason,
                "policy_version": policy.version,
                "created_at": at,
                "deadline_at": policy.working_hours.deadline(at, found.rule.answer_within, zone),
                "attempts": 0,
                "next_attempt_at": at,
            }
            for facts, found in qualified
        ]
        made += connection.execute(insert(handover).returning(handover.c.id), rows).scalars().all()
        for reason in sorted({found.reason for _, found in qualified}):
            ids = [facts.lead_id for facts, found in qualified if found.reason == reason]
            stages.move(connection, dict.fromkeys(ids, "mql"), cause=reason, at=at)
            stages.move(connection, dict.fromkeys(ids, "handed_over"), cause=reason, at=at)
    if made:
        reach("handover.row_before_commit")
    return tuple(made)
