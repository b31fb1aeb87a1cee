"""Where does each consent stand now? The projection of the ledger that the gate reads.

One row per (subject, controller, channel, purpose), always the last word. It can be rebuilt from the
ledger; it is written in the same transaction as the entry that made it so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from consent.entries import EMAIL, EVERYTHING, NEWSLETTER, TRACKING
from consent.schema import consent_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

__all__ = [
    "ACTIVE",
    "BY_OTHERS",
    "CONSENT",
    "DPV",
    "EMAIL",
    "EVERYTHING",
    "NEWSLETTER",
    "TRACKING",
    "DpvState",
    "Standing",
    "State",
    "dpv_state",
    "put",
    "standings",
]

CONSENT = "consent"
"""What permits as a rule; the one exception has its own file, `basis`."""
CHUNK = 1000


class State(StrEnum):
    """What the last word on a consent can be."""

    GIVEN = "given"
    """Confirmed by double opt-in, or imported with proof."""
    WITHDRAWN = "withdrawn"
    """Ended by the person or for them."""
    STALE = "stale"
    """Set aside as unused for too long."""
    ERASED = "erased"
    """The person was erased."""


ACTIVE = (State.GIVEN, State.STALE)
"""States that a withdrawal ends."""


class DpvState(StrEnum):
    """The consent states of the W3C Data Privacy Vocabulary, for exports (ISO/IEC TS 27560 records)."""

    GIVEN = "ConsentGiven"
    """Valid for processing."""
    RENEWED = "RenewedConsentGiven"
    """Valid for processing; it was given before, too."""
    REQUESTED = "ConsentRequested"
    """Asked for, not answered."""
    DEFERRED = "ConsentRequestDeferred"
    """Asked for, and left without an answer."""
    REFUSED = "ConsentRefused"
    """Answered with no."""
    WITHDRAWN = "ConsentWithdrawn"
    """Ended by the person."""
    REVOKED = "ConsentRevoked"
    """Ended by somebody else."""
    EXPIRED = "ConsentExpired"
    """Unused for too long."""
    INVALIDATED = "ConsentInvalidated"
    """The ground it stood on is gone: the person was erased, or a later word voided the request."""
    UNKNOWN = "ConsentUnknown"
    """Nothing is known."""


DPV: Mapping[str, DpvState] = {
    "given": DpvState.GIVEN,
    "withdrawn": DpvState.WITHDRAWN,
    "stale": DpvState.EXPIRED,
    "erased": DpvState.INVALIDATED,
    "merged": DpvState.INVALIDATED,
    "requested": DpvState.REQUESTED,
    "confirmed": DpvState.GIVEN,
    "lapsed": DpvState.DEFERRED,
    "bounced": DpvState.DEFERRED,
    "declined": DpvState.REFUSED,
    "void": DpvState.INVALIDATED,
}
"""Our word for a consent or for a request -> theirs."""
BY_OTHERS = frozenset({"merge"})
"""Routes of a withdrawal that is not the person's own act: a complaint told by the provider is."""


def dpv_state(state: str, *, renewed: bool = False, unused: bool = False, route: str = "") -> DpvState:
    """Name a state of a consent or of a request in the Data Privacy Vocabulary.

    `renewed`: an earlier consent to the same purpose stands in the ledger. `unused`: the gate would call it
    stale now, though no row says so yet. `route`: of the withdrawal that made it so.
    """
    found = DPV.get(str(state), DpvState.UNKNOWN)
    if found is DpvState.GIVEN and unused:
        return DpvState.EXPIRED
    if found is DpvState.GIVEN and renewed:
        return DpvState.RENEWED
    if found is DpvState.WITHDRAWN and route in BY_OTHERS:
        return DpvState.REVOKED
    return found


@dataclass(frozen=True)
class Standing:
    """The last word on one consent. Times are UTC."""

    subject: str
    controller: str
    channel: str
    purpose: str
    state: State
    seq: int
    """Ledger entry that made it so."""
    text_id: int | None
    """Wording agreed to; None for an imported consent."""
    since: datetime
    used_at: datetime | None
    """Last authorised send."""
    basis: str = CONSENT
    """What permits: "consent", or "existing_customer"."""


def standings(conn: Connection, subject: str, *, controller: str | None = None) -> list[Standing]:
    """Give every consent of one subject, ever; for one controller if asked."""
    query = select(consent_state).where(consent_state.c.subject == subject)
    if controller is not None:
        query = query.where(consent_state.c.controller == controller)
    rows = conn.execute(query.order_by(consent_state.c.controller, consent_state.c.channel, consent_state.c.purpose))
    return [Standing(**{**row, "state": State(row["state"])}) for row in rows.mappings()]


def put(conn: Connection, rows: Sequence[Standing]) -> None:
    """Make these the last word; used_at starts anew, an older wording is replaced."""
    insert = postgresql.insert(consent_state) if conn.dialect.name == "postgresql" else sqlite.insert(consent_state)
    changed = {name: insert.excluded[name] for name in ("state", "basis", "seq", "text_id", "since", "used_at")}
    statement = insert.on_conflict_do_update(
        index_elements=["subject", "controller", "channel", "purpose"],
        set_=changed,
    )
    for start in range(0, len(rows), CHUNK):
        conn.execute(statement, [_values(row) for row in rows[start : start + CHUNK]])


def _values(row: Standing) -> dict[str, Any]:
    """Give the columns of a row."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__} | {"state": str(row.state)}
