"""Runs transactions of several connections one statement at a time, in an order that a seed decides.

Each actor is a thread with a connection of its own that stops before every statement and before its
commit, until it is given a turn. So every interleaving that the database allows can be played, and
played again. Who waits for a lock waits in the database, as in production; the others go on.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from nurture.store.engine import Store

PATIENCE = 60.0
"""Seconds without any actor moving: a deadlock, or a lock that is never given."""


class Actor(threading.Thread):
    """One thread doing one job, a statement at a time."""

    def __init__(self, number: int, job: Callable[[], object], reports: queue.Queue[Actor]) -> None:
        """Begin waiting as soon as it is started."""
        super().__init__(daemon=True)
        self.number, self.job, self.reports = number, job, reports
        self.go = threading.Semaphore(0)
        self.next = "begin"
        self.done = False
        self.result: object = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the job."""
        CURRENT.actor = self
        self.stop("begin")
        try:
            self.result = self.job()
        except BaseException as error:  # noqa: BLE001  handed to the test
            self.error = error
        self.done = True
        self.reports.put(self)

    def stop(self, before: str) -> None:
        """Wait for a turn."""
        self.next = before
        self.reports.put(self)
        self.go.acquire()


CURRENT = threading.local()


@dataclass
class _Table:
    """Who may be given the turn, who waits in the database, and who is the ledger's writer."""

    ready: list[Actor]
    waiting: list[Actor] = field(default_factory=list)
    holder: Actor | None = None


class Scheduler:
    """Plays schedules on one store."""

    def __init__(self, store: Store) -> None:
        """Stop before every statement and commit of an actor."""
        self.store = store
        self.steps = 0
        """Turns given in all."""
        self.waits = 0
        """How often somebody waited in the database for another's lock."""
        self.switches = 0
        """How often the turn went to another while the first was inside a transaction."""
        event.listen(store.engine, "before_cursor_execute", _before)
        event.listen(store.engine, "commit", _commit)

    def close(self) -> None:
        """Stop no more."""
        event.remove(self.store.engine, "before_cursor_execute", _before)
        event.remove(self.store.engine, "commit", _commit)

    def play(self, jobs: Sequence[Callable[[], object]], chance: random.Random) -> tuple[list[Any], str]:
        """Do the jobs in a random interleaving; give their results and the order of turns.

        Raises what a job raised, and TimeoutError when nobody can move.
        """
        reports: queue.Queue[Actor] = queue.Queue()
        actors = [Actor(number, job, reports) for number, job in enumerate(jobs)]
        for actor in actors:
            actor.start()
            _report(reports)
        table = _Table(list(actors))
        turns = []
        while table.ready:
            # SQLite's wait is a poll with sleeps: there, who would wait is not given the turn.
            free = table.holder is None or not self._polls
            actor = chance.choice([one for one in table.ready if free or one is table.holder or not self._locks(one)])
            turns.append(str(actor.number))
            self._turn(actor, table, reports)
        for actor in actors:
            actor.join(PATIENCE)
            if actor.error is not None:
                raise actor.error
        return [actor.result for actor in actors], "".join(turns)

    def _turn(self, actor: Actor, table: _Table, reports: queue.Queue[Actor]) -> None:
        """Let one actor do one statement, and see who moved."""
        self.steps += 1
        self.switches += table.holder is not None and actor is not table.holder
        locks, ends = self._locks(actor), actor.next == "commit" and actor is table.holder
        table.ready.remove(actor)
        actor.go.release()
        if locks and table.holder not in {None, actor}:
            self.waits += 1
            table.waiting.append(actor)
            return
        if locks:
            table.holder = actor
        if ends:
            table.holder = None
        # After a commit the database gives the lock to one of those who wait: that one moves, too.
        for _ in range(2 if ends and table.waiting else 1):
            moved = _report(reports)
            if moved in table.waiting:
                table.waiting.remove(moved)
                table.holder = moved
            if not moved.done:
                table.ready.append(moved)
        table.ready.sort(key=lambda one: one.number)

    @property
    def _polls(self) -> bool:
        return self.store.dialect == "sqlite"

    def _locks(self, actor: Actor) -> bool:
        """Is an actor about to become the ledger's one writer?"""
        if self._polls:
            return actor.next.startswith("BEGIN IMMEDIATE")
        return "ledger_head" in actor.next and actor.next.rstrip().endswith("FOR UPDATE")


def _report(reports: queue.Queue[Actor]) -> Actor:
    try:
        return reports.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError("nobody moves: a deadlock") from None


def _before(_conn: object, _cursor: object, statement: str, *_: object) -> None:
    actor = getattr(CURRENT, "actor", None)
    if actor is not None:
        actor.stop(statement)


def _commit(_conn: object) -> None:
    actor = getattr(CURRENT, "actor", None)
    if actor is not None:
        actor.stop("commit")


def schedules(store: Store) -> Iterator[Scheduler]:
    """Give a scheduler, and take it away again."""
    made = Scheduler(store)
    try:
        yield made
    finally:
        made.close()
