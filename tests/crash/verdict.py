"""What is left after all the crashes? Counted in the tables and in the provider's own log, on either database."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy.engine import make_url

from consent import ledger
from consent.replay import replay
from nurture.delivery.status import status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nurture.store.engine import Store

TERMINAL = {"accepted", "rejected", "unknown", "suppressed", "expired", "failed_render"}
DOUBTFUL = {"accepted", "in_doubt", "unknown", "submitting"}
FATES = """
select m.public_id, m.kind, m.enrolment_id, m.step, m.occurrence, coalesce(e.state, b.state)
from message m join send_batch b on b.id = m.batch_id left join message_exception e on e.message_id = m.id
"""
AFTER_WITHDRAWAL = """
select m.public_id from message m join authorisation a on a.message_id = m.id
where a.seq > (select min(w.seq) from ledger_entry w where w.subject = m.subject and w.type = 'consent.withdrawn')
"""
AUTHORISED = "select m.public_id from message m join authorisation a on a.message_id = m.id"
CAPPED = 'select count(*) from send_slot group by lead_id, "window" having count(*) > '


@dataclass
class Verdict:
    """The figures of `delivery.md` 3.10. All but the first and `unknown` must be zero."""

    messages: int = 0
    taken: int = 0
    """Mails that the provider accepted, copies counted."""
    twice: int = 0
    """Marketing mails that it accepted more than once."""
    lost: int = 0
    """Believed sent but not at the provider, or at the provider while we say it never left, or without an end."""
    after_withdrawal: int = 0
    """Mails at the provider whose authorisation came after the withdrawal, or that had none."""
    over_cap: int = 0
    unknown: int = 0
    """Shown as unknown, at the end."""
    unknown_taken: int = 0
    """Of these, the provider had accepted."""
    misreported: int = 0
    """States of which report and tables count differently."""
    integrity: str = "ok"
    fates: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Did every promise hold?"""
        bad = (self.twice, self.lost, self.after_withdrawal, self.over_cap, self.misreported)
        return not any(bad) and self.integrity == "ok"


class Wire:
    """A look at the tables that shares nothing with the code under test."""

    def __init__(self, url: str) -> None:
        """Connect to the database at a SQLAlchemy address."""
        parsed = make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        self.connection: Any = (
            sqlite3.connect(parsed.database or "", isolation_level=None, timeout=60)
            if self.sqlite
            else psycopg.connect(parsed.set(drivername="postgresql").render_as_string(False), autocommit=True)
        )

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Give all rows."""
        return list(self.connection.execute(statement).fetchall())

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()


def read_log(path: Path) -> Counter[str]:
    """What did the provider accept? By our id."""
    return Counter(path.read_text("utf-8").split()) if path.exists() else Counter()


def judge(url: str, store: Store, taken: Counter[str], *, cap: int) -> Verdict:
    """Count what is wrong."""
    wire = Wire(url)
    rows = wire.rows(FATES)
    authorised = _ids(wire.rows(AUTHORISED))
    late = _ids(wire.rows(AFTER_WITHDRAWAL))
    made = Verdict(messages=len(rows), taken=sum(taken.values()), over_cap=len(wire.rows(f"{CAPPED}{cap}")))
    steps: Counter[tuple[Any, ...]] = Counter()
    fates: Counter[str] = Counter()
    known = set()
    for public_id, kind, *step, fate in rows:
        times = taken[public_id]
        known.add(public_id)
        fates[fate] += 1
        made.unknown += fate == "unknown"
        made.unknown_taken += fate == "unknown" and times > 0
        made.lost += (fate == "accepted") > times or (times > 0 and fate not in DOUBTFUL) or fate not in TERMINAL
        if kind == "marketing" and times:
            steps[tuple(step)] += times
            made.after_withdrawal += public_id in late or public_id not in authorised
    made.twice = sum(times > 1 for times in steps.values())
    # A mail whose message is gone would be the worst: nobody could ever tell.
    made.lost += len(set(taken) - known)
    made.fates = dict(sorted(fates.items()))
    made.misreported, made.integrity = _integrity(wire, store, fates)
    wire.close()
    return made


def _ids(rows: Iterable[tuple[Any, ...]]) -> set[str]:
    return {row[0] for row in rows}


def _integrity(wire: Wire, store: Store, fates: Counter[str]) -> tuple[int, str]:
    reported: Counter[str] = Counter()
    with store.read() as connection:
        for states in status(connection).messages.values():
            reported.update(states)
        found = ledger.verify(connection)
        replayed = replay(connection)
    faults = []
    if wire.sqlite and (said := wire.rows("pragma integrity_check")) != [("ok",)]:
        faults.append(f"database: {said[0][0]}")
    if wire.sqlite and wire.rows("pragma foreign_key_check"):
        faults.append("foreign keys")
    if not found.ok:
        faults.append(f"ledger: {found.problem}")
    if not replayed.ok:
        faults.append(f"ledger: {replayed.breaches} authorised without a consent")
    wrong = sum(reported[name] != fates[name] for name in {*reported, *fates})
    return wrong, "; ".join(faults) or "ok"
