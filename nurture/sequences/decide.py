"""What happens to one enrolment at one step, and why? Pure: facts in, a decision and every gate's answer out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from nurture.delivery.content.notes import Temperature  # noqa: TC001  dataclass
from nurture.leads import preferences
from nurture.leads.preferences import Choice  # noqa: TC001  dataclass
from nurture.leads.stages import Bar, barred
from nurture.sequences.definition import (
    BranchStep,
    MailStep,
    Sequence,
    SignalCondition,
    TemperatureCondition,
    WaitStep,
)
from nurture.sequences.window import closing, next_open

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from nurture.sequences.definition import Condition
    from nurture.sequences.duration import Duration

TICK = timedelta(hours=1)
"""A tick that comes this much later than the step was due is no delay: waits count from the due time."""
STOPPED_FOR = timedelta(hours=1)
NO_TEXT_FOR = timedelta(days=1)


_opening = lru_cache(maxsize=4096)(next_open)
"""Most leads of a tick share window, zone and country."""
_closing = lru_cache(maxsize=4096)(closing)


class Reason(StrEnum):
    """Why a step was not done as written. The consent gate and the lead's stage have their own words for it."""

    GOAL = "goal"
    """What the sequence is for has happened: it leaves."""
    LATE = "late"
    """The time for this mail passed while nothing ran: it is skipped."""
    STOPPED = "stopped"
    """The kill switch is on: asked again in an hour."""
    WINDOW = "window"
    """The send window is closed: put off until it opens."""
    FREQUENCY = "frequency"
    """Enough mails in this period: put off to the first opening of the next."""
    PAUSED_BY_LEAD = preferences.PAUSED
    """The person wants no mail before a date: put off until then."""
    FREQUENCY_BY_LEAD = preferences.SLOWED
    """The person wants fewer mails than planned: put off to the next week."""
    NO_TEMPLATE = "no_template"
    """No text for this temperature and language: asked again in a day."""


class Then(StrEnum):
    """What a withheld step does to the enrolment."""

    LEAVES = "leaves"
    """It ends."""
    SKIPS = "skips"
    """It goes on with the next step."""
    PAUSES = "pauses"
    """It rests until the lead comes back to marketing."""


@dataclass(frozen=True)
class Planned:
    """The mail goes into the queue, and out of it before the lead's window closes, or not at all."""

    temperature: Temperature
    closes: datetime
    """When the present send window ends (UTC)."""


@dataclass(frozen=True)
class Withheld:
    """The mail (or any step) is not done."""

    reason: str
    then: Then


@dataclass(frozen=True)
class Deferred:
    """The mail is asked for again at `until` (UTC)."""

    until: datetime
    reason: Reason


@dataclass(frozen=True)
class Waited:
    """The next step is due at `until` (UTC)."""

    until: datetime


@dataclass(frozen=True)
class Branched:
    """The enrolment goes on at `target`, a step's id or `end`."""

    target: str


@dataclass(frozen=True)
class Left:
    """The enrolment ends here."""

    reason: str


Decision = Planned | Withheld | Deferred | Waited | Branched | Left


@dataclass(frozen=True)
class Gate:
    """One question and its answer."""

    name: str
    passed: bool
    detail: str = ""
    """What it was decided on; what differs from lead to lead stands in braces, by its name in `values`."""
    values: Mapping[str, int | str] = field(default_factory=dict)
    """What fills the braces. Times are UTC."""


@dataclass(frozen=True)
class Verdict:
    """A decision with the answers of all gates, in the order asked. Later gates are asked too, so that all is known."""

    decision: Decision
    gates: tuple[Gate, ...]

    @property
    def values(self) -> dict[str, int | str]:
        """What fills the braces of all gates."""
        return {name: value for gate in self.gates for name, value in gate.values.items()}


@dataclass(frozen=True)
class Facts:
    """All that a decision about one enrolment rests on. Times are UTC."""

    enrolment_id: int
    lead_id: int
    subject: str
    language: str
    zone: ZoneInfo
    country: str | None
    stage: str
    owner: str
    temperature: Temperature
    tracking: bool
    consent: int | str
    """The ledger entry that permits, or the gate's reason of refusal."""
    step: str
    due_at: datetime
    entered_at: datetime
    taken: int = 0
    """Mails that count against the cap in the present period."""
    choice: Choice = preferences.NONE
    """What the person chose; it can only narrow."""
    taken_of_choice: int = 0
    """Mails that count against the person's own cap, in its weeks."""
    events: Mapping[str, datetime] = field(default_factory=dict)
    """By kind, when a person last did it."""
    step_events: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """By kind and mail step of this enrolment."""
    signals: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """What is the same for all leads in a tick."""

    most: int
    """Mails in one period of the frequency policy."""
    period_ends: datetime
    week_ends: datetime
    """When the weeks that people choose for themselves turn."""
    stopped: Callable[[str], bool]
    """Does the kill switch cover this sequence?"""
    has_text: Callable[[str, str, str, str], bool]
    """Is there a mail for (sequence, step, temperature, language)?"""


def decide(facts: Facts, sequence: Sequence, rules: Rules, at: datetime) -> Verdict:
    """Decide the step that is due, at an aware time."""
    before, stop = _standing(facts, sequence, at)
    if stop is not None:
        return Verdict(stop, before)
    step = sequence.by_id[facts.step]
    if isinstance(step, WaitStep):
        return Verdict(Waited(step.length.after(anchor(facts.due_at, at), facts.zone)), before)
    if isinstance(step, BranchStep):
        holds = met(step.condition, facts, at)[0]
        return Verdict(Branched(step.then if holds else step.otherwise), before)
    decision, gates = _mail(facts, sequence, step, rules, at)
    return Verdict(decision, before + gates)


def anchor(due_at: datetime, at: datetime) -> datetime:
    """From when does a wait count? From the due time of its step, so that ticks add no drift over a year.

    Only when the step itself came much too late (after downtime) from then on: nobody gets two mails
    closer together than written.
    """
    return due_at if at - due_at <= TICK else at


def met(condition: Condition, facts: Facts, at: datetime) -> tuple[bool, str, dict[str, int | str]]:
    """Tell whether a condition holds, and in one short text what it was decided on, with what fills its braces."""
    if isinstance(condition, TemperatureCondition):
        return facts.temperature is condition.temperature, f"temperature is {facts.temperature}", {}
    if isinstance(condition, SignalCondition):
        times = facts.signals
        wanted = times.values() if condition.signal == "any" else [times[k] for k in (condition.signal,) if k in times]
        return _seen(f"signal {condition.signal}", max(wanted, default=None), condition.within, facts, at)
    kind = condition.event.value
    if condition.step is None:
        return _seen(kind, facts.events.get(kind), condition.within, facts, at)
    last = facts.step_events.get((kind, condition.step))
    return _seen(f"{kind} {condition.step}", last, condition.within, facts, at)


def _seen(
    what: str, last: datetime | None, within: Duration | None, facts: Facts, at: datetime
) -> tuple[bool, str, dict[str, int | str]]:
    since = facts.entered_at if within is None else at - within.span
    if last is not None and since <= last <= at:
        return True, f"{what}: {{last}}", {"last": minute(last)}
    if within is None:
        return False, f"{what}: not since {{entered}}", {"entered": minute(since)}
    return False, f"{what}: not since {{since}}", {"since": minute(since)}


def minute(moment: datetime) -> str:
    """Write a moment as gates show it: `2026-11-23 08:00Z`."""
    return f"{moment:%Y-%m-%d %H:%M}Z"


def _standing(facts: Facts, sequence: Sequence, at: datetime) -> tuple[tuple[Gate, ...], Decision | None]:
    """Ask what holds for steps of every kind: whose lead is it, and is there still something to reach?"""
    reached, because, values = met(sequence.goal, facts, at)
    bar = barred(facts.stage, facts.owner)
    gates = (
        Gate("stage", bar is None, f"{facts.stage}, {facts.owner}"),
        Gate("goal", not reached, because, values),
    )
    if bar is Bar.WITH_SALES:
        return gates, Withheld(bar, Then.PAUSES)
    if bar is not None:
        return gates, Left(bar)
    if reached:
        return gates, Left(Reason.GOAL)
    return gates, None


def _mail(
    facts: Facts, sequence: Sequence, step: MailStep, rules: Rules, at: datetime
) -> tuple[Decision, tuple[Gate, ...]]:
    """Ask every gate of a mail; the first that is closed decides."""
    late = at - facts.due_at > sequence.late.after.span
    window = step.windows.get(facts.temperature, sequence.window).value
    opens = _opening(window, facts.zone, at, country=facts.country)
    has_text = rules.has_text(sequence.name, step.id, facts.temperature, facts.language)
    gates = (
        _consent(facts.consent),
        Gate("late", not (late and sequence.late.then == "skip"), "due {due}", {"due": minute(facts.due_at)}),
        Gate("kill_switch", not rules.stopped(sequence.name)),
        *_chosen(facts, at),
        Gate("window", opens == at, "" if opens == at else f"opens {minute(opens)}"),
        Gate("frequency", facts.taken < rules.most, f"{facts.taken} of {rules.most}"),
        Gate("template", has_text, f"{sequence.name}/{step.id}/{facts.temperature}/{facts.language}"),
    )

    def later(moment: datetime) -> datetime:
        return _opening(window, facts.zone, moment, country=facts.country)

    closed = next((gate.name for gate in gates if not gate.passed), None)
    if closed is None:
        return Planned(facts.temperature, _closing(window, facts.zone, at, country=facts.country)), gates
    if closed == "consent":
        return Withheld(str(facts.consent), Then.LEAVES), gates
    if closed == "late":
        return Withheld(Reason.LATE, Then.SKIPS), gates
    reason, from_then = {
        "kill_switch": (Reason.STOPPED, at + STOPPED_FOR),
        "pause": (Reason.PAUSED_BY_LEAD, facts.choice.paused_until or at),
        "pace": (Reason.FREQUENCY_BY_LEAD, rules.week_ends),
        "window": (Reason.WINDOW, at),
        "frequency": (Reason.FREQUENCY, rules.period_ends),
        "template": (Reason.NO_TEMPLATE, at + NO_TEXT_FOR),
    }[closed]
    return Deferred(_opening(window, facts.zone, from_then, country=facts.country), reason), gates


def _consent(answer: int | str) -> Gate:
    if isinstance(answer, int):
        return Gate("consent", passed=True, detail="entry {consent}", values={"consent": answer})
    return Gate("consent", passed=False, detail=str(answer))


def _chosen(facts: Facts, at: datetime) -> tuple[Gate, ...]:
    """Ask what the person chose; nothing is asked where nothing was chosen."""
    gates: tuple[Gate, ...] = ()
    if facts.choice.paused_until is not None:
        until = {"paused": minute(facts.choice.paused_until)}
        gates += (Gate("pause", not facts.choice.pauses(at), "until {paused}", until),)
    if facts.choice.pace is not None:
        most, weeks = facts.choice.pace
        gates += (Gate("pace", facts.taken_of_choice < most, f"{facts.taken_of_choice} of {most} in {weeks} weeks"),)
    return gates
