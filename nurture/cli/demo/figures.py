"""What came out? Every figure of the demo's summary and report, read from the tables and nowhere else."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, case, distinct, exists, func, or_, select

from consent import ledger
from consent.schema import consent_state, ledger_entry
from nurture.store.tables import (
    decision,
    event,
    handover,
    lead,
    lead_score,
    message,
    message_exception,
    send_batch,
    stage_change,
    temperature_change,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPERATURES = ("cold", "warm", "hot")
SCORED = ("human",)

ACCEPTED = or_(
    message_exception.c.state == "accepted",
    and_(message_exception.c.message_id.is_(None), send_batch.c.state == "accepted"),
)
"""A message the provider took: its batch's fate, unless it left that fate."""


@dataclass(frozen=True)
class Figures:
    """The summary. Counts are of leads, messages or entries as named."""

    imported: int
    """Leads that came from files."""
    not_mailable: int
    """Imported leads without a proven consent."""
    confirmed: int
    """Double opt-ins completed over the web."""
    accepted: int
    """Marketing mails the provider accepted."""
    confirmation_mails: int
    """Neutral mails asking for the confirmation, accepted by the provider."""
    withheld: dict[str, int]
    """Marketing mails not sent, by reason."""
    in_doubt: int
    """Messages whose outcome is not known (yet)."""
    temperatures: dict[str, int]
    scored_events: int
    """Events of people (not of machines) that scoring looked at."""
    machine_events: int
    handovers: int
    handover_states: dict[str, int]
    ledger: dict[str, Any]
    funnel: list[tuple[str, int]] = field(default_factory=list)
    mails: list[tuple[str, str, int]] = field(default_factory=list)
    """(sequence/step, temperature, accepted)."""

    def as_json(self) -> dict[str, Any]:
        """Give the plain form."""
        return asdict(self)


def read(connection: Connection) -> Figures:
    """Read everything at once, from one view of the database."""
    checked = ledger.verify(connection)
    mails = _mails(connection)
    return Figures(
        imported=_count(connection, lead.c.source == "import"),
        not_mailable=_count(connection, lead.c.source == "import", ~_ever_consented()),
        confirmed=_entries(connection, "consent.confirmed"),
        accepted=sum(number for *_, number in mails),
        confirmation_mails=_accepted(connection, "confirmation"),
        withheld=_withheld(connection),
        in_doubt=_in_doubt(connection),
        temperatures=_temperatures(connection),
        scored_events=_events(connection, "human"),
        machine_events=_events(connection, "machine"),
        handovers=connection.execute(select(func.count()).select_from(handover)).scalar_one(),
        handover_states=_grouped(connection, handover.c.state),
        ledger={"size": checked.size, "root": checked.root, "verified": checked.ok},
        funnel=_funnel(connection),
        mails=mails,
    )


def _count(connection: Connection, *where: Any) -> int:  # noqa: ANN401  SQL conditions
    found: int = connection.execute(select(func.count()).select_from(lead).where(*where)).scalar_one()
    return found


def _ever_consented() -> Any:  # noqa: ANN401
    return exists().where(consent_state.c.subject == lead.c.subject, consent_state.c.purpose != "email.tracking")


def _entries(connection: Connection, kind: str) -> int:
    wanted = select(func.count()).select_from(ledger_entry).where(ledger_entry.c.type == kind)
    found: int = connection.execute(wanted).scalar_one()
    return found


def _sent() -> Any:  # noqa: ANN401
    return message.join(send_batch, send_batch.c.id == message.c.batch_id).outerjoin(
        message_exception, message_exception.c.message_id == message.c.id
    )


def _accepted(connection: Connection, kind: str) -> int:
    wanted = select(func.count()).select_from(_sent()).where(message.c.kind == kind, ACCEPTED)
    found: int = connection.execute(wanted).scalar_one()
    return found


def _in_doubt(connection: Connection) -> int:
    open_ones = or_(
        message_exception.c.state.in_(["in_doubt", "unknown"]),
        and_(message_exception.c.message_id.is_(None), send_batch.c.state.in_(["submitting", "in_doubt", "unknown"])),
    )
    found: int = connection.execute(select(func.count()).select_from(_sent()).where(open_ones)).scalar_one()
    return found


def _mails(connection: Connection) -> list[tuple[str, str, int]]:
    rows = connection.execute(
        select(message.c.sequence, message.c.step, message.c.temperature, func.count())
        .select_from(_sent())
        .where(message.c.kind == "marketing", ACCEPTED)
        .group_by(message.c.sequence, message.c.step, message.c.temperature)
        .order_by(message.c.sequence.desc(), func.min(message.c.id), message.c.temperature)
    )
    return [(f"{sequence}/{step}", temperature, number) for sequence, step, temperature, number in rows]


def _withheld(connection: Connection) -> dict[str, int]:
    rows = connection.execute(
        select(decision.c.reason, func.count())
        .where(decision.c.outcome == "withheld")
        .group_by(decision.c.reason)
        .order_by(func.count().desc(), decision.c.reason)
    )
    return {reason: number for reason, number in rows}  # noqa: C416  rows are tuples with a type of their own


def _grouped(connection: Connection, column: Any) -> dict[str, int]:  # noqa: ANN401
    rows = connection.execute(select(column, func.count()).group_by(column).order_by(column))
    return {str(value): number for value, number in rows}


def _temperatures(connection: Connection) -> dict[str, int]:
    """Leads by temperature; one without any score is cold."""
    rows = connection.execute(
        select(func.coalesce(lead_score.c.temperature, "cold"), func.count())
        .select_from(lead.outerjoin(lead_score, lead_score.c.lead_id == lead.c.id))
        .group_by(func.coalesce(lead_score.c.temperature, "cold"))
    )
    found = {str(name): int(number) for name, number in rows}
    return {name: found.get(name, 0) for name in TEMPERATURES}


def _events(connection: Connection, verdict: str) -> int:
    wanted = select(func.count()).select_from(event).where(event.c.verdict == verdict, event.c.lead_id.is_not(None))
    found: int = connection.execute(wanted).scalar_one()
    return found


def _funnel(connection: Connection) -> list[tuple[str, int]]:
    mailed = select(func.count(distinct(message.c.lead_id))).select_from(_sent())
    reached = func.count(distinct(temperature_change.c.lead_id))
    answered = func.count(distinct(case((handover.c.state == "accepted", handover.c.lead_id))))
    engaged = select(func.count(distinct(stage_change.c.lead_id))).where(stage_change.c.stage == "engaged")
    steps = {
        "known": select(func.count()).select_from(lead),
        "consented": select(func.count()).select_from(lead).where(_ever_consented()),
        "mailed": mailed.where(message.c.kind == "marketing", ACCEPTED),
        "engaged": engaged,
        "warm": select(reached).where(temperature_change.c.temperature.in_(["warm", "hot"])),
        "hot": select(reached).where(temperature_change.c.temperature == "hot"),
        "handed_over": select(func.count(distinct(handover.c.lead_id))),
        "accepted_by_sales": select(answered),
    }
    return [(name, connection.execute(wanted).scalar_one()) for name, wanted in steps.items()]


def temperatures_by_day(connection: Connection, days: Sequence[datetime]) -> list[dict[str, int]]:
    """How many mailable leads were cold, warm and hot at each of these times (rising)?"""
    changes = connection.execute(
        select(temperature_change.c.lead_id, temperature_change.c.temperature, temperature_change.c.at).order_by(
            temperature_change.c.at, temperature_change.c.id
        )
    ).all()
    joined = connection.execute(
        select(lead.c.id, func.min(consent_state.c.since))
        .join(consent_state, consent_state.c.subject == lead.c.subject)
        .group_by(lead.c.id)
    ).all()
    result, now, position = [], {}, 0
    for day in days:
        while position < len(changes) and changes[position].at <= day:
            now[changes[position].lead_id] = changes[position].temperature
            position += 1
        here = [lead_id for lead_id, since in joined if since <= day]
        counted = Counter(now.get(lead_id, "cold") for lead_id in here)
        result.append({name: counted.get(name, 0) for name in TEMPERATURES})
    return result


def liveliest_lead(connection: Connection) -> int | None:
    """Which handed over lead has the richest story to show?"""
    human = (
        select(event.c.lead_id, func.count().label("n"))
        .where(event.c.verdict == "human")
        .group_by(event.c.lead_id)
        .subquery()
    )
    found: int | None = connection.execute(
        select(handover.c.lead_id)
        .join(human, human.c.lead_id == handover.c.lead_id)
        .order_by((handover.c.state == "accepted").desc(), human.c.n.desc(), handover.c.lead_id)
        .limit(1)
    ).scalar()
    return found


def days(start: datetime, number: int) -> list[datetime]:
    """Give the ends of so many days from a start."""
    return [start + timedelta(days=day + 1) for day in range(number)]
