"""When does a lead go to sales, and how long may they take? Reads policies/handover.yaml."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal

import holidays
from pydantic import Field, field_validator, model_validator

from nurture import NurtureError
from nurture.store import definitions
from nurture.store.definitions import Length, Part

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ANY = "any"


class HandoverError(NurtureError):
    """A handover cannot be done as asked; the message says why and what to do."""


class Words(Part):
    """One text in the languages of our readers."""

    de: str
    en: str


class Condition(Part):
    """What must hold for a rule: everything that is named."""

    temperature: Literal["cold", "warm", "hot"] | None = None
    signal: tuple[str, ...] = ()
    within: Length = timedelta(days=30)

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if self.temperature is None and not self.signal:
            raise ValueError("name a temperature, a signal or both")
        return self


class Rule(Part):
    """One way to qualify. `answer_within` counts working hours."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    when: Condition
    answer_within: Length


class WorkingHours(Part):
    """When sales is at work, in the legal time zone."""

    days: str = "mon-fri"
    opens: time = Field(alias="from")
    closes: time = Field(alias="to")
    holidays: str = "DE"

    @field_validator("days")
    @classmethod
    def _known_days(cls, value: str) -> str:
        first, _, last = value.partition("-")
        if first not in DAYS or (last or first) not in DAYS or DAYS.index(last or first) < DAYS.index(first):
            raise ValueError("write a day or a span such as mon-fri")
        return value

    @model_validator(mode="after")
    def _opens_first(self) -> WorkingHours:
        if self.opens >= self.closes:
            raise ValueError("`from` must be earlier than `to`")
        return self

    def is_working_day(self, day: date) -> bool:
        """Is sales at work on this date?"""
        first, _, last = self.days.partition("-")
        if not DAYS.index(first) <= day.weekday() <= DAYS.index(last or first):
            return False
        return self.holidays == "none" or day not in holidays.country_holidays(self.holidays, years=day.year)

    def deadline(self, start: datetime, length: timedelta, zone: ZoneInfo) -> datetime:
        """Give the end of `length` working hours after `start`, UTC in, UTC out."""
        left, moment = length, start.astimezone(zone)
        while True:
            opens = datetime.combine(moment.date(), self.opens, zone)
            closes = datetime.combine(moment.date(), self.closes, zone)
            begins = max(moment, opens)
            if self.is_working_day(moment.date()) and begins < closes:
                if left <= closes - begins:
                    return (begins + left).astimezone(start.tzinfo)
                left -= closes - begins
            moment = datetime.combine(moment.date() + timedelta(days=1), time(0), zone)


class TalkingPoints(Part):
    """What sales may start with."""

    next: Words
    points: tuple[Words, ...]


class HandoverPolicy(Part):
    """The whole file."""

    version: int = Field(ge=1)
    rules: tuple[Rule, ...]
    working_hours: WorkingHours
    talking_points: dict[str, TalkingPoints]

    @model_validator(mode="after")
    def _names_are_unique(self) -> HandoverPolicy:
        if not self.rules:
            raise ValueError("without a rule nobody is ever handed over")
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("two rules bear the same name")
        if "none" not in self.talking_points:
            raise ValueError("talking_points needs an entry `none`")
        return self


def load(policies: Path) -> HandoverPolicy:
    """Read the policy; raises DefinitionError with one line per mistake, each `file:line: path: text`."""
    return definitions.load(policies / "handover.yaml", HandoverPolicy)
