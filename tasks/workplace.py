"""What do tasks work with? One open workspace per flow run, and definitions read once, when first wanted.

It does not travel as a parameter: Prefect looks into parameters and shows them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING

from consent.tokens import random_id
from nurture import NurtureError
from nurture.clock import SystemClock, VirtualClock
from nurture.delivery.content.library import Library
from nurture.delivery.provider import open_provider
from nurture.handover import policy as handover_policy
from nurture.handover.targets import open_target
from nurture.scoring import policy as scoring_policy
from nurture.sequences import definition
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from nurture.clock import Clock
    from nurture.delivery.provider import Provider
    from nurture.handover.policy import HandoverPolicy
    from nurture.handover.targets import Target
    from nurture.scoring.policy import ScoringPolicy
    from nurture.sequences.definition import Sequence
    from nurture.store.engine import Store
    from nurture.store.workspace import Workspace


class Workplace:
    """An open workspace, its clock, and what its files define."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        """Work in this workspace by this clock."""
        self.workspace = workspace
        self.clock = clock
        self.owner = f"{os.getpid()}-{random_id()}"
        """Who holds a claim: this run and no other."""

    @property
    def store(self) -> Store:
        """The database."""
        return self.workspace.store

    @property
    def now(self) -> datetime:
        """The present by the run's clock, UTC: the machine's, or the one time it was told to act at."""
        return self.clock.now()

    @cached_property
    def library(self) -> Library:
        """All mails."""
        return Library.load(self.workspace.settings.templates)

    @cached_property
    def definitions(self) -> Mapping[str, Sequence]:
        """All sequences, by name."""
        return definition.load(self.workspace.settings.templates, self.workspace.settings.policies)

    @cached_property
    def scoring(self) -> ScoringPolicy:
        """The scoring rules."""
        return scoring_policy.load(self.workspace.settings.policies)

    @cached_property
    def handover(self) -> HandoverPolicy:
        """When a lead goes to sales."""
        return handover_policy.load(self.workspace.settings.policies)

    @cached_property
    def provider(self) -> Provider:
        """Who delivers mail."""
        return open_provider(self.workspace.settings, self.workspace.keyring)

    @cached_property
    def target(self) -> Target:
        """Where handovers go."""
        return open_target(self.workspace.settings)


_current: ContextVar[Workplace] = ContextVar("workplace")


@contextmanager
def workplace(at: datetime | None = None) -> Iterator[Workplace]:
    """Open the workspace of NURTURE_HOME for a flow run; `at` (aware) stops its clock there."""
    clock: Clock = SystemClock() if at is None else VirtualClock(at)
    with open_workspace() as workspace:
        made = Workplace(workspace, clock)
        token = _current.set(made)
        try:
            yield made
        finally:
            _current.reset(token)


def here() -> Workplace:
    """Give the workplace of the flow run we are in."""
    found = _current.get(None)
    if found is None:
        raise NurtureError("a task was called outside of a flow; wrap it in tasks.workplace.workplace()")
    return found
