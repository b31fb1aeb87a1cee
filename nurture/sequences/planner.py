"""Who is due, and what happens to each? Sets in, decisions stored, messages queued, enrolments moved on.

`decide` is asked once for all enrolments that are alike, not once for each: what becomes of one rests on
few things, and thousands share them. What they do not share, the number of a ledger entry and two times,
is filled in for each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from nurture.collecting import uncollected
from nurture.delivery import frequency, switch
from nurture.delivery import policy as sending_policy
from nurture.delivery.content.library import MailKey
from nurture.delivery.queue import environment, queue_all
from nurture.leads.preferences import Choice
from nurture.sequences.decide import Branched, Deferred, Left, Planned, Rules, Waited, Withheld, minute
from nurture.sequences.enrolling import enrol
from nurture.sequences.facts import ANY_DUE, DUE, Due, Known, due_values, own_period, period, taken, versions
from nurture.sequences.walking import Ground, reason_of, walk
from nurture.store.engine import by_index
from nurture.store.raw import Times, insert_tuples
from nurture.store.tables import decision as decision_table
from nurture.store.verdicts import Answer, remember

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Rows
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.delivery.queue import Groups
    from nurture.sequences.decide import Decision
    from nurture.sequences.definition import Sequence
    from nurture.sequences.walking import Mails, Walk
    from nurture.store.workspace import Workspace

__all__ = ["PlanCounts", "enrol", "plan"]

CHUNK = 10_000
"""Enrolments decided at once: bounds the memory. Every statement takes a whole chunk."""
DECISION_COLUMNS = (
    "at", "lead_id", "enrolment_id", "sequence", "sequence_version", "step", "occurrence", "phase", "outcome",
    "reason", "verdict_id", "details", "next_at",
)  # fmt: skip


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

    def count(self, made: Decision, times: int) -> None:
        """Count a decision that so many enrolments got."""
        match made:
            case Planned():
                self.planned += times
            case Withheld(reason):
                self.withheld[reason] += times
            case Deferred(_, reason):
                self.deferred[reason] += times
            case Waited():
                self.waited += times
            case Branched():
                self.branched += times
            case Left(reason):
                self.left[reason] += times


class Planner:
    """One tick's planning: what is the same for all leads is read once."""

    def __init__(self, conn: Connection, ws: Workspace, mails: Mails, *, at: datetime) -> None:
        """Read the frequency policy and the kill switch."""
        self.conn, self.at = conn, at
        self.controller, self.zone = ws.settings.controller, ws.settings.tz
        self.policies = ws.settings.policies
        policy = frequency.load(self.policies)
        self.cap = policy.marketing
        self.period = period(self.cap, at, self.zone)
        stopped = switch.stopped(conn)
        rules = Rules(
            most=self.cap.most,
            period_ends=self.period.ends,
            week_ends=frequency.weeks(at, self.zone, 1)[1],
            stopped=lambda sequence: switch.is_stopped(stopped, sequence),
            has_text=lambda *key: mails.has(MailKey(*key)),
        )
        self.ground = Ground(rules, at, mails, policy.version)
        self.times = Times(conn.dialect)
        self.pinned: dict[int, Sequence] = {}
        self.verdicts: dict[Answer, int] = {}
        self.counts = PlanCounts()

    def chunk(self, rows: Rows[Due]) -> Groups:
        """Decide all that is due for these enrolments, store it and move them on; give the mails to be queued.

        The number of statements depends on what the definitions ask for, not on how many rows there are.
        """
        # Neighbours in the tables are written one after the other; of one lead the oldest step stays first.
        rows = sorted(rows, key=attrgetter("lead_id"))
        missing = {row.sequence_version_id for row in rows} - self.pinned.keys()
        self.pinned |= versions(self.conn, missing) if missing else {}
        known = Known(self.conn, rows, self.pinned, policies=self.policies, controller=self.controller, at=self.at)
        walks = self._walks(rows, known)
        answers = {stride.answer for one in walks for stride in one.strides} - self.verdicts.keys()
        self.verdicts |= remember(self.conn, answers)
        self.counts.due += len(rows)
        return self._write(rows, walks, known)

    def _walks(self, rows: Rows[Due], known: Known) -> list[Walk]:
        """Give what becomes of each enrolment, each kind of walk walked once.

        The key holds all that `decide` looks at. When somebody entered matters only beside what they did; their
        ledger entry, as long as it permits, not at all.
        """
        mails: dict[int, int] = taken(self.conn, {row.lead_id for row in rows}, self.period)
        own: dict[int, int] = self._taken_of_choice(rows)
        alike: dict[tuple[Any, ...], Walk] = {}
        walks = []
        for row in rows:
            number, lead_id, version, step, _, due_at, entered_at, subject = row[:8]
            answer = known.consent[version][subject]
            counted, chosen = mails.get(lead_id, 0), own.get(lead_id, 0)
            refused = None if isinstance(answer, int) else answer
            key: tuple[Any, ...] = (
                version, step, due_at, subject in known.tracking, refused, counted, chosen, row[8:],
            )  # fmt: skip
            if lead_id in known.events or lead_id in known.signals or number in known.step_events:
                key += (entered_at, known.happened(row))
            found = alike.get(key)
            if found is None:
                facts = replace(known.facts(row, self.zone, self.times), taken=counted, taken_of_choice=chosen)
                found = alike[key] = walk(facts, self.pinned[version], self.ground, row.rules_version)
            if found.mails:
                mails[lead_id], own[lead_id] = counted + found.mails, chosen + found.mails
            walks.append(found)
        return walks

    def _taken_of_choice(self, rows: Rows[Due]) -> Counter[int]:
        """Count the mails of those who chose a pace of their own, each in the weeks of that pace."""
        spans: dict[int, set[int]] = {}
        for row in rows:
            if row.per_week is None:
                continue
            pace = Choice(None, row.per_week).pace
            if pace is not None:
                spans.setdefault(pace[1], set()).add(row.lead_id)
        counts: Counter[int] = Counter()
        for weeks, leads in spans.items():
            counts += taken(self.conn, leads, own_period(self.cap, self.at, self.zone, weeks))
        return counts

    def _write(self, rows: Rows[Due], walks: Rows[Walk], known: Known) -> Groups:
        """Store the decisions and where the enrolments stand now; give the mails."""
        groups: Groups = {}
        at, minutes = self.times.drivers(self.at), _Minutes(self.times)
        ways: dict[int, _Way] = {}
        decisions: list[tuple[Any, ...]] = []
        places: list[tuple[Any, ...]] = []
        for row, one in zip(rows, walks, strict=True):
            number, lead_id, version, _, occurrence, _, entered_at, subject = row[:8]
            way = ways.get(id(one))
            if way is None:
                way = ways[id(one)] = self._way(one, self.pinned[version], groups)
            way.times += 1
            answer = known.consent[version][subject]
            for before, after, text_of, next_at, recipients in way.lines:
                details = text_of(answer, minutes[entered_at])
                decisions.append((at, lead_id, number, *before, occurrence, *after, details, next_at))
                if recipients is not None:
                    recipients.append((lead_id, number, subject, occurrence))
            places.append((*way.place, number))
        for way in ways.values():
            for stride in way.walk.strides:
                self.counts.count(stride.made, way.times)
        insert_tuples(self.conn, decision_table, DECISION_COLUMNS, decisions)
        move_on(self.conn, places)
        return groups

    def _way(self, one: Walk, sequence: Sequence, groups: Groups) -> _Way:
        """Write down once what the rows of all who walk alike share."""
        drivers, place = self.times.drivers, one.place
        lines = [
            (
                (sequence.name, sequence.version, stride.step),
                ("plan", stride.outcome, reason_of(stride.made), self.verdicts[stride.answer]),
                stride.details.text,
                None if stride.next_at is None else drivers(stride.next_at),
                None if stride.mail is None else groups.setdefault(stride.mail.key, (stride.mail, []))[1],
            )
            for stride in one.strides
        ]
        left = drivers(self.at) if place.state in {"finished", "exited"} else None
        return _Way(one, lines, (place.state, place.step, drivers(place.due_at), place.exit_reason, left))


@dataclass
class _Way:
    """A walk as rows; what each enrolment has of its own is left out."""

    walk: Walk
    lines: list[tuple[Any, ...]]
    place: tuple[Any, ...]
    times: int = 0


class _Minutes(dict[Any, str]):
    """Times of the driver as gates show them, each written once."""

    def __init__(self, times: Times) -> None:
        super().__init__()
        self.times = times

    def __missing__(self, value: Any) -> str:  # noqa: ANN401  the driver's own type
        self[value] = shown = minute(self.times.ours(value))
        return shown


def move_on(conn: Connection, places: list[tuple[Any, ...]]) -> None:
    """Put enrolments where they stand now: (state, step, due_at, exit_reason, left_at, id), times as the driver's."""
    if conn.dialect.name == "postgresql":
        names = ("states", "steps", "dues", "reasons", "lefts", "ids")
        columns = {name: list(column) for name, column in zip(names, zip(*places, strict=True), strict=True)}
        conn.exec_driver_sql(MOVE_ON_AT_ONCE, columns)
        return
    conn.exec_driver_sql(MOVE_ON, places)


MOVE_ON = "UPDATE enrolment SET state = ?, step = ?, due_at = ?, exit_reason = ?, left_at = ? WHERE id = ?"
MOVE_ON_AT_ONCE = """\
UPDATE enrolment SET state = p.state, step = p.step, due_at = p.due_at, exit_reason = p.exit_reason, left_at = p.left_at
FROM unnest(%(states)s::text[], %(steps)s::text[], %(dues)s::timestamptz[], %(reasons)s::text[],
  %(lefts)s::timestamptz[], %(ids)s::bigint[]) AS p (state, step, due_at, exit_reason, left_at, id)
WHERE enrolment.id = p.id"""


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
    if conn.execute(ANY_DUE, {"sequences": sorted(names), "at": at}).first() is None:
        # The idle tick ends here: it reads no policies.
        return PlanCounts()
    by_index(conn)

    def fetch(after: tuple[datetime, int] | None, most: int) -> list[Due]:
        values = due_values(names, at=at, after=after, limit=most)
        return list(map(Due._make, conn.execute(DUE, values).all()))

    rows = fetch(None, min(CHUNK, limit))
    planner, here = Planner(conn, ws, library, at=at), environment(conn)
    spread = sending_policy.load(ws.settings.policies).spread or timedelta(0)
    counts = planner.counts
    while rows:
        with uncollected():
            queue_all(
                conn, planner.chunk(rows), provider_name=provider_name, batch_limit=batch_limit, environment=here,
                not_before=at, at=at, spread=spread,
            )  # fmt: skip
        left, last = limit - counts.due, (planner.times.ours(rows[-1].due_at), rows[-1].id)
        if left == 0:
            counts.more = bool(fetch(last, 1))
            break
        rows = fetch(last, min(CHUNK, left)) if len(rows) == CHUNK else []
    return counts
