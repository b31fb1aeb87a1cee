"""Who runs next? One of many workers in one thread, chosen by a seed, switched at failpoints and locks.

Every worker is a greenlet that runs the real code. At a failpoint it may be crashed (an exception that no
`except Exception` catches, so that the open transaction is rolled back as after SIGKILL), put to sleep beyond
its lease, or interrupted in favour of another. The same seed gives the same run.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from nurture.store.engine import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from random import Random

    from sqlalchemy import Connection, Engine


class Crash(BaseException):
    """The process died here."""


@dataclass(frozen=True)
class Intent:
    """What was true when a worker's intent was committed."""

    at: datetime
    withdrawn: frozenset[str]
    """Addresses whose withdrawal was committed by then."""
    stopped: bool


@dataclass(eq=False)
class Worker:
    """A process of ours, in miniature."""

    name: str
    run: greenlet
    asleep_until: float = 0.0
    """By the machine's stopwatch."""
    waits: bool = False
    """For the write lock."""
    intent: Intent | None = None
    """Its last one."""


class Scheduler:
    """The one thread and its dice."""

    def __init__(self, rng: Random, *, crash: float, pause: float, interrupt: float) -> None:
        """Take the probabilities, per crossing, of a crash, of a long pause, and of a switch to another worker."""
        self.rng, self.odds = rng, {"crash": crash, "pause": pause, "interrupt": interrupt}
        self.calm = False
        self.tolerant = False
        self.workers: list[Worker] = []
        self.crossings = 0
        self.crashes = 0
        self.reached: Counter[str] = Counter()
        self.trace: list[str] = []
        self.holder: Worker | None = None
        """Who holds the database's one write lock."""
        self.monotonic = 0.0
        self.watch: Callable[[Worker, str], None] = lambda _worker, _name: None
        self._main = getcurrent()

    def start(self, name: str, work: Callable[[], object]) -> None:
        """Begin a process; it runs when its turn comes."""

        def run() -> None:
            try:
                work()
            except Crash:
                self.crashes += 1
            except Exception:
                # A process that raises has died, too. Of ours none may; a broken variant runs into constraints.
                if not self.tolerant:
                    raise

        worker = Worker(name, greenlet(run, self._main))
        self.workers.append(worker)

    def current(self) -> Worker | None:
        """Which worker runs? None: the scheduler itself (setting up, checking)."""
        me = getcurrent()
        return next((one for one in self.workers if one.run is me), None)

    def reach(self, name: str) -> None:
        """Be the observer of all failpoints."""
        me = self.current()
        if me is None:
            return
        self.crossings += 1
        self.reached[name] += 1
        self.trace.append(f"{me.name} {name}")
        self.watch(me, name)
        if self.calm:
            return
        roll = self.rng.random()
        if roll < self.odds["crash"]:
            raise Crash(name)
        roll -= self.odds["crash"]
        if roll < self.odds["pause"] and self.holder is not me:
            me.asleep_until = self.monotonic + self.rng.choice((40, 301, 301, 700, 4000))
            self._main.switch()
        elif roll < self.odds["interrupt"]:
            self._main.switch()

    def step(self) -> bool:
        """Let one worker that can run go on until it stops by itself; False when none can."""
        ready = [
            one
            for one in self.workers
            if one.asleep_until <= self.monotonic and not (one.waits and self.holder is not None)
        ]
        if not ready:
            return False
        chosen = self.rng.choice(ready)
        chosen.run.switch()
        self._bury()
        return True

    def kill_all(self) -> None:
        """Cut the power."""
        for one in self.workers:
            if one.run:
                one.run.throw(Crash("power"))
        self._bury()
        self.workers.clear()
        self.holder = None

    def wake_all(self) -> None:
        """Let every pause end."""
        for one in self.workers:
            one.asleep_until = 0.0

    def _bury(self) -> None:
        self.workers = [one for one in self.workers if not one.run.dead]

    def lock(self) -> None:
        """Become the database's writer, as BEGIN IMMEDIATE does; others wait."""
        me = self.current()
        if me is None:
            if self.holder is not None:
                raise AssertionError("the scheduler itself wants to write while a worker does")
            return
        while self.holder is not None:
            me.waits = True
            self._main.switch()
        me.waits = False
        self.holder = me

    def unlock(self) -> None:
        """Let others write."""
        if self.holder is self.current():
            self.holder = None


class SimulatedStore(Store):
    """The real store; only waiting for the write lock is the scheduler's business, as it has one thread."""

    def __init__(self, engine: Engine, scheduler: Scheduler) -> None:
        """Wrap an engine made by `open_store`."""
        super().__init__(engine)
        self.scheduler = scheduler
        self.commits = 0
        self.committed: Callable[[], None] = lambda: None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction."""
        self.scheduler.lock()
        try:
            with super().write() as connection:
                yield connection
            self.commits += 1
            self.committed()
        finally:
            self.scheduler.unlock()
