"""Which states can a batch of messages have, and what leads from one to the next?

The table below is the whole truth: `nurture.store.guards` turns it into database triggers, so that
a bug cannot send twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a batch is for; decides what a doubt about it leads to."""

    MARKETING = "marketing"
    """At most once: after a doubt never again automatically."""
    CONFIRMATION = "confirmation"
    """At least once: after a doubt a new message, at most three in all."""


class State(StrEnum):
    """Where a batch stands."""

    PLANNED = "planned"
    """Waits until `not_before`; nobody holds it."""
    CLAIMED = "claimed"
    """A worker holds it until `lease_until`; no outside effect possible yet."""
    SUBMITTING = "submitting"
    """The intent is committed: the mails may leave from now on."""
    ACCEPTED = "accepted"
    """The provider took it, by its answer or by proof."""
    REJECTED = "rejected"
    """The provider will never take it."""
    IN_DOUBT = "in_doubt"
    """Nobody knows yet whether the provider took it."""
    UNKNOWN = "unknown"
    """The doubt was never resolved; shown and counted."""
    SUPPRESSED = "suppressed"
    """No message in it may be sent."""
    EXPIRED = "expired"
    """Not sent in time."""
    FAILED_RENDER = "failed_render"
    """No message in it could be written, or its workers kept dying."""


@dataclass
class Counts:
    """What a piece of work did, in messages. `withheld` is by reason."""

    accepted: int = 0
    refused: int = 0
    rejected: int = 0
    in_doubt: int = 0
    unknown: int = 0
    expired: int = 0
    failed: int = 0
    released: int = 0
    withheld: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Counts) -> Counts:
        """Add two reports."""
        names = ("accepted", "refused", "rejected", "in_doubt", "unknown", "expired", "failed", "released")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Counts(**sums, withheld=self.withheld + other.withheld)

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """Give plain data for JSON: every count, and `withheld` by reason."""
        plain: dict[str, int | dict[str, int]] = {
            name: value for name, value in self.__dict__.items() if isinstance(value, int)
        }
        plain["withheld"] = dict(sorted(self.withheld.items()))
        return plain
