"""Whose fault is it that mails were rejected: their own, or that of the account which handed them over?

A relay that denies everybody rejects each recipient by itself, a request of which nothing is right is refused mail by
mail. Taken at its word, one such hour ends a whole queue for good.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from nurture.delivery import circuit
from nurture.delivery.circuit import CircuitState, alike
from nurture.delivery.provider import Accepted, Outcome, Refused, Rejected, Unknown, was_asked
from nurture.delivery.states import Kind
from nurture.store.tables import delivery_attempt, send_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.delivery.claiming import Claim

SEVERAL = 3
"""So many messages must agree; two bad addresses may meet in one batch."""
OF_TEN = 9
"""So many of ten that were asked must agree: one of them may have a fault of its own beside."""


def shared_code(outcomes: Sequence[Outcome], *, suspected: str = "") -> str | None:
    """Give the code with which all were rejected alike, if that is the account's trouble; None when it is theirs.

    The rule: several messages (3) were rejected by the provider with one code, they are at least nine of ten of those
    it was asked about, and none was or may have been taken. Where the circuit is open for just that (`suspected` is
    its reason), one is enough. What we found at fault ourselves was never asked about.
    """
    asked = [one for one in outcomes if was_asked(one)]
    codes = Counter(one.code for one in asked if isinstance(one, Rejected))
    if not codes or any(isinstance(one, Accepted | Unknown) for one in asked):
        return None
    code, count = codes.most_common(1)[0]
    enough = count >= SEVERAL or alike(code) == suspected
    return code if enough and 10 * count >= OF_TEN * len(asked) else None


def hold(conn: Connection, claim: Claim, outcomes: Sequence[Outcome], *, at: datetime) -> Sequence[Outcome]:
    """Make of a rejection that is the account's trouble a refusal: the circuit opens, and the mails may go again.

    Unless the provider took another batch that began after it last refused this one so: then the account is well,
    and the fault is in these mails. So a batch of bad addresses alone costs one wait and not a day of them.
    Confirmations stay rejected: strangers ask for them, who must not be able to stop the mail of others.
    """
    if claim.kind is not Kind.MARKETING or not any(isinstance(one, Rejected) for one in outcomes):
        return outcomes
    seen = circuit.look(conn, claim.provider, at)
    suspected = "" if seen.state is CircuitState.CLOSED else seen.reason
    code = shared_code(outcomes, suspected=suspected)
    if code is None or _is_well(conn, claim, alike(code)):
        return outcomes
    held = Refused(alike(code), opens_circuit=True)
    return [held if isinstance(one, Rejected) and one.code == code else one for one in outcomes]


def _is_well(conn: Connection, claim: Claim, reason: str) -> bool:
    """Did the provider take another batch since it last refused this one for that reason?"""
    own = (delivery_attempt.c.batch_id == claim.batch_id, delivery_attempt.c.outcome == "refused")
    last = select(func.max(delivery_attempt.c.answered_at)).where(*own, delivery_attempt.c.detail == reason)
    refused_at = conn.execute(last).scalar()
    if refused_at is None:
        return False
    taken = (
        select(delivery_attempt.c.batch_id)
        .join(send_batch, send_batch.c.id == delivery_attempt.c.batch_id)
        .where(
            # The second follows from the first, and is what ix_delivery_attempt_answered serves.
            delivery_attempt.c.started_at > refused_at,
            delivery_attempt.c.answered_at > refused_at,
            delivery_attempt.c.outcome == "accepted",
            send_batch.c.provider == claim.provider,
        )
        .limit(1)
    )
    return conn.execute(taken).first() is not None
