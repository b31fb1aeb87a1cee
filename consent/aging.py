"""Which consents grow old unused? Counted from the last authorised send; opening a mail uses nothing.

After 12 months without a send a consent stands on a list of warnings; after 24 the gate calls it stale.
A stale consent is renewed by a new double opt-in that the person asks for, never by a mail to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from consent.rules import STALE_MONTHS, months_after
from consent.schema import consent_state
from consent.states import EMAIL, TRACKING, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

WARN_MONTHS = 12
"""Unused for this long, a consent is named, while a send would still be allowed."""


@dataclass(frozen=True)
class Aging:
    """One consent that nobody used for long."""

    subject: str
    purpose: str
    last_use: datetime
    """Of the last authorised send, else when it was given (UTC)."""
    stale_from: datetime
    """From when on the gate refuses."""
    stale: bool
    """Is that so already?"""


def aging(conn: Connection, *, controller: str, at: datetime) -> Iterator[Aging]:
    """Give the consents to mail that are unused for 12 months or more at `at`, the oldest first.

    Measuring opens is no mail and does not age. Reads the whole projection: for reports, not for sends.
    """
    used = func.coalesce(consent_state.c.used_at, consent_state.c.since)
    query = select(
        consent_state.c.subject, consent_state.c.purpose, consent_state.c.since, consent_state.c.used_at
    ).where(
        consent_state.c.controller == controller,
        consent_state.c.channel == EMAIL,
        consent_state.c.purpose != TRACKING,
        consent_state.c.state == State.GIVEN,
        consent_state.c.since <= at,
    )
    for row in conn.execute(query.order_by(used, consent_state.c.subject, consent_state.c.purpose)):
        last = max(row.since, row.used_at or row.since)
        if at >= months_after(last, WARN_MONTHS):
            ends = months_after(last, STALE_MONTHS)
            yield Aging(row.subject, row.purpose, last, ends, stale=at >= ends)
