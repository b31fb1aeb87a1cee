"""Does every promise hold, after every step? Asked of the tables and of the provider, not of the code under test."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from consent import ledger
from consent.replay import replay
from nurture.delivery.status import status
from nurture.store.guards import EVIDENT, FREE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from nurture.delivery.provider import Outgoing
    from nurture.store.engine import Store
    from tests.simulation.provider import Taken

LEGAL = {(old, new) for old, targets in FREE.items() for new in targets} | set(EVIDENT)
TERMINAL = {"accepted", "rejected", "unknown", "suppressed", "expired", "failed_render"}
DOUBTFUL = {"accepted", "in_doubt", "unknown", "submitting"}
"""What the state of a mail may be that the provider has."""
ZONE = ZoneInfo("Europe/Berlin")
FATES = """
select m.public_id, m.kind, m.lead_id, m.enrolment_id, m.step, m.occurrence, coalesce(e.state, b.state)
from message m join send_batch b on b.id = m.batch_id left join message_exception e on e.message_id = m.id
order by m.id
"""


class BrokenPromiseError(AssertionError):
    """An invariant does not hold."""


def believed(public_id: str, fate: str, times: int) -> None:
    """What we say of a mail fits what the provider has."""
    if times and fate not in DOUBTFUL:
        raise BrokenPromiseError(f"{public_id}: the provider has it, we say {fate}")
    if fate == "accepted" and not times:
        raise BrokenPromiseError(f"{public_id}: believed sent, the provider never had it")


class Checker:
    """Follows one installation from outside."""

    def __init__(self, database: Path, taken: Taken, cap: int, *, stride: int = 1_000_000) -> None:
        """Read `database` beside the code; `taken` is what the provider knows; `cap` mails per lead and day.

        Occurrences that differ by a multiple of `stride` are the same step (a broken variant hides it so).
        """
        self.stride = stride
        self.strict = True
        """Look at what we believe and at the way of each batch, too, not only at what people got."""
        self.wire = sqlite3.connect(database, isolation_level=None)
        self.taken, self.cap = taken, cap
        self.batches: dict[int, str] = {}
        self.states: Counter[str] = Counter()
        self.transitions: Counter[tuple[str, str]] = Counter()
        self.withdrawn: set[str] = set()
        """Addresses whose withdrawal is committed."""
        self.stopped = False
        self.found = ""
        self.windows: dict[str, str] = {}
        """The day of the last intent for each message."""

    def close(self) -> None:
        """Stop reading."""
        self.wire.close()

    def submitted(self, batch: Sequence[Outgoing], gone: frozenset[str], at: datetime, *, stopped: bool) -> None:
        """A request is out: `gone` had withdrawn when its intent was committed, at that time.

        Notes what is wrong for the next `look`: the sending path would take an exception for the provider's.
        """
        if stopped:
            self.found = "sent by an intent after everything was stopped"
        for mail in batch:
            if mail.to_address in gone:
                self.found = f"{mail.public_id}: sent by an intent after the withdrawal"
            self.windows[mail.public_id] = at.astimezone(ZONE).date().isoformat()

    def look(self) -> None:
        """Check all that must hold at any time."""
        if self.found:
            raise BrokenPromiseError(self.found)
        rows = self.wire.execute(FATES).fetchall()
        wanted: Counter[tuple[object, ...]] = Counter()
        capped: Counter[tuple[int, str]] = Counter()
        for public_id, kind, lead, enrolment, step, occurrence, fate in rows:
            times = self.taken.times[public_id]
            self.states[fate] += 1
            if times and kind == "marketing":
                wanted[enrolment, step, occurrence % self.stride] += times
                capped[lead, self.windows.get(public_id, "?")] += 1
                if times > 1:
                    raise BrokenPromiseError(f"{public_id}: mailed {times} times")
            if self.strict:
                believed(public_id, fate, times)
        for key, times in wanted.items():
            if times > 1:
                raise BrokenPromiseError(f"{key}: one step of a sequence, mailed {times} times")
        for (lead, window), count in capped.items():
            if count > self.cap:
                raise BrokenPromiseError(f"lead {lead}: {count} mails in {window}, the cap is {self.cap}")

    def committed(self) -> None:
        """A transaction ended: every batch moved along a legal way."""
        batches = dict(self.wire.execute("select id, state from send_batch").fetchall())
        if not self.strict:
            return
        for batch, state in batches.items():
            before = self.batches.get(batch)
            if before not in {None, state}:
                if (before, state) not in LEGAL:
                    raise BrokenPromiseError(f"batch {batch}: {before} became {state}")
                self.transitions[before or "", state] += 1
        if missing := set(self.batches) - set(batches):
            raise BrokenPromiseError(f"batches {sorted(missing)} are gone")
        self.batches = batches

    def at_rest(self, store: Store) -> dict[str, int]:
        """Check what must hold when nothing is under way any more; give the messages by fate."""
        self.strict = True
        self.look()
        rows = self.wire.execute(FATES).fetchall()
        for public_id, *_, fate in rows:
            if fate not in TERMINAL:
                raise BrokenPromiseError(f"{public_id}: {fate} for ever")
        with store.read() as connection:
            found = ledger.verify(connection)
            if not found.ok:
                raise BrokenPromiseError(f"ledger: {found.problem}")
            replayed = replay(connection)
            if not replayed.ok:
                raise BrokenPromiseError(f"ledger: {replayed.breaches} mails authorised without a consent")
            told = status(connection)
        counted: Counter[str] = Counter(row[-1] for row in rows)
        reported: Counter[str] = Counter()
        for states in told.messages.values():
            reported.update(states)
        if counted != reported:
            raise BrokenPromiseError(f"the report says {dict(reported)}, the tables {dict(counted)}")
        if self.wire.execute("pragma integrity_check").fetchone() != ("ok",):
            raise BrokenPromiseError("the database is corrupt")
        self._authorised()
        return dict(counted)

    def _authorised(self) -> None:
        """Every marketing mail that the provider has was authorised in the ledger, for this attempt or an earlier."""
        known = {row[0] for row in self.wire.execute(
            "select m.public_id from authorisation a join message m on m.id = a.message_id")}  # fmt: skip
        kinds = {row[0]: row[1] for row in self.wire.execute("select public_id, kind from message")}
        for public_id in self.taken.times:
            if kinds.get(public_id) != "confirmation" and public_id not in known:
                raise BrokenPromiseError(f"{public_id}: sent without an authorisation")


LONG_AFTER = (timedelta(hours=1), timedelta(hours=60), timedelta(days=15))
"""The waits after which every doubt must have ended, and every request to confirm has lapsed."""
