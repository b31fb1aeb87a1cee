"""Who is due, and what happens to each? Sets in, decisions stored, messages queued, enrolments moved on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import bindparam, insert, update

from nurture.delivery import frequency, switch
from nurture.delivery.content.library import MailKey
from nurture.delivery.queue import MailLike, PlannedMessage, environment, queue
from nurture.leads.preferences import Choice
from nurture.sequences.decide import (
    Branched,
    Deferred,
    Left,
    Planned,
    Rules,
    Then,
    Verdict,
    Waited,
    Withheld,
    decide,
)
from nurture.sequences.definition import END, Sequence
from nurture.sequences.enrolling import enrol
from nurture.sequences.facts import Known, due, own_period, period, taken, versions
from nurture.store.tables import decision as decision_table
from nurture.store.tables import enrolment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Rows
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from nurture.sequences.decide import Decision, Facts
    from nurture.store.workspace import Workspace

__all__ = ["PlanCounts", "enrol", "plan"]

CHUNK = 1000
"""Enrolments decided at once: bounds the memory, and the variables of one statement."""
KEEPS = timedelta(hours=24)
"""A queued mail that could not be handed over for so long expires: it would come out of the blue."""
ADVANCE = (
    update(enrolment)
    .where(enrolment.c.id == bindparam("at_id"))
    .values(
        state=bindparam("state"),
        step=bindparam("step"),
        due_at=bindparam("due_at"),
        exit_reason=bindparam("exit_reason"),
        left_at=bindparam("left_at"),
    )
)
OUTCOMES = {
    Planned: "planned",
    Withheld: "withheld",
    Deferred: "deferred",
    Waited: "waited",
    Branched: "branched",
    Left: "left",
}


class ClassedMail(MailLike, Protocol):
    """A compiled mail that knows what it is for."""

    @property
    def message_class(self) -> str:
        """Give educational, product, direct or follow_up."""
        ...


class Mails(Protocol):
    """Where the texts come from (the content library)."""

    def has(self, key: MailKey) -> bool:
        """Tell whether there is a mail for a key."""
        ...

    def mail(self, key: MailKey) -> ClassedMail:
        """Give the mail of a key."""
        ...


@dataclass
class PlanCounts:
    """What one call of `plan` did. `due` counts enrolments, the others decisions; a due enrolment may take several."""

    due: int = 0
    planned: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    """By reason."""
    deferred: Counter[str] = field(default_factory=Counter)
    """By reason."""
    waited: int = 0
    branched: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """By reason."""
    more: bool = False
    """Is there more due than the limit allowed?"""

    def as_dict(self) -> dict[str, Any]:
        """Give plain data: counts only."""
        return {
            "due": self.due,
            "planned": self.planned,
            "withheld": dict(sorted(self.withheld.items())),
            "deferred": dict(sorted(self.deferred.items())),
            "waited": self.waited,
            "branched": self.branched,
            "left": dict(sorted(self.left.items())),
            "more": self.more,
        }

    def count(self, made: Decision) -> None:
        """Count one decision."""
        match made:
            case Planned():
                self.planned += 1
            case Withheld(reason):
                self.withheld[reason] += 1
            case Deferred(_, reason):
                self.deferred[reason] += 1
            case Waited():
                self.waited += 1
            case Branched():
                self.branched += 1
            case Left(reason):
                self.left[reason] += 1


@dataclass(frozen=True)
class Place:
    """Where an enrolment stands after a decision."""

    state: str
    step: str
    due_at: datetime
    exit_reason: str | None = None

    def still_due(self, at: datetime) -> bool:
        """Tell whether the next step is due in the same tick."""
        return self.state == "active" and self.due_at <= at


@dataclass
class _Batch:
    """What one chunk writes."""

    decisions: list[dict[str, Any]] = field(default_factory=list)
    messages: dict[datetime, list[PlannedMessage]] = field(default_factory=dict)
    """By the time they expire: leads of one zone share it."""
    places: list[dict[str, Any]] = field(default_factory=list)


class Planner:
    """One tick's planning: what is the same for all leads is read once."""

    def __init__(self, conn: Connection, ws: Workspace, mails: Mails, *, at: datetime) -> None:
        """Read the frequency policy and the kill switch."""
        self.conn, self.mails, self.at = conn, mails, at
        self.controller, self.zone = ws.settings.controller, ws.settings.tz
        self.policies = ws.settings.policies
        policy = frequency.load(self.policies)
        self.frequency_version = policy.version
        self.cap = policy.marketing
        self.period = period(self.cap, at, self.zone)
        stopped = switch.stopped(conn)
        self.rules = Rules(
            most=self.cap.most,
            period_ends=self.period.ends,
            week_ends=frequency.weeks(at, self.zone, 1)[1],
            stopped=lambda sequence: switch.is_stopped(stopped, sequence),
            has_text=lambda *key: mails.has(MailKey(*key)),
        )
        self.pinned: dict[int, Sequence] = {}
        self.counts = PlanCounts()

    def chunk(self, rows: Rows[Row[Any]]) -> _Batch:
        """Decide everything that is due for these enrolments, in memory."""
        missing = {row.sequence_version_id for row in rows} - self.pinned.keys()
        self.pinned |= versions(self.conn, missing) if missing else {}
        known = Known(self.conn, rows, self.pinned, policies=self.policies, controller=self.controller, at=self.at)
        mails = taken(self.conn, {row.lead_id for row in rows}, self.period)
        own = self._taken_of_choice(rows)
        batch = _Batch()
        for row in rows:
            self._walk(row, known, mails, own, batch)
        self.counts.due += len(rows)
        return batch

    def _taken_of_choice(self, rows: Rows[Row[Any]]) -> Counter[int]:
        """Count the mails of those who chose a pace of their own, each in the weeks of that pace."""
        spans: dict[int, set[int]] = {}
        for row in rows:
            pace = Choice(row.paused_until, row.per_week).pace
            if pace is not None:
                spans.setdefault(pace[1], set()).add(row.lead_id)
        counts: Counter[int] = Counter()
        for weeks, leads in spans.items():
            counts += taken(self.conn, leads, own_period(self.cap, self.at, self.zone, weeks))
        return counts

    def _walk(self, row: Row[Any], known: Known, mails: Counter[int], own: Counter[int], batch: _Batch) -> None:
        """Follow one enrolment step by step until it waits, is put off, or ends."""
        sequence = self.pinned[row.sequence_version_id]
        facts = known.facts(row, sequence, mails[row.lead_id], self.zone)
        place = Place("active", row.step, row.due_at)
        while place.still_due(self.at):
            counted, chosen = mails[row.lead_id], own[row.lead_id]
            facts = replace(facts, step=place.step, due_at=place.due_at, taken=counted, taken_of_choice=chosen)
            verdict = decide(facts, sequence, self.rules, self.at)
            place = advance(verdict.decision, facts, sequence, self.at)
            self.counts.count(verdict.decision)
            template = None
            if isinstance(verdict.decision, Planned):
                mails[row.lead_id] += 1
                own[row.lead_id] += 1
                planned = self._message(row, facts, sequence, verdict.decision)
                template = planned.mail.sha256
                batch.messages.setdefault(self._expires(sequence, verdict.decision), []).append(planned)
            batch.decisions.append(self._decision(row, facts, sequence, verdict, place, template))
        batch.places.append(
            {
                "at_id": row.id,
                "state": place.state,
                "step": place.step,
                "due_at": place.due_at,
                "exit_reason": place.exit_reason,
                "left_at": self.at if place.state in {"finished", "exited"} else None,
            }
        )

    def _expires(self, sequence: Sequence, planned: Planned) -> datetime:
        """Until when may a mail leave? After an outage it must not come at night, nor out of the blue."""
        return min(planned.closes, self.at + min(KEEPS, sequence.late.after.span))

    def _message(self, row: Row[Any], facts: Facts, sequence: Sequence, planned: Planned) -> PlannedMessage:
        mail = self.mails.mail(MailKey(sequence.name, facts.step, planned.temperature, row.language))
        return PlannedMessage(
            subject=row.subject,
            lead_id=row.lead_id,
            enrolment_id=row.id,
            sequence=sequence.name,
            step=facts.step,
            occurrence=row.occurrence,
            purpose=sequence.purpose,
            message_class=mail.message_class,
            temperature=planned.temperature,
            language=row.language,
            mail=mail,
            tracked=facts.tracking,
        )

    def _decision(
        self, row: Row[Any], facts: Facts, sequence: Sequence, verdict: Verdict, place: Place, template: str | None
    ) -> dict[str, Any]:
        made = verdict.decision
        rules = {"sequence": sequence.version, "frequency": self.frequency_version}
        named: dict[str, Any] = rules if row.rules_version is None else {**rules, "scoring": row.rules_version}
        return {
            "at": self.at,
            "lead_id": row.lead_id,
            "enrolment_id": row.id,
            "sequence": sequence.name,
            "sequence_version": sequence.version,
            "step": facts.step,
            "occurrence": row.occurrence,
            "phase": "plan",
            "outcome": OUTCOMES[type(made)],
            "reason": reason_of(made),
            "gates": [{"gate": g.name, "passed": g.passed, "detail": g.detail} for g in verdict.gates],
            "versions": named if template is None else {**named, "template": template},
            "next_at": place.due_at if isinstance(made, Deferred | Waited) else None,
        }


def reason_of(made: Decision) -> str:
    """Say in one word why a decision is what it is (the column decision.reason)."""
    match made:
        case Planned(temperature):
            return temperature.value
        case Waited():
            return "wait"
        case Branched(target):
            return target[:64]
        case Withheld(reason) | Left(reason) | Deferred(_, reason):
            return str(reason)


def advance(made: Decision, facts: Facts, sequence: Sequence, at: datetime) -> Place:
    """Say where an enrolment stands after a decision.

    A wait is done as soon as it begins: the enrolment then stands at the next step, due when the wait
    ends. What follows any other step is due at once. A late mail is skipped and what follows counts from now.
    """
    following = "" if isinstance(made, Branched) else sequence.following(facts.step)
    match made:
        case Deferred(until, _):
            place = Place("active", facts.step, until)
        case Left(reason) | Withheld(reason, Then.LEAVES):
            place = Place("exited", facts.step, facts.due_at, exit_reason=reason)
        case Withheld(reason, Then.PAUSES):
            place = Place("paused", facts.step, facts.due_at, exit_reason=reason)
        case Branched(target, _):
            place = _go("" if target == END else target, facts.due_at)
        case Waited(until):
            place = _go(following, until)
        case Withheld():
            place = _go(following, at)
        case Planned():
            place = _go(following, facts.due_at)
    return place


def _go(step: str, due_at: datetime) -> Place:
    return Place("active" if step else "finished", step, due_at)


def plan(  # noqa: PLR0913  the contract with flows and tasks
    conn: Connection,
    ws: Workspace,
    definitions: Mapping[str, Sequence],
    library: Mails,
    *,
    provider_name: str,
    batch_limit: int,
    sequence: str | None,
    at: datetime,
    limit: int,
) -> PlanCounts:
    """Decide what is due at `at` for up to `limit` enrolments, of one sequence or of all that are defined.

    Writes one decision row for each lead and step that came due, queues the mails and moves the
    enrolments on, all in the caller's transaction. Doing it again at the same `at` changes nothing: nothing is
    due any more, and a message is unique by enrolment, step and occurrence.
    """
    names = set(definitions) if sequence is None else {sequence} & set(definitions)
    planner = Planner(conn, ws, library, at=at)
    counts, after = planner.counts, None
    here = environment(conn)
    while counts.due < limit:
        size = min(CHUNK, limit - counts.due)
        rows = conn.execute(due(names, at=at, after=after, limit=size)).all()
        if not rows:
            return counts
        after = rows[-1].due_at, rows[-1].id
        batch = planner.chunk(rows)
        conn.execute(insert(decision_table), batch.decisions)
        for expires, planned in batch.messages.items():
            queue(
                conn, planned, provider_name=provider_name, batch_limit=batch_limit, environment=here,
                not_before=at, not_after=expires, at=at,
            )  # fmt: skip
        conn.execute(ADVANCE, batch.places)
        if len(rows) < size:
            return counts
    counts.more = conn.execute(due(names, at=at, after=after, limit=1)).first() is not None
    return counts
