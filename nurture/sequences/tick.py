"""What does one tick do, without Prefect? Enrol, plan and send; or only tell what it would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nurture.delivery import homes, policy, ramp, watching
from nurture.delivery.reconciling import at_hand
from nurture.delivery.sending import Counts, Kind, recover, send_next
from nurture.failpoints import committing
from nurture.sequences.planner import PlanCounts, enrol, plan
from nurture.store import statistics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.delivery.content.library import Library
    from nurture.delivery.provider import Provider
    from nurture.sequences.definition import Sequence
    from nurture.store.workspace import Workspace

LIMIT = 10_000
"""Enrolments in one transaction."""
OWNER = "nurture run"


@dataclass
class Ticked:
    """What a tick did, in counts."""

    enrolled: int = 0
    plans: PlanCounts = field(default_factory=PlanCounts)
    sent: Counts = field(default_factory=Counts)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data."""
        return {"enrolled": self.enrolled, "planned": self.plans.as_dict(), "sent": self.sent.as_dict()}


def total(parts: list[PlanCounts]) -> PlanCounts:
    """Add the counts of several calls of `plan`."""
    return PlanCounts(
        due=sum(part.due for part in parts),
        planned=sum(part.planned for part in parts),
        withheld=sum((part.withheld for part in parts), Counter()),
        deferred=sum((part.deferred for part in parts), Counter()),
        waited=sum(part.waited for part in parts),
        branched=sum(part.branched for part in parts),
        left=sum((part.left for part in parts), Counter()),
        more=bool(parts) and parts[-1].more,
    )


class Tick:
    """One run at one moment, for one sequence or all of them."""

    def __init__(
        self,
        ws: Workspace,
        definitions: Mapping[str, Sequence],
        library: Library,
        provider: Provider,
        *,
        sequence: str | None,
        at: datetime,
    ) -> None:
        """Hold what the tick needs; `at` is aware."""
        self.ws, self.library, self.provider = ws, library, provider
        self.definitions, self.sequence, self.at = definitions, sequence, at

    def run(self) -> Ticked:
        """Recover, enrol, plan and send until nothing is left to do; each step commits on its own."""
        done = Ticked()
        with self.ws.store.write() as conn:
            done.sent += recover(conn, at=self.at)
            limits, witness = policy.load(self.ws.settings.policies), at_hand(self.provider)
            watching.watch(conn, limits, self.provider.name, self.at, witness=witness)
        self.decide(done)
        if not homes.attend(self.ws, self.at):
            return done
        while (counts := self._send()) is not None:
            done.sent += counts
        return done

    def decide(self, done: Ticked) -> None:
        """Enrol and plan until nothing is due; send nothing."""
        plans: list[PlanCounts] = []
        while fresh := self._in_transaction(self._enrol):
            done.enrolled += fresh
            statistics.refresh(self.ws.store, fresh)
        while not plans or plans[-1].more:
            with committing("plan", self.ws.store.write()) as conn:
                plans.append(self._plan(conn))
            statistics.refresh(self.ws.store, plans[-1].due)
        done.plans = total(plans)

    def foresee(self) -> Ticked:
        """Tell what `run` would enrol and plan now; writes nothing."""
        done = Ticked()
        plans: list[PlanCounts] = []
        # A writer from the start: SQLite refuses to turn a reader into one when somebody wrote meanwhile.
        with self.ws.store.engine.connect().execution_options(nurture_writes=True) as conn, conn.begin() as transaction:
            while fresh := self._enrol(conn):
                done.enrolled += fresh
            while not plans or plans[-1].more:
                plans.append(self._plan(conn))
            transaction.rollback()
        done.plans = total(plans)
        return done

    def _in_transaction(self, step: Any) -> Any:  # noqa: ANN401  gives what the step gives
        with self.ws.store.write() as conn:
            return step(conn)

    def _enrol(self, conn: Connection) -> int:
        return enrol(conn, self.definitions, at=self.at, limit=LIMIT, controller=self.ws.settings.controller)

    def _plan(self, conn: Connection) -> PlanCounts:
        return plan(
            conn,
            self.ws,
            self.definitions,
            self.library,
            provider_name=self.provider.name,
            batch_limit=self._batch_limit(),
            sequence=self.sequence,
            at=self.at,
            limit=LIMIT,
        )

    def _batch_limit(self) -> int:
        settings = self.ws.settings
        most = min(self.provider.batch_limit, settings.batch_size)
        return ramp.largest_batch(policy.load(settings.policies), self.at, settings.tz, most)

    def _send(self) -> Counts | None:
        return send_next(self.ws, self.library, self.provider, kind=Kind.MARKETING, owner=OWNER, at=self.at)
