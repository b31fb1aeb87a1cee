"""What does a sequence say? Its file templates/<name>/sequence.yaml, checked line by line."""

from __future__ import annotations

import hashlib
import json
from datetime import time
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    Discriminator,
    Field,
    StrictInt,
    Tag,
    field_validator,
)
from sqlalchemy import insert, select

from nurture import NurtureError
from nurture.delivery.content.notes import MessageClass, Temperature  # noqa: TC001  pydantic needs them at run time
from nurture.leads import wordings
from nurture.leads.wordings import WordedPurpose  # noqa: TC001  as above
from nurture.sequences.duration import Span, read_duration
from nurture.sequences.window import DAYS, Calendar, Window, calendar_known
from nurture.store.definitions import DefinitionError, Finding, Part, line_of, parse, read
from nurture.store.tables import sequence_version
from nurture.tracking.vocabulary import EventKind

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from collections.abc import Sequence as TypingSequence
    from datetime import datetime
    from pathlib import Path

    from ruamel.yaml.comments import CommentedMap
    from sqlalchemy import Connection

__all__ = ["DefinitionError", "Finding", "Sequence", "SequenceError", "findings", "load", "register", "schema"]

END = "end"
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="lower case, digits and _")]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", description="HH:MM")]


class SequenceError(NurtureError):
    """Base of what can go wrong with sequences; a mistake in their files is a DefinitionError."""


class SendWindow(Part):
    """When mails may leave."""

    days: Annotated[
        str | list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
        Field(description="mon-fri, or a list of days"),
    ] = "mon-fri"
    opens: Clock = Field("08:30", alias="from")
    closes: Clock = Field("17:30", alias="to")
    zone: str = Field("lead", description="lead, or an IANA zone such as Europe/Berlin")
    holidays: str = Field("none", description="none, a country such as DE, or a part of one such as DE-BY")

    @field_validator("days")
    @classmethod
    def _days(cls, value: str | list[str]) -> str | list[str]:
        _day_numbers(value)
        return value

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value != "lead" and value not in available_timezones():
            raise ValueError("is no time zone; write lead or a name such as Europe/Berlin")
        return value

    @field_validator("holidays")
    @classmethod
    def _holidays(cls, value: str) -> str:
        if value != "none" and not calendar_known(_calendar(value)):
            raise ValueError("is no calendar of holidays; write none, a country such as DE, or a part such as DE-BY")
        return value

    @field_validator("closes")
    @classmethod
    def _closes_later(cls, value: str, info: Any) -> str:  # noqa: ANN401  pydantic's ValidationInfo is generic
        if "opens" in info.data and value <= info.data["opens"]:
            raise ValueError("must be later than from, on the same day")
        return value

    @cached_property
    def value(self) -> Window:
        """The window as the planner reckons with it."""
        closes = time.max if self.closes == "24:00" else time.fromisoformat(self.closes)
        calendar = None if self.holidays == "none" else _calendar(self.holidays)
        return Window(_day_numbers(self.days), time.fromisoformat(self.opens), closes, self.zone, calendar)


def _calendar(text: str) -> Calendar:
    country, _, part = text.partition("-")
    return Calendar(country, part or None)


def _day_numbers(value: str | TypingSequence[str]) -> frozenset[int]:
    days = [value] if isinstance(value, str) else value
    numbers: set[int] = set()
    for text in days:
        first, _, last = text.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError("are no days; write mon-fri or [mon, wed]")
        start, end = DAYS.index(first), DAYS.index(last or first)
        # sat-mon runs over the turn of the week.
        numbers |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    if not numbers:
        raise ValueError("name at least one day")
    return frozenset(numbers)


class Late(Part):
    """What becomes of a mail whose time passed while nothing ran."""

    after: Span
    then: Literal["skip", "send"]


class SignalCondition(Part):
    """A buying signal was seen, of one kind or of `any`; without `within` since the enrolment began."""

    signal: str = Field(description="any, or the kind of the signal")
    within: Span | None = None

    @field_validator("signal")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "any" and value not in set(EventKind):
            raise ValueError("is no kind of signal; write any, or a kind such as demo_requested")
        return value


class TemperatureCondition(Part):
    """The lead has this temperature now."""

    temperature: Temperature


class EventCondition(Part):
    """A person (no machine) did this, about the mail of `step` if named; without `within` since the enrolment began."""

    event: EventKind
    step: Name | None = None
    within: Span | None = None


def _which(value: object) -> str | None:
    """Tell the forms of a condition apart by the key that each of them alone has."""
    given = value if isinstance(value, dict) else value.model_fields_set if isinstance(value, Part) else ()
    return next((key for key in ("signal", "temperature", "event") if key in given), None)


Condition = Annotated[
    Annotated[SignalCondition, Tag("signal")]
    | Annotated[TemperatureCondition, Tag("temperature")]
    | Annotated[EventCondition, Tag("event")],
    Discriminator(
        _which,
        custom_error_type="condition",
        custom_error_message="must be {signal: any}, {temperature: hot} or {event: clicked}, with within or step",
    ),
]


class MailStep(Part):
    """A mail in the text for the lead's temperature and language: templates/<sequence>/<id>/<temperature>/."""

    kind: Literal["mail"]
    id: Name
    channel: Literal["email"] = "email"
    message_class: MessageClass | None = Field(
        None, alias="class", description="what its mail.yaml says for hot leads, repeated for the reader; checked"
    )
    windows: dict[Temperature, SendWindow] = Field({}, description="another send window for a temperature")


class WaitStep(Part):
    """Nothing, for a while."""

    kind: Literal["wait"]
    id: Name
    length: Span = Field(alias="for")


class BranchStep(Part):
    """One of two ways on; only forward, so that every sequence ends."""

    kind: Literal["branch"]
    id: Name
    condition: Condition = Field(alias="if")
    then: Name
    otherwise: Name = Field(alias="else")


Step = MailStep | WaitStep | BranchStep


class ConsentConfirmed(Part):
    """Everybody who gave consent to the sequence's purpose."""

    when: Literal["consent_confirmed"]
    again: Literal["never"]


class SequenceFinished(Part):
    """Everybody who went through another sequence to its end and has one of these temperatures then."""

    when: Literal["sequence_finished"]
    sequence: Name
    temperature: list[Temperature] = Field(min_length=1)
    after: Span
    again: Literal["never"]


class StageReached(Part):
    """Everybody who comes to a stage while in no sequence; the first step is due `after` that long."""

    when: Literal["stage"]
    stage: Literal["confirmed", "engaged", "mql", "recycled"]
    after: Span
    again: Literal["never", "each_time"] = Field(
        description="each_time: also who was in this sequence before they came to the stage"
    )


Enrol = Annotated[ConsentConfirmed | SequenceFinished | StageReached, Field(discriminator="when")]


class OnChange(Part):
    """What a new version does to those who are under way."""

    running: Literal["pin"]


class Sequence(Part):
    """One sequence, in one version."""

    name: Name = Field(alias="sequence")
    version: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    purpose: WordedPurpose = Field(
        pattern=r"^[a-z][a-z0-9_.]{0,63}$", description="consent that every send is checked against"
    )
    scope: Name | None = Field(
        None, description="topic that the wording agreed to must name; one of `covers` in policies/consent.yaml"
    )
    goal: Condition = Field(description="who reaches it leaves the sequence")
    enrol: Enrol
    also_enrol: list[Enrol] = Field([], description="other ways into the sequence")
    window: SendWindow = SendWindow()
    late: Late = Field(Late(after=read_duration("48h"), then="skip"))
    steps: list[Annotated[Step, Field(discriminator="kind")]] = Field(min_length=1, max_length=200)
    on_change: OnChange = OnChange(running="pin")

    @property
    def ways_in(self) -> tuple[Enrol, ...]:
        """All ways into the sequence."""
        return (self.enrol, *self.also_enrol)

    @cached_property
    def by_id(self) -> Mapping[str, Step]:
        """Steps by their id."""
        return {step.id: step for step in self.steps}

    @cached_property
    def _next(self) -> Mapping[str, str]:
        ids = [step.id for step in self.steps]
        return dict(zip(ids, [*ids[1:], ""], strict=True))

    @property
    def first(self) -> str:
        """The id of the first step."""
        return self.steps[0].id

    def following(self, step: str) -> str:
        """Give the id of the step after one in the file; empty text at the end."""
        return self._next[step]


def findings(sequence: Sequence, data: CommentedMap, name: str, folder: str) -> list[Finding]:
    """Check what only the whole file shows: names, ways forward, steps nobody reaches."""
    check = _Check(sequence, data, name)
    if sequence.name != folder:
        check.say(("sequence",), f"must be the name of its folder, {folder}")
    if not any(isinstance(step, MailStep) for step in sequence.steps):
        check.say(("steps",), "hold no mail")
    for place, step in enumerate(sequence.steps):
        check.step(place, step)
    return check.found


class _Check:
    """One pass over the steps, from the first to the last."""

    def __init__(self, sequence: Sequence, data: CommentedMap, name: str) -> None:
        self.sequence, self.data, self.name = sequence, data, name
        self.found: list[Finding] = []
        self.places = {step.id: place for place, step in enumerate(sequence.steps)}
        self.mails: set[str] = set()
        self.seen: set[str] = {END}
        self.reached = {sequence.first}

    def say(self, path: tuple[str | int, ...], text: str) -> None:
        """Note a mistake at a place that stands in the file."""
        written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        self.found.append(Finding(self.name, line_of(self.data, path), written, text))

    def step(self, place: int, step: Step) -> None:
        """Look at one step, knowing those before it."""
        if step.id in self.seen:
            self.say(("steps", place, "id"), f"{step.id} is taken; every step has its own id, and none is called end")
        elif step.id not in self.reached:
            self.say(("steps", place, "id"), f"no way leads to {step.id}; remove it or let a branch go there")
        self.seen.add(step.id)
        if isinstance(step, BranchStep):
            self.branch(place, step)
        elif place + 1 < len(self.sequence.steps):
            self.reached.add(self.sequence.steps[place + 1].id)
        if isinstance(step, MailStep):
            self.mails.add(step.id)

    def branch(self, place: int, step: BranchStep) -> None:
        """Hold both ways of a branch to lead forward, and its question to be about a mail that came before."""
        for key, target in (("then", step.then), ("else", step.otherwise)):
            if target != END and self.places.get(target, -1) <= place:
                why = "leads back" if target in self.places else "is no step"
                self.say(("steps", place, key), f"{target} {why}; go to a later step or to end")
            self.reached.add(target)
        asked = step.condition.step if isinstance(step.condition, EventCondition) else None
        if asked is not None and asked not in self.mails:
            self.say(("steps", place, "if", "step"), f"{asked} is no earlier mail step")


def load(templates: Path, policies: Path | None = None) -> dict[str, Sequence]:
    """Read every templates/<name>/sequence.yaml, by name; files that did not change are read once.

    With `policies` a purpose must be one that policies/consent.yaml asks people about: for any other nobody ever
    gave consent, and the sequence would send nothing, without a word.
    Raises DefinitionError that names every mistake of every file as `file:line: path: text`.
    """
    seen = ((path, path.stat()) for path in sorted(templates.glob("*/sequence.yaml")))
    state = tuple((path, stat.st_mtime_ns, stat.st_size, stat.st_ino) for path, stat in seen)
    known: tuple[tuple[str, Hashable], ...] = ()
    broken: list[Finding] = []
    try:
        known = tuple(wordings.context(policies).items()) if policies else ()
    except DefinitionError as error:
        broken = error.findings
    try:
        loaded = dict(_load(templates, state, known))
    except DefinitionError as error:
        raise DefinitionError([*broken, *error.findings]) from error
    if broken:
        raise DefinitionError(broken)
    return loaded


@lru_cache(maxsize=8)
def _load(
    templates: Path, _state: tuple[tuple[Path, int, int, int], ...], context: tuple[tuple[str, Hashable], ...]
) -> dict[str, Sequence]:
    loaded: dict[str, Sequence] = {}
    found: list[Finding] = []
    sources: dict[str, tuple[str, CommentedMap]] = {}
    for path in sorted(templates.glob("*/sequence.yaml")):
        name = f"{templates.name}/{path.parent.name}/{path.name}"
        try:
            data = read(path, name, first="sequence")
            sequence = parse(Sequence, data, name, context=dict(context))
        except DefinitionError as error:
            found += error.findings
            continue
        found += findings(sequence, data, name, path.parent.name)
        loaded[sequence.name] = sequence
        sources[sequence.name] = (name, data)
    known = {path.parent.name for path in templates.glob("*/sequence.yaml")}
    for sequence in loaded.values():
        name, data = sources[sequence.name]
        for number, form in enumerate(sequence.ways_in):
            if isinstance(form, SequenceFinished) and form.sequence not in known - {sequence.name}:
                keys: tuple[str | int, ...] = ("enrol",) if number == 0 else ("also_enrol", number - 1)
                written = "enrol" if number == 0 else f"also_enrol[{number - 1}]"
                line = line_of(data, (*keys, "sequence"))
                found.append(Finding(name, line, f"{written}.sequence", f"{form.sequence} is no other sequence here"))
    if found:
        raise DefinitionError(found)
    return loaded


def canonical(data: object) -> str:
    """Write data as JSON in one way only, for comparing and hashing."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def plain(sequence: Sequence) -> dict[str, Any]:
    """Give the definition as plain data, only what the file says; `Sequence.model_validate` reads it back."""
    return sequence.model_dump(mode="json", by_alias=True, exclude_unset=True)


def register(conn: Connection, definitions: Mapping[str, Sequence], *, at: datetime) -> dict[str, int]:
    """Keep each version for good and give the id of its row (sequence_version) by name.

    Raises SequenceError when a version number that was used before now has other content.
    """
    wanted = {(sequence.name, sequence.version): sequence for sequence in definitions.values()}
    known = _applied(conn, definitions)
    ids = {}
    for (name, version), sequence in wanted.items():
        content = plain(sequence)
        sha256 = hashlib.sha256(canonical(content).encode()).hexdigest()
        if (name, version) not in known:
            row = {"name": name, "version": version, "sha256": sha256, "definition": content, "applied_at": at}
            ids[name] = conn.execute(insert(sequence_version).values(row).returning(sequence_version.c.id)).scalar_one()
            continue
        ids[name], applied = known[name, version]
        if applied != sha256:
            raise SequenceError(
                f"templates/{name}/sequence.yaml: version {version} was applied with other content; "
                f"leads are under way in it. Raise the version to {version + 1}"
            )
    return ids


def _applied(conn: Connection, names: Iterable[str]) -> dict[tuple[str, int], tuple[int, str]]:
    table = sequence_version.c
    rows = conn.execute(select(table.name, table.version, table.id, table.sha256).where(table.name.in_(list(names))))
    return {(row.name, row.version): (row.id, row.sha256) for row in rows}


def schema() -> dict[str, Any]:
    """Give the JSON Schema of sequence.yaml, for editors and for docs/reference/sequence.schema.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Sequence.model_json_schema(by_alias=True),
        "title": "sequence.yaml",
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))  # noqa: T201  writes docs/reference/sequence.schema.json
