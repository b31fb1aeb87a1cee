"""When does marketing stop by itself, and how much may leave? Reads policies/sending.yaml."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from nurture.rereading import remembered
from nurture.store import definitions
from nurture.store.definitions import Length, Part

if TYPE_CHECKING:
    from pathlib import Path

FILE = "sending.yaml"
Percent = Annotated[Decimal, Field(gt=0, le=100)]
"""Exact: 0.3 % of 1,000 is 3."""


class DoubtBudget(Part):
    """More than `most_percent` of the last `of_last` marketing mails in doubt or unknown stop marketing."""

    most_percent: Percent = Decimal("0.5")
    of_last: int = Field(1000, ge=100, le=100_000)

    @property
    def most(self) -> Decimal:
        """How many may be doubtful, before marketing stops."""
        return self.most_percent * self.of_last / 100


class ComplaintLimits(Part):
    """Which share of complaints warns, and which stops marketing, within a time that ends now.

    The limits are those of Google's and Yahoo's guidelines for bulk senders (2024).
    """

    warn_percent: Percent = Decimal("0.1")
    stop_percent: Percent = Decimal("0.3")
    within: Length = timedelta(days=7)
    at_least: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> ComplaintLimits:
        if self.warn_percent > self.stop_percent:
            message = "warn_percent must not be above stop_percent"
            raise ValueError(message)
        return self


class Ramp(Part):
    """A day's volume of marketing mails: `first_day` on the day it `begins`, `growth` times more each day."""

    begins: date
    first_day: int = Field(ge=1)
    growth: Decimal = Field(ge=1, le=10)
    ceiling: int = Field(ge=1)

    def volume(self, day: date) -> int:
        """How many mails may leave on a day of the legal zone? Before the ramp begins as on its first day."""
        grown = Decimal(self.first_day)
        for _ in range((day - self.begins).days):
            if self.growth == 1 or grown >= self.ceiling:
                break
            grown *= self.growth
        return min(int(grown), self.ceiling)


class SendingPolicy(Part):
    """The whole file."""

    version: int = Field(1, ge=1)
    in_doubt: DoubtBudget = DoubtBudget()
    complaints: ComplaintLimits = ComplaintLimits()
    ramp: Ramp | None = None
    spread: Length | None = None


def load(policies: Path) -> SendingPolicy:
    """Read `sending.yaml` of the policies folder; a project without one has the defaults.

    Raises DefinitionError that names file, line and reason.
    """
    path = policies / FILE
    return remembered(_read, path) if path.exists() else SendingPolicy()


def _read(path: Path) -> SendingPolicy:
    return definitions.load(path, SendingPolicy)
