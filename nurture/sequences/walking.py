"""What becomes of enrolments that are alike? Followed once, step by step, until they wait, are put off or end."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from nurture.delivery.content.library import MailKey
from nurture.delivery.queue import MailLike, Shared
from nurture.sequences.decide import Branched, Deferred, Left, Planned, Then, Waited, Withheld, decide
from nurture.sequences.definition import END, Sequence
from nurture.store.verdicts import Answer

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.sequences.decide import Decision, Facts, Rules, Verdict

KEEPS = timedelta(hours=24)
"""A queued mail that could not be handed over for so long expires: it would come out of the blue."""
OUTCOMES = {
    Planned: "planned",
    Withheld: "withheld",
    Deferred: "deferred",
    Waited: "waited",
    Branched: "branched",
    Left: "left",
}
OWN = ("consent", "entered")
"""What a verdict names that differs even among enrolments that are alike."""


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


class Details:
    """The column decision.details of enrolments that are alike: JSON, prepared but for what is each one's own."""

    def __init__(self, values: dict[str, int | str]) -> None:
        """Take the values of one of them."""
        shared = {name: value for name, value in values.items() if name not in OWN}
        self.consent, self.entered = ("consent" in values), ("entered" in values)
        self.empty = not values
        self.head = json.dumps(shared)[:-1] + (", " if shared and len(shared) < len(values) else "")
        self.between = ", " if self.consent and self.entered else ""

    def text(self, consent: int | str, entered: str) -> str | None:
        """Write the JSON for one enrolment; `entered` as gates show it."""
        if self.consent:
            middle = f'"consent": {consent}{self.between}'
        elif self.empty:
            return None
        else:
            middle = ""
        last = f'"entered": "{entered}"' if self.entered else ""
        return f"{self.head}{middle}{last}}}"


@dataclass(frozen=True)
class Stride:
    """One decision about enrolments that are alike."""

    step: str
    made: Decision
    answer: Answer
    details: Details
    next_at: datetime | None
    mail: Shared | None
    """What the planned mails have in common."""

    @property
    def outcome(self) -> str:
        """Give the column decision.outcome."""
        return OUTCOMES[type(self.made)]


@dataclass(frozen=True)
class Walk:
    """Everything that happens in one tick to enrolments that are alike."""

    strides: tuple[Stride, ...]
    place: Place
    mails: int
    """How many of the strides planned one."""


@dataclass(frozen=True)
class Ground:
    """What holds for every enrolment of a tick."""

    rules: Rules
    at: datetime
    mails: Mails
    frequency_version: int


def walk(facts: Facts, sequence: Sequence, ground: Ground, scoring_version: int | None) -> Walk:
    """Follow one enrolment from its due step on; what it plans counts against the cap of what follows."""
    at, strides, mails = ground.at, [], 0
    place = Place("active", facts.step, facts.due_at)
    while place.still_due(at):
        now = replace(
            facts, step=place.step, due_at=place.due_at, taken=facts.taken + mails,
            taken_of_choice=facts.taken_of_choice + mails,
        )  # fmt: skip
        verdict = decide(now, sequence, ground.rules, at)
        place = advance(verdict.decision, now, sequence, at)
        mail = _mail(now, sequence, verdict.decision, ground) if isinstance(verdict.decision, Planned) else None
        mails += mail is not None
        strides.append(
            Stride(
                step=now.step,
                made=verdict.decision,
                answer=_answer(verdict, sequence, ground, scoring_version, mail),
                details=Details(verdict.values),
                next_at=place.due_at if isinstance(verdict.decision, Deferred | Waited) else None,
                mail=mail,
            )
        )
    return Walk(tuple(strides), place, mails)


def _mail(facts: Facts, sequence: Sequence, planned: Planned, ground: Ground) -> Shared:
    mail = ground.mails.mail(MailKey(sequence.name, facts.step, planned.temperature, facts.language))
    return Shared(
        sequence=sequence.name,
        step=facts.step,
        purpose=sequence.purpose,
        message_class=mail.message_class,
        temperature=planned.temperature,
        language=facts.language,
        mail=mail,
        tracked=facts.tracking,
        # After an outage it must not come at night, nor out of the blue.
        not_after=min(planned.closes, ground.at + min(KEEPS, sequence.late.after.span)),
    )


def _answer(
    verdict: Verdict, sequence: Sequence, ground: Ground, scoring_version: int | None, mail: Shared | None
) -> Answer:
    versions: dict[str, int | str] = {"sequence": sequence.version, "frequency": ground.frequency_version}
    if scoring_version is not None:
        versions["scoring"] = scoring_version
    if mail is not None:
        versions["template"] = mail.mail.sha256
    return Answer.of(
        ({"gate": gate.name, "passed": gate.passed, "detail": gate.detail} for gate in verdict.gates), versions
    )


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
        case Branched(target):
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
