"""Does planning thousands at once decide what the rule decides for each, and only by indexes?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Self

import pytest
from sqlalchemy import select, text
from sqlalchemy.event import listens_for, remove

from bench._unsealed import gather, moment
from nurture.delivery import frequency, switch
from nurture.delivery.content.library import MailKey
from nurture.leads import preferences
from nurture.sequences import definition
from nurture.sequences.decide import Deferred, Planned, Rules, Waited, decide
from nurture.sequences.facts import DUE, Due, Known, due_values, own_period, period, taken, versions
from nurture.sequences.walking import OUTCOMES, Place, advance, reason_of
from nurture.store.raw import Times
from nurture.store.tables import decision, enrolment, message, send_batch, verdict
from nurture.store.verdicts import fill, told
from tests.nurture.sequences.conftest import SHORT, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

BRANCHING = """\
sequence: branching
version: 3
purpose: newsletter.product
goal: {signal: any, within: 5d}
enrol: {when: consent_confirmed, again: never}
window: {days: mon-sat, from: "06:00", to: "20:00", zone: lead, holidays: none}
late: {after: 30h, then: send}
steps:
  - {kind: mail, id: first}
  - {kind: wait, id: rest, for: 36h}
  - {kind: branch, id: way, if: {event: clicked, step: first}, then: hot, else: cold}
  - {kind: mail, id: cold}
  - {kind: wait, id: pause, for: 1d}
  - {kind: branch, id: warmth, if: {temperature: hot}, then: hot, else: end}
  - {kind: mail, id: hot}
"""
SCOPED = SHORT.replace("sequence: welcome", "sequence: scoped").replace(
    "purpose: newsletter.product\n", "purpose: newsletter.product\nscope: hydraulics\n"
)
ZONES = ("Europe/Berlin", "Europe/Berlin", "Europe/London", "America/New_York", "Mars/Base")


@dataclass(frozen=True)
class Seen:
    """One decision, as an auditor reads it."""

    enrolment_id: int
    step: str
    outcome: str
    reason: str
    gates: tuple[tuple[str, bool, str], ...]
    versions: tuple[tuple[str, Any], ...]
    next_at: datetime | None


def one_by_one(conn: Connection, world: World, at: datetime) -> tuple[list[Seen], dict[int, Place], Counter[str]]:
    """Ask `decide` about every due enrolment by itself, in the order they came due."""
    settings = world.ws.settings
    cap = frequency.load(settings.policies)
    now = period(cap.marketing, at, settings.tz)
    stopped = switch.stopped(conn)
    rules = Rules(
        most=cap.marketing.most,
        period_ends=now.ends,
        week_ends=frequency.weeks(at, settings.tz, 1)[1],
        stopped=lambda name: switch.is_stopped(stopped, name),
        has_text=lambda *key: world.texts.has(MailKey(*key)),
    )
    times, planned = Times(conn.dialect), Counter[int]()
    seen: list[Seen] = []
    places: dict[int, Place] = {}
    mails: Counter[str] = Counter()
    for found in conn.execute(DUE, due_values(world.definitions, at=at, after=None, limit=10_000)).all():
        row = Due._make(found)
        pinned = versions(conn, [row.sequence_version_id])
        sequence = pinned[row.sequence_version_id]
        known = Known(conn, [row], pinned, policies=settings.policies, controller=settings.controller, at=at)
        facts = known.facts(row, settings.tz, times)
        before = taken(conn, [row.lead_id], now)[row.lead_id]
        own = 0
        if facts.choice.pace is not None:
            weeks = own_period(cap.marketing, at, settings.tz, facts.choice.pace[1])
            own = taken(conn, [row.lead_id], weeks)[row.lead_id]
        place = Place("active", row.step, facts.due_at)
        while place.still_due(at):
            more = planned[row.lead_id]
            facts = replace(
                facts, step=place.step, due_at=place.due_at, taken=before + more, taken_of_choice=own + more
            )
            told_ = decide(facts, sequence, rules, at)
            made = told_.decision
            place = advance(made, facts, sequence, at)
            used: dict[str, Any] = {"sequence": sequence.version, "frequency": cap.version}
            if row.rules_version is not None:
                used["scoring"] = row.rules_version
            if isinstance(made, Planned):
                planned[row.lead_id] += 1
                key = MailKey(sequence.name, facts.step, made.temperature, row.language)
                used["template"] = world.texts.mail(key).sha256
                mails[f"{row.lead_id} {key} {facts.tracking}"] += 1
            gates = tuple((gate.name, gate.passed, fill(gate.detail, gate.values)) for gate in told_.gates)
            until = place.due_at if isinstance(made, Deferred | Waited) else None
            seen.append(Seen(row.id, facts.step, OUTCOMES[type(made)], reason_of(made), gates, _pairs(used), until))
        places[row.id] = place
    return seen, places, mails


def stored(conn: Connection, after: int) -> list[Seen]:
    """Read the decisions beyond an id."""
    asked = select(decision, verdict.c.gates, verdict.c.versions).join(verdict, verdict.c.id == decision.c.verdict_id)
    return [
        Seen(
            row.enrolment_id, row.step, row.outcome, row.reason,
            tuple((gate["gate"], gate["passed"], gate["detail"]) for gate in told(row.gates, row.details)),
            _pairs(row.versions), row.next_at,
        )
        for row in conn.execute(asked.where(decision.c.id > after).order_by(decision.c.id))
    ]  # fmt: skip


def _pairs(used: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(used.items()))


def crowd(world: World, chance: Random, at: datetime) -> list[int]:
    """Make leads of all kinds, in three sequences each."""
    world.write(SHORT)
    world.write(BRANCHING)
    world.write(SCOPED)
    # Most are alike until something happens to them: only then can one be taken for the other.
    ids = world.people(14, at) + world.people(5, at, start=14, tracked=True)
    for number in range(19, 25):
        ids += world.people(
            1, at, start=number, zone=chance.choice(ZONES), country=chance.choice([None, "DE", "US"]),
            language=chance.choice(["de", "en"]),
        )  # fmt: skip
    return ids


def live(world: World, chance: Random, ids: list[int], at: datetime) -> None:
    """Let some of what can happen between two ticks happen."""
    for lead_id in ids:
        [subject] = world.subjects([lead_id])
        match chance.randrange(16):
            case 0 | 1:
                world.warm(lead_id, chance.choice(["cold", "warm", "hot"]), at)
            case 2:
                who = chance.choice(["human", "machine"])
                world.happen(lead_id, "demo_requested", at - timedelta(seconds=lead_id), verdict=who)
            case 3 | 4:
                world.happen(lead_id, "clicked", at - timedelta(seconds=lead_id), step="first")
            case 5:
                world.happen(lead_id, "price_requested", at - timedelta(seconds=lead_id), signalled=True)
            case 6:
                world.move(lead_id, chance.choice(["customer", "handed_over", "disqualified"]), at)
            case 7:
                world.withdraw(lead_id, at)
            case 8:
                with world.ws.store.write() as conn:
                    preferences.pause(conn, subject, 30, at=at - timedelta(days=chance.choice([0, 29])))
            case 9 | 10:
                with world.ws.store.write() as conn:
                    preferences.slow_down(conn, subject, chance.choice([0, 1, None]), at=at)
            case _:
                pass


@pytest.mark.parametrize("seed", range(4))
def test_the_planner_decides_as_the_rule_does_for_each(
    world: World, at: datetime, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions with all gates, the places of enrolments and the mails are those of `decide`, asked one by one."""
    monkeypatch.setattr("nurture.sequences.planner.CHUNK", 17)
    chance = Random(seed)  # noqa: S311  repeatable, not secret
    ids = crowd(world, chance, at)
    moment, kinds = at, Counter[str]()
    for tick in range(7):
        world.texts.missing = {"branching/hot/hot/en"} if tick < 4 else set()
        with world.ws.store.write() as conn:
            (switch.stop if tick == 1 else switch.resume)(conn, "sequence:welcome", "test", "test", moment)
        world.enrol(moment)
        live(world, chance, ids, moment)
        with world.ws.store.read() as conn:
            expected, places, mails = one_by_one(conn, world, moment)
            last = conn.execute(select(decision.c.id).order_by(decision.c.id.desc()).limit(1)).scalar() or 0
            queued = conn.execute(select(message.c.id).order_by(message.c.id.desc()).limit(1)).scalar() or 0
        world.plan(moment)
        with world.ws.store.read() as conn:
            found = stored(conn, last)
            stand = {row.id: row for row in conn.execute(select(enrolment).where(enrolment.c.id.in_(places)))}
            sent = conn.execute(select(message).where(message.c.id > queued)).all()
        order = [(one.enrolment_id, expected.index(one)) for one in expected]
        assert sorted(found, key=_order) == sorted(expected, key=_order), order
        assert {
            number: Place(row.state, row.step, row.due_at, row.exit_reason) for number, row in stand.items()
        } == places
        assert (
            Counter(f"{m.lead_id} {m.sequence}/{m.step}/{m.temperature}/{m.language} {m.tracked}" for m in sent)
            == mails
        )
        kinds.update(one.outcome for one in found)
        moment += chance.choice([timedelta(hours=1), timedelta(hours=14), timedelta(days=2, minutes=7)])
    assert set(kinds) == set(OUTCOMES.values())


def _order(one: Seen) -> tuple[Any, ...]:
    return one.enrolment_id, one.step, one.outcome


def test_a_batch_is_a_row_of_neighbours_of_one_kind(world: World, at: datetime) -> None:
    """Tracked and untracked mails, languages and temperatures share no batch, and a batch has no gaps."""
    for number in range(12):
        [lead_id] = world.people(1, at, start=number, tracked=number % 2 == 0, language=("de", "en")[number % 3 == 0])
        if number % 5 == 0:
            world.warm(lead_id, "hot", at)
    world.tick(at)
    batches: dict[int, list[Any]] = {}
    for row in world.rows(message):
        batches.setdefault(row.batch_id, []).append(row)
    kinds = [{(m.tracked, m.template_version_id, m.language, m.temperature) for m in rows} for rows in batches.values()]
    assert [len(kind) for kind in kinds] == [1] * len(batches)
    assert len({next(iter(kind)) for kind in kinds}) == len(batches)
    assert all([m.id for m in rows] == list(range(rows[0].id, rows[0].id + len(rows))) for rows in batches.values())
    sizes = {row.id: row._mapping["count"] for row in world.rows(send_batch)}  # noqa: SLF001  SQLAlchemy's name
    assert sizes == {batch_id: len(rows) for batch_id, rows in batches.items()}


def test_equal_answers_of_the_gates_are_stored_once(world: World, at: datetime) -> None:
    """Ten leads with ten ledger entries hear one answer at each of two steps; each reads its own entry."""
    world.people(10, at)
    world.tick(at)
    entries = {gate["detail"] for n in range(20) for gate in world.gates(n) if gate["gate"] == "consent"}
    assert (len(world.rows(verdict)), len(entries)) == (2, 10)


def test_a_gate_that_everybody_may_read_names_nobody(world: World, at: datetime, later: datetime) -> None:
    """What differs from lead to lead stands in the decision, which goes with the lead, never in the verdict."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.happen(lead_id, "demo_requested", at + timedelta(days=1, minutes=3))
    world.tick(later)
    texts = str([row.gates for row in world.rows(verdict)])
    assert "2026-11-24" not in texts
    assert {"gate": "goal", "passed": False, "detail": "demo_requested: 2026-11-24 08:03Z"} in world.gates(-1)


class Watched:
    """Every statement of a store, with what the database would do about it."""

    def __init__(self, world: World, ask: Callable[[Any, str, Any], str] | None = None) -> None:
        """Explain by `ask` before each statement."""
        self.engine, self.ask = world.ws.store.engine, ask
        self.statements: list[str] = []
        self.plans: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        """Listen."""
        listens_for(self.engine, "before_cursor_execute")(self.note)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        remove(self.engine, "before_cursor_execute", self.note)

    def note(self, _conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        """Keep one statement."""
        self.statements.append(statement)
        if self.ask is not None and statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "WITH"}:
            one = parameters[0] if isinstance(parameters, list) else parameters
            self.plans.append((statement, self.ask(cursor, statement, one)))


def explained(cursor: Any, statement: str, parameters: Any) -> str:
    """Give the plan of a statement with its very values, in its very transaction."""
    asking = cursor.connection.cursor()
    prefix = "EXPLAIN QUERY PLAN " if type(cursor).__module__.startswith("sqlite3") else "EXPLAIN "
    asking.execute(prefix + statement, parameters)
    return "\n".join(str(row[-1]) for row in asking.fetchall())


SEQUENCE = BRANCHING.replace("sequence: branching", "sequence: bench").replace(
    "goal: {signal: any, within: 5d}", "goal: {event: demo_requested}"
)
NEVER_READ_THROUGH = (
    "lead", "enrolment", "message", "event", "identity", "consent_state", "suppression", "lead_score", "signal",
    "mail_preference", "send_slot", "decision", "send_batch", "message_exception",
)  # fmt: skip
CARRIED_BY = {
    "FROM enrolment JOIN lead": ("ix_enrolment_due",),
    "FROM identity LEFT OUTER JOIN consent_state": ("identity", "consent_state", "suppression"),
    "FROM message JOIN send_batch": ("ix_message_lead",),
    "FROM send_slot JOIN message": ("send_slot",),
    "SELECT event.lead_id": ("ix_event_lead",),
    "SELECT event.message_id": ("ix_event_message",),
    "SELECT message.id, message.enrolment_id, message.step FROM message": ("ndex", "enrolment_id ="),
    "SELECT message.enrolment_id, message.step, message.occurrence FROM message": ("ndex", "enrolment_id ="),
}
"""What each statement of a chunk must name in its plan."""


def gathered(world: World, at: datetime, count: int, *, analysed: bool) -> None:
    """Bring many leads before the first step of a sequence, due at `at`."""
    world.write(SEQUENCE)
    with world.ws.store.write() as conn:
        version = definition.register(conn, world.definitions, at=at)["bench"]
        gather(conn, count, sequence="bench", version=version, step="first")
        conn.execute(text("update enrolment set due_at = :at where lead_id % 10 = 0"), {"at": moment(conn, at)})
        if analysed:
            conn.execute(text("analyze"))


@pytest.mark.parametrize(("count", "analysed"), [(200, False), (4_000, True)])
def test_no_statement_of_planning_reads_a_table_through(
    world: World, at: datetime, count: int, *, analysed: bool
) -> None:
    """With old statistics and with new ones, at two sizes, every statement goes by its index."""
    gathered(world, at, count, analysed=analysed)
    with Watched(world, explained) as watched:
        world.plan(at)
        world.plan(at + timedelta(hours=36))
    bad = [
        (statement, plan)
        for statement, plan in watched.plans
        for table in NEVER_READ_THROUGH
        if f"Seq Scan on {table}\n" in f"{plan}\n".replace("  (", "\n(") or f"SCAN {table}\n" in f"{plan}\n"
    ]
    assert bad == []
    for part, names in CARRIED_BY.items():
        plans = [plan for statement, plan in watched.plans if part in " ".join(statement.split())]
        assert plans, part
        shown = [plan.replace("INDEX", "index").replace("=?", " = ?") for plan in plans]
        assert [name for name in names for plan in shown if name not in plan] == [], (part, plans)
    assert "enrolment" in next(plan for statement, plan in watched.plans if statement.startswith("UPDATE"))


def test_the_number_of_statements_does_not_grow_with_the_chunk(world: World, at: datetime) -> None:
    """A chunk of 250 takes the statements that a chunk of 20 takes."""
    gathered(world, at, 4_200, analysed=False)
    # What no chunk before met, such as a new text, costs a few more.
    world.limit = 100
    world.plan(at)
    numbers = []
    for world.limit in (20, 250):
        with Watched(world) as watched:
            counts = world.plan(at)
        assert (counts.due, counts.planned) == (world.limit, world.limit)
        numbers.append(len(watched.statements))
    assert numbers[0] == numbers[1]
    assert numbers[0] <= 25
