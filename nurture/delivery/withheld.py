"""Why was a mail that was planned not sent? One decision row each, with the gates in the order asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, literal, not_, select

from nurture.store.tables import (
    decision,
    enrolment,
    message,
    message_exception,
    sequence_version,
    template_version,
)
from nurture.store.verdicts import Answer, remember

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Gate:
    """What one gate said."""

    gate: str
    passed: bool
    detail: str = ""

    def as_dict(self) -> dict[str, object]:
        """Give plain data for the decision row."""
        return {"gate": self.gate, "passed": self.passed, "detail": self.detail}


@dataclass(frozen=True)
class Withheld:
    """One message that leaves its batch: its new state, the reason, and what each gate said.

    Gates are shared by all who heard the same: what is one person's alone, such as a date they chose, stands as a hole
    in them and in `details`.
    """

    message_id: int
    state: str
    reason: str
    gates: tuple[Gate, ...]
    versions: dict[str, Any] = field(default_factory=dict)
    details: dict[str, str] | None = None


def _rows(at: datetime) -> tuple[list[Any], Any]:
    """Give columns and source for decisions about messages; a confirmation has no lead and gets none."""
    columns = [
        literal(at, decision.c.at.type).label("at"),
        message.c.lead_id,
        message.c.enrolment_id,
        message.c.sequence,
        sequence_version.c.version.label("sequence_version"),
        message.c.step,
        message.c.occurrence,
    ]
    source = (
        message.outerjoin(enrolment, enrolment.c.id == message.c.enrolment_id)
        .outerjoin(sequence_version, sequence_version.c.id == enrolment.c.sequence_version_id)
        .join(template_version, template_version.c.id == message.c.template_version_id)
    )
    return columns, source


NAMES = ("at", "lead_id", "enrolment_id", "sequence", "sequence_version", "step", "occurrence")


def decide_for_batches(conn: Connection, batch_ids: Sequence[int], *, reason: str, at: datetime) -> None:
    """Write the same decision for every message that shares the fate of these batches."""
    columns, source = _rows(at)
    gate = Gate("expiry" if reason == "expired" else "batch", passed=False, detail=reason)
    answer = Answer.of([gate.as_dict()], {})
    own = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
    rows = (
        select(
            *columns,
            literal("intent"),
            literal("withheld"),
            literal(reason),
            literal(remember(conn, [answer])[answer]),
        )
        .select_from(source)
        .where(message.c.batch_id.in_(batch_ids), message.c.lead_id.is_not(None), not_(own))
        .order_by(message.c.id)
    )
    names = [*NAMES, "phase", "outcome", "reason", "verdict_id"]
    conn.execute(insert(decision).from_select(names, rows))


def withhold(conn: Connection, items: Sequence[Withheld], *, at: datetime) -> None:
    """Take messages out of their batch for good, each with its exception and its decision."""
    if not items:
        return
    conn.execute(
        insert(message_exception),
        [{"message_id": item.message_id, "state": item.state, "reason": item.reason[:64], "at": at} for item in items],
    )
    columns, source = _rows(at)
    query = (
        select(message.c.id.label("message_id"), template_version.c.key, template_version.c.sha256, *columns[1:])
        .select_from(source)
        .where(message.c.id.in_([item.message_id for item in items]), message.c.lead_id.is_not(None))
    )
    known = {row["message_id"]: row for row in conn.execute(query).mappings()}
    found = []
    for item in items:
        row = known.get(item.message_id)
        if row is None:
            continue
        versions = {"template": row["sha256"], "sequence": row["sequence_version"], **item.versions}
        found.append((item, row, Answer.of([gate.as_dict() for gate in item.gates], versions)))
    verdicts = remember(conn, {answer for _, _, answer in found})
    fixed = {"at": at, "phase": "intent", "outcome": "withheld"}
    rows = [
        {
            **{name: row[name] for name in NAMES[1:]},
            **fixed,
            "reason": item.reason[:64],
            "verdict_id": verdicts[answer],
            "details": item.details,
        }
        for item, row, answer in found
    ]
    if rows:
        conn.execute(insert(decision), rows)
