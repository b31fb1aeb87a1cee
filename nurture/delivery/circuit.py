"""Does it make sense to ask the provider now? State in the database, so that all workers know it.

Every ambiguous answer may cost a mail for ever, so the circuit opens early: at once for a wrong
key, sandbox or redirect, or for marketing mails that were all rejected alike (`blame`), else after 5 unknown answers in
a row or 10 among the last 20. A probe then goes out now and then; its success closes the circuit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from nurture.delivery.provider import Accepted, Outcome, Refused, Rejected, Unknown, was_asked
from nurture.delivery.queue import insert_missing
from nurture.delivery.states import Kind
from nurture.store.tables import circuit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

IN_A_ROW = 5
REMEMBERED = 20
OF_THE_LAST = 10
PROBE_AFTER = {Kind.CONFIRMATION: timedelta(minutes=1), Kind.MARKETING: timedelta(minutes=15)}
"""How long after opening each kind may try. A lost confirmation is repeated, a lost marketing mail is not."""
PROBE_LOST_AFTER = timedelta(minutes=10)
_LOOK = select(circuit).where(circuit.c.provider == bindparam("of"))
_LOCK = _LOOK.with_for_update()
_LEARN = update(circuit).where(circuit.c.provider == bindparam("of"))

LONGEST_REASON = 64
ALIKE = "all rejected: "


def alike(code: str) -> str:
    """Give the reason of a circuit that is open because mails were rejected alike."""
    return f"{ALIKE}{code}"[:LONGEST_REASON]


class CircuitState(StrEnum):
    """How a provider fares."""

    CLOSED = "closed"
    """All goes well."""
    OPEN = "open"
    """Nothing is sent but a probe when its time has come."""
    HALF_OPEN = "half_open"
    """A probe is on its way."""


@dataclass(frozen=True)
class Circuit:
    """The state of one provider, since when and why.

    `since` is the moment it opened, or marketing's probe last failed; `probed_at` that of the last probe of any kind.
    """

    provider: str
    state: CircuitState
    since: datetime
    reason: str
    recent: str
    probed_at: datetime

    def passes(self, kind: str) -> bool:
        """Does a batch of this kind go as if the circuit were closed?

        So do confirmations where it is open for mails rejected alike: who signs up with a bad address shall not make
        others wait, and one that is taken tells that the account is well.
        """
        alone = kind == Kind.CONFIRMATION and self.reason.startswith(ALIKE)
        return self.state is CircuitState.CLOSED or alone

    def admits(self, kind: str, at: datetime) -> bool:
        """May a batch of this kind go to the provider at this moment?"""
        begins = self.begins(kind)
        return begins is None or at >= begins

    def begins(self, kind: str) -> datetime | None:
        """From which moment (UTC) on may a batch of this kind go? None where nothing holds it up."""
        if self.passes(kind):
            return None
        if self.state is CircuitState.HALF_OPEN:
            return self.probed_at + PROBE_LOST_AFTER
        # A confirmation's failed probe must not push marketing's away: they come more often.
        begun = self.since if kind == Kind.MARKETING else self.probed_at
        return begun + PROBE_AFTER[Kind(kind)]


def _read(row: Row[Any]) -> Circuit:
    return Circuit(row.provider, CircuitState(row.state), row.since, row.reason, row.recent, row.probed_at)


def look(conn: Connection, provider: str, at: datetime) -> Circuit:
    """Give the state of a provider; one never asked is closed."""
    row = conn.execute(_LOOK, {"of": provider}).first()
    return _read(row) if row is not None else Circuit(provider, CircuitState.CLOSED, at, "", "", at)


def enter(conn: Connection, provider: str, kind: str, at: datetime) -> bool:
    """May this batch go now? The first one after the wait becomes the probe; compare-and-set lets one through."""
    seen = look(conn, provider, at)
    if seen.passes(kind):
        return True
    if not seen.admits(kind, at):
        return False
    unchanged = (circuit.c.provider == provider, circuit.c.state == seen.state, circuit.c.probed_at == seen.probed_at)
    changed = conn.execute(update(circuit).where(*unchanged).values(state=CircuitState.HALF_OPEN, probed_at=at))
    return changed.rowcount == 1


def give_back(conn: Connection, provider: str, kind: str, at: datetime) -> None:
    """Take back the probe of this kind's batch, for nobody was asked; the next one need not wait anew."""
    seen = look(conn, provider, at)
    if seen.state is CircuitState.HALF_OPEN and not seen.passes(kind):
        where = (circuit.c.provider == provider, circuit.c.state == CircuitState.HALF_OPEN)
        conn.execute(update(circuit).where(*where).values(state=CircuitState.OPEN, probed_at=circuit.c.since))


def record(conn: Connection, provider: str, kind: str, outcomes: Sequence[Outcome], at: datetime) -> CircuitState:
    """Learn from the answers to one batch of a kind, in their order; give the state after them.

    Messages that shared a request share its answer, which counts once; what nobody was asked about tells nothing.
    """
    row = conn.execute(_LOCK, {"of": provider}).first()
    if row is None:
        new = asdict(Circuit(provider, CircuitState.CLOSED, at, "", "", at))
        insert_missing(conn, circuit, [new], ("provider",))
        row = conn.execute(_LOCK, {"of": provider}).one()
    known = seen = _read(row)
    answers = list({id(one): one for one in outcomes if was_asked(one)}.values())
    if not answers:
        give_back(conn, provider, kind, at)
    elif any(isinstance(one, Accepted) for one in answers):
        # A bad address among good ones says nothing of the provider.
        answers = [one for one in answers if not isinstance(one, Rejected)]
    elif all(isinstance(one, Rejected) for one in answers):
        answers = answers[:1]
    if seen.state is CircuitState.HALF_OPEN:
        # The probe was taken if any of it was; a bad address before that one says nothing of the provider.
        answers.sort(key=lambda one: not isinstance(one, Accepted))
    for outcome in answers:
        seen = _after(seen, kind, outcome, at)
    if seen != known:
        values = {**asdict(seen), "reason": seen.reason[:LONGEST_REASON]}
        del values["provider"]
        conn.execute(_LEARN, {"of": provider, **values})
    return seen.state


def _after(seen: Circuit, kind: str, outcome: Outcome, at: datetime) -> Circuit:
    """Give what one answer makes of a circuit."""
    was_open = seen.state is not CircuitState.CLOSED
    is_probe = seen.state is CircuitState.HALF_OPEN and not seen.passes(kind)
    recent = (seen.recent + ("?" if isinstance(outcome, Unknown) else "."))[-REMEMBERED:]
    if isinstance(outcome, Accepted) and was_open and (is_probe or seen.passes(kind)):
        # Only the probe's success counts: what was under way when the circuit opened says nothing new.
        return Circuit(seen.provider, CircuitState.CLOSED, at, "", ".", at)
    too_many = recent.endswith("?" * IN_A_ROW) or recent.count("?") >= OF_THE_LAST
    match outcome:
        case Refused(code, opens_circuit=True):
            reason = code
        case Unknown(code) if too_many or is_probe:
            reason = code
        case _ if is_probe:
            reason = seen.reason
        case _:
            return replace(seen, recent=recent)
    # Each failed probe starts the wait anew; a confirmation's only that of its kind.
    since = seen.since if was_open and kind == Kind.CONFIRMATION else at
    return Circuit(seen.provider, CircuitState.OPEN, since, reason, recent, at)


def close(conn: Connection, provider: str, at: datetime) -> bool:
    """Close by hand, after a person has mended the cause; False when it was not open."""
    values = {"state": CircuitState.CLOSED, "since": at, "reason": "", "recent": "", "probed_at": at}
    where = (circuit.c.provider == provider, circuit.c.state != CircuitState.CLOSED)
    return conn.execute(update(circuit).where(*where).values(**values)).rowcount == 1
