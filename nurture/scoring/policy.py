"""What counts how much? Reads policies/scoring.yaml and warns about rules that cannot be meant."""

from __future__ import annotations

from collections import defaultdict
from datetime import date  # noqa: TC003  pydantic reads it at run time
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from nurture.store.definitions import Length, Part
from nurture.store.definitions import load as load_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UNSET = "unset"
SHORTEST_SILENCE_DAYS = 7
"""People who open at all mostly do so within four days: silence before the seventh day says nothing."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Award = Annotated[int, Field(ge=0, le=1000)]
Deduction = Annotated[int, Field(ge=-1000, le=-1)]


class Cap(Part):
    """At most `points` (without sign) within any span of `per`; an award past it is cut, down to 0."""

    points: int = Field(gt=0, le=10_000)
    per: Length


class Implicit(Part):
    """Engagement: each event of these kinds that a person did earns points, which decay."""

    kind: Literal["implicit"]
    id: Name
    on: tuple[str, ...] = Field(min_length=1)
    points: Award | Literal["unset"]
    cap: Cap | None = None
    half_life: Length | None = None

    @field_validator("on")
    @classmethod
    def _known_events(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = (info.context or {}).get("events", ())
        unknown = sorted(set(value) - set(known)) if known else []
        if unknown:
            raise ValueError(f"there is no event {unknown[0]!r}; vocabulary/events.yaml lists them all")
        return value

    @field_validator("half_life")
    @classmethod
    def _some_time(cls, value: Length | None) -> Length | None:
        if value is not None and value.total_seconds() <= 0:
            raise ValueError("a half-life must be longer than nothing")
        return value


class Explicit(Part):
    """Fit: a fact about the person or company. An unknown fact never counts."""

    kind: Literal["explicit"]
    id: Name
    field: Literal["role", "company_size", "industry", "country"]
    any_of: tuple[str, ...] = Field((), alias="is")
    at_least: int | None = None
    at_most: int | None = None
    points: Award

    @model_validator(mode="after")
    def _asks_something(self) -> Explicit:
        bounds = self.at_least is not None or self.at_most is not None
        if (self.field == "company_size") != bounds or bounds == bool(self.any_of):
            raise ValueError("company_size takes at_least and at_most, every other field takes `is`")
        return self


class Ignored(Part):
    """A delivered mail that nobody opened or clicked within `after`; asked only where opens are measured."""

    kind: Literal["negative"]
    when: Literal["ignored"]
    id: Name
    after: Length
    points: Deduction
    lasts: Length
    cap: Cap | None = None

    @field_validator("after")
    @classmethod
    def _patient(cls, value: Length) -> Length:
        if value.days < SHORTEST_SILENCE_DAYS:
            raise ValueError(f"a mail cannot count as ignored before day {SHORTEST_SILENCE_DAYS}; write 7d or more")
        return value


class OpensWithoutClick(Part):
    """So many different mails opened within a span, and nothing done."""

    kind: Literal["negative"]
    when: Literal["opens_without_click"]
    id: Name
    opens: int = Field(ge=2)
    within: Length
    points: Deduction
    lasts: Length
    cap: Cap | None = None


class Withdrawn(Part):
    """Consent was withdrawn. Informs only: the withdrawal itself stops all mail."""

    kind: Literal["negative"]
    when: Literal["withdrawn"]
    id: Name
    points: Deduction
    lasts: Length


class Freemail(Part):
    """A private address in place of the company's."""

    kind: Literal["negative"]
    when: Literal["freemail"]
    id: Name
    points: Deduction


class OutsideMarket(Part):
    """A known country outside the list, or a known industry or role that is excluded."""

    kind: Literal["negative"]
    when: Literal["outside_market"]
    id: Name
    countries: tuple[str, ...] = ()
    not_industries: tuple[str, ...] = ()
    not_roles: tuple[str, ...] = ()
    points: Deduction


Negative = Annotated[Ignored | OpensWithoutClick | Withdrawn | Freemail | OutsideMarket, Field(discriminator="when")]
Rule = Annotated[Implicit | Explicit | Negative, Field(discriminator="kind")]


class Bands(Part):
    """Lowest whole number of each band, and how far below it a lead stays in it."""

    warm: int = Field(gt=0)
    hot: int
    hysteresis: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _ascending(self) -> Bands:
        if self.hot <= self.warm:
            raise ValueError("hot must begin above warm")
        if self.hysteresis >= min(self.warm, self.hot - self.warm):
            raise ValueError("the hysteresis must be smaller than each band")
        return self


class Fit(Part):
    """Bounds of the sum of all facts."""

    floor: int = Field(le=0)
    ceiling: int = Field(ge=0)


class Approval(Part):
    """Who agreed to these rules, and when."""

    by: str
    on: date


class ScoringPolicy(Part):
    """The whole file."""

    policy: Literal["scoring"]
    version: int = Field(ge=1)
    bands: Bands
    half_life: Length
    fit: Fit
    approvals: dict[Literal["marketing", "sales"], Approval] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> ScoringPolicy:
        names = [rule.id for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules bear the id {twice[0]}")
        if self.half_life.total_seconds() <= 0:
            raise ValueError("half_life must be longer than nothing")
        return self

    @cached_property
    def by_event(self) -> Mapping[str, tuple[Implicit, ...]]:
        """Event kind -> the rules that read it and give points."""
        found: dict[str, list[Implicit]] = defaultdict(list)
        for rule in self.rules:
            if isinstance(rule, Implicit) and rule.points != UNSET:
                for kind in rule.on:
                    found[kind].append(rule)
        return {kind: tuple(rules) for kind, rules in found.items()}

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Which event kinds can change a score?"""
        return frozenset(self.by_event) | {"delivered", "opened", "clicked"}

    def counted_once(self) -> int:
        """How many points does a lead get who does each listed thing once?"""
        return sum(rule.points for rule in self.rules if isinstance(rule, Implicit) and rule.points != UNSET)  # type: ignore[misc]


def load(policies: Path) -> ScoringPolicy:
    """Read `scoring.yaml` of a folder; raises DefinitionError, a line `file:line: path: text` per mistake."""
    return load_file(policies / "scoring.yaml", ScoringPolicy, context={"events": known_events(policies)})


def known_events(policies: Path) -> frozenset[str]:
    """Give the names of vocabulary/events.yaml; empty where that file is absent."""
    path = policies / "vocabulary" / "events.yaml"
    return frozenset(load_file(path, Vocabulary).events) if path.exists() else frozenset()


class Label(Part):
    """What people read in place of a code name."""

    de: str
    en: str


class Vocabulary(Part):
    """The file of event names."""

    vocabulary: Literal["events"]
    version: int
    events: dict[str, Label]


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of scoring.yaml, for editors."""
    return ScoringPolicy.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
