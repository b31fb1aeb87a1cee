"""What happened to a consent after sales got the lead? An outbox of its own: one notice per handover and ledger entry.

The ledger drives it, because a lead without any consent may withdraw too. A receiver that refuses notices
delays nothing but them: each has its own next try, and ends on the dead list like a handover.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, or_, select, update

from consent import canonical
from consent.ledger import EntryType
from consent.schema import ledger_entry
from consent.states import EVERYTHING, TRACKING
from nurture.handover import payload
from nurture.handover.deliver import LEASE, WAITS, Drained, moment_of, next_try, record
from nurture.handover.targets import Delivery, Target
from nurture.store.inserting import insert_new
from nurture.store.tables import handover, handover_notice, lead

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.clock import Clock
    from nurture.store.workspace import Workspace

TOLD = [str(EntryType.WITHDRAWN), str(EntryType.ERASED)]
MOST_NEW = 1000
"""New notices written in one run; the next run goes on."""


def announce(
    workspace: Workspace, target: Target, *, at: datetime, clock: Clock | None = None, limit: int = 100
) -> Drained:
    """Tell sales of every withdrawal and erasure since a handover they got; each until it is taken or dead.

    Public ids of handovers come back, one per notice tried. With a clock each call has its own time.
    """
    with workspace.store.write() as connection:
        collect(connection, at=at)
        waiting = due(connection, at=at, limit=limit)
    done = Drained()
    for row in waiting:
        _tell(workspace, target, row, moment_of(clock, at), clock, done)
    return done


def collect(connection: Connection, *, at: datetime) -> int:
    """Write a notice for each ledger entry that still lacks one; tell how many.

    ix_ledger_entry_subject carries it. The end of tracking alone is kept as moot: sales does not measure.
    """
    written = exists().where(
        handover_notice.c.handover_id == handover.c.id, handover_notice.c.seq == ledger_entry.c.seq
    )
    rows = connection.execute(
        select(handover.c.id, ledger_entry.c.seq, ledger_entry.c.type, ledger_entry.c.leaf)
        .join(lead, lead.c.id == handover.c.lead_id)
        .join(ledger_entry, ledger_entry.c.subject == lead.c.subject)
        .where(_with_sales(), ledger_entry.c.type.in_(TOLD), ledger_entry.c.at > handover.c.created_at, ~written)
        .order_by(ledger_entry.c.seq, handover.c.id)
        .limit(MOST_NEW)
    ).all()
    new = []
    for row in rows:
        matters = _purposes(row) != [TRACKING]
        new.append({"handover_id": row.id, "seq": row.seq, "state": "open" if matters else "moot", "attempts": 0,
                    "next_attempt_at": at if matters else None})  # fmt: skip
    return len(insert_new(connection, handover_notice, new))


def due(connection: Connection, *, at: datetime, limit: int) -> list[Row[Any]]:
    """Which notices are to be tried at `at`? Oldest try first; ix_handover_notice_open carries it."""
    return list(
        connection.execute(
            select(handover_notice.c.handover_id, handover_notice.c.seq, handover_notice.c.attempts,
                   handover.c.public_id, handover.c.lead_id, ledger_entry.c.type, ledger_entry.c.leaf,
                   ledger_entry.c.at)
            .join(handover, handover.c.id == handover_notice.c.handover_id)
            .join(ledger_entry, ledger_entry.c.seq == handover_notice.c.seq)
            .where(handover_notice.c.state == "open", handover_notice.c.next_attempt_at <= at, _with_sales())
            .order_by(handover_notice.c.next_attempt_at, handover_notice.c.seq, handover_notice.c.handover_id)
            .limit(limit)
        )
    )  # fmt: skip


def _with_sales() -> ColumnElement[bool]:
    """Did sales get it, and not give it back?"""
    got = or_(handover.c.state == "accepted", handover.c.delivered_at.is_not(None))
    return and_(got, handover.c.state != "returned")


def _purposes(row: Row[Any]) -> list[str]:
    if row.type == EntryType.ERASED:
        return [EVERYTHING]
    return list(canonical.decode(row.leaf)["body"]["purposes"])


def _tell(
    workspace: Workspace, target: Target, row: Row[Any], at: datetime, clock: Clock | None, done: Drained
) -> None:
    """Make one try, unless another worker has it."""
    n = row.attempts + 1
    mine = and_(handover_notice.c.handover_id == row.handover_id, handover_notice.c.seq == row.seq,
                handover_notice.c.state == "open")  # fmt: skip
    claim = update(handover_notice).where(mine, handover_notice.c.attempts == row.attempts)
    with workspace.store.write() as connection:
        if connection.execute(claim.values(attempts=n, next_attempt_at=at + LEASE)).rowcount != 1:
            return
    answer = target.hand_over(Delivery(row.public_id, payload.WITHDRAWN, _body(row, at), at, part=str(row.seq)))
    after = moment_of(clock, at)
    with workspace.store.write() as connection:
        record(connection, row.handover_id, n, f"{payload.WITHDRAWN}.{row.seq}", target.channel, answer, after)
        if answer.taken:
            change: dict[str, object] = {"state": "taken", "next_attempt_at": None}
        elif answer.final or n > len(WAITS):
            change = {"state": "dead", "next_attempt_at": None}
        else:
            change = {"next_attempt_at": next_try(n, answer, after)}
        # A late refusal must not undo the claim of a worker that came after; what was taken is taken.
        still = mine if answer.taken else and_(mine, handover_notice.c.attempts == n)
        connection.execute(update(handover_notice).where(still).values(change))
    reached = {"taken": done.withdrawn, "dead": done.dead}.get(str(change.get("state")), done.failed)
    reached.append(row.public_id)


def _body(row: Row[Any], at: datetime) -> bytes:
    facts = {"handover": row.public_id, "lead": row.lead_id, "purposes": _purposes(row),
             "erased": row.type == EntryType.ERASED, "since": row.at.isoformat(), "ledger_entry": row.seq}  # fmt: skip
    envelope = {"specversion": "1.0", "id": f"{row.public_id}.withdrawn.{row.seq}", "source": payload.SOURCE,
                "type": payload.WITHDRAWN, "time": at.isoformat(), "datacontenttype": "application/json",
                "data": facts}  # fmt: skip
    return json.dumps(envelope).encode()
