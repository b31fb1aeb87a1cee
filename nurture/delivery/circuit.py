"""Does it make sense to ask the provider now? State in the database, so that all workers know it.

Every ambiguous answer may cost a mail for ever, so the circuit opens early: at once for a wrong
key, sandbox or redirect, or for mails that were all rejected alike (`blame`), else after 5 unknown answers in a row or
10 among the last 20, or 5 batches in a row of which every mail was rejected. A probe then goes out now and then; its
success closes the circuit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update

from nurture.delivery.provider import NOT_TRIED, OWN_FAULT, Accepted, Outcome, Refused, Rejected, Unknown
from nurture.delivery.queue import insert_missing
from nurture.delivery.states import Kind
from nurture.store.tables import circuit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

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
    """The state of one provider, since when and why."""

    provider: str
    state: CircuitState
    since: datetime
    reason: str
    recent: str

    def admits(self, kind: str, at: datetime) -> bool:
        """May a batch of this kind go to the provider at this moment?"""
        if self.state is CircuitState.CLOSED:
            return True
        wait = PROBE_AFTER[Kind(kind)] if self.state is CircuitState.OPEN else PROBE_LOST_AFTER
        return at >= self.since + wait


def look(conn: Connection, provider: str, at: datetime) -> Circuit:
    """Give the state of a provider; one never asked is closed."""
    row = conn.execute(_LOOK, {"of": provider}).first()
    if row is None:
        return Circuit(provider, CircuitState.CLOSED, at, "", "")
    return Circuit(provider, CircuitState(row.state), row.since, row.reason, row.recent)


def enter(conn: Connection, provider: str, kind: str, at: datetime) -> bool:
    """May this batch go now? The first one after the wait becomes the probe; compare-and-set lets one through."""
    seen = look(conn, provider, at)
    if seen.state is CircuitState.CLOSED:
        return True
    if not seen.admits(kind, at):
        return False
    unchanged = (circuit.c.provider == provider, circuit.c.state == seen.state, circuit.c.since == seen.since)
    changed = conn.execute(update(circuit).where(*unchanged).values(state=CircuitState.HALF_OPEN, since=at))
    return changed.rowcount == 1


def give_back(conn: Connection, provider: str, at: datetime) -> None:
    """Take back a probe that was never sent; the next one waits anew."""
    where = (circuit.c.provider == provider, circuit.c.state == CircuitState.HALF_OPEN)
    conn.execute(update(circuit).where(*where).values(state=CircuitState.OPEN, since=at))


def record(conn: Connection, provider: str, outcomes: Sequence[Outcome], at: datetime) -> CircuitState:
    """Learn from the answers to one batch, in their order; give the state after them.

    Messages that shared a request share its answer, which counts once; what was not tried tells nothing.
    """
    row = conn.execute(_LOCK, {"of": provider}).first()
    if row is None:
        first = {"provider": provider, "state": CircuitState.CLOSED, "since": at, "reason": "", "recent": ""}
        insert_missing(conn, circuit, [first], ("provider",))
        row = conn.execute(_LOCK, {"of": provider}).one()
    known = seen = Circuit(provider, CircuitState(row.state), row.since, row.reason, row.recent)
    answers = list({id(one): one for one in outcomes if one is not NOT_TRIED}.values())
    if any(isinstance(one, Accepted) for one in answers):
        # A bad address among good ones says nothing of the provider.
        answers = [one for one in answers if not isinstance(one, Rejected)]
    elif answers and all(isinstance(one, Rejected) for one in answers):
        answers = answers[:1]
    if seen.state is CircuitState.HALF_OPEN:
        # The probe was taken if any of it was; a bad address before that one says nothing of the provider.
        answers.sort(key=lambda one: not isinstance(one, Accepted))
    for outcome in answers:
        seen = _after(seen, outcome, at)
    if seen != known:
        values = {
            "state": seen.state,
            "since": seen.since,
            "reason": seen.reason[:LONGEST_REASON],
            "recent": seen.recent,
        }
        conn.execute(_LEARN, {"of": provider, **values})
    return seen.state


def _after(seen: Circuit, outcome: Outcome, at: datetime) -> Circuit:
    """Give what one answer makes of a circuit."""
    mark = "?" if isinstance(outcome, Unknown) else "x" if _rejected_by_it(outcome) else "."
    recent = (seen.recent + mark)[-REMEMBERED:]
    state, reason = seen.state, seen.reason
    if isinstance(outcome, Refused) and outcome.opens_circuit:
        state, reason = CircuitState.OPEN, outcome.code
    elif isinstance(outcome, Unknown):
        too_many = recent.endswith("?" * IN_A_ROW) or recent.count("?") >= OF_THE_LAST
        if too_many or seen.state is CircuitState.HALF_OPEN:
            state, reason = CircuitState.OPEN, outcome.code
    elif isinstance(outcome, Rejected) and recent.endswith("x" * IN_A_ROW) and seen.state is CircuitState.CLOSED:
        state, reason = CircuitState.OPEN, alike(outcome.code)
    elif isinstance(outcome, Accepted) and seen.state is CircuitState.HALF_OPEN:
        # Only the probe's success counts: what was under way when the circuit opened says nothing new.
        state, reason, recent = CircuitState.CLOSED, "", "."
    elif seen.state is CircuitState.HALF_OPEN:
        state = CircuitState.OPEN
    # Each failed probe starts the wait anew.
    since = seen.since if state is seen.state and not isinstance(outcome, Refused) else at
    return Circuit(seen.provider, state, since, reason, recent)


def _rejected_by_it(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and not outcome.code.startswith(OWN_FAULT)


def close(conn: Connection, provider: str, at: datetime) -> bool:
    """Close by hand, after a person has mended the cause; False when it was not open."""
    values = {"state": CircuitState.CLOSED, "since": at, "reason": "", "recent": ""}
    where = (circuit.c.provider == provider, circuit.c.state != CircuitState.CLOSED)
    return conn.execute(update(circuit).where(*where).values(**values)).rowcount == 1
