"""What happens in one simulated installation? Planning, sending, events, withdrawals, trouble; from one seed."""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Engine, event

from consent.keys import Keyring
from nurture import failpoints
from nurture.clock import VirtualClock
from nurture.delivery import facts, sending, switch
from nurture.delivery.confirmations import queue_confirmations
from nurture.leads.rights import ending
from nurture.settings import Settings
from nurture.store.engine import open_store
from nurture.store.workspace import Workspace
from nurture.tracking.ingest import ingest
from nurture.tracking.intake import Source, store_raw
from tests.nurture.delivery.world import World
from tests.simulation import population
from tests.simulation.broken import STRIDE
from tests.simulation.checker import LONG_AFTER, Checker
from tests.simulation.population import CAP, START, Template
from tests.simulation.provider import Odds, SimulatedProvider
from tests.simulation.scheduler import Intent, Scheduler, SimulatedStore, Worker

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from nurture.delivery.provider import Outgoing
    from tests.simulation.broken import Variant

STEPS = 200
"""Turns of the scheduler in one seed, before all is brought to rest."""
SEND = "sender"


@dataclass
class Ground:
    """What seeds share, for speed: one template, one engine with its compiled statements, one path."""

    folder: Path
    template: Template
    engine: Engine
    settings: Settings
    keyring: Keyring

    @classmethod
    def prepare(cls, folder: Path) -> Ground:
        """Make it in a folder, best one in memory (/dev/shm)."""
        template = population.build(folder)
        address = f"sqlite:///{folder / 'nurture.db'}"
        settings = Settings(home=folder, database_url=address, project=population.project(folder))
        engine = open_store(settings.database).engine
        # Crashes here are of workers, not of the machine: waiting for the disk would test nothing.
        event.listen(engine, "connect", lambda wire, _: wire.execute("PRAGMA synchronous=OFF"))
        return cls(folder, template, engine, settings, Keyring.load_or_create(template.keys))

    @property
    def database(self) -> Path:
        """Where the database of the present seed lies."""
        return self.folder / "nurture.db"

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


@dataclass
class Outcome:
    """What one seed did."""

    seed: int
    crossings: int
    crashes: int
    reached: Counter[str]
    states: Counter[str]
    transitions: Counter[tuple[str, str]]
    faults: Counter[str]
    fates: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    taken: int = 0
    withdrawals: int = 0
    trace: list[str] = field(default_factory=list)


class Installation:
    """One run of one seed."""

    def __init__(self, ground: Ground, seed: int, *, variant: Variant | None = None) -> None:
        """Set the dice; `variant` is a broken order of steps in place of the product's."""
        self.ground, self.seed, self.variant = ground, seed, variant
        self.sender = variant.sender if variant else sending.send_next
        self.rng = rng = random.Random(seed)  # noqa: S311  dice of a simulation
        self.clock = VirtualClock(START)
        ground.engine.dispose()
        population.copy(ground.template, ground.database)
        quiet = rng.random() < 0.1
        self.scheduler = Scheduler(
            rng,
            crash=0 if quiet else rng.choice((0.02, 0.05, 0.12)),
            pause=(variant and variant.pause) or (0 if quiet else rng.choice((0.0, 0.01, 0.05))),
            interrupt=rng.choice((0.0, 0.2, 0.6)),
        )
        odds = Odds(
            fault=0 if quiet else rng.choice((0.05, 0.2, 0.5)),
            bad_recipient=rng.choice((0.0, 0.1)),
            event_lost=rng.choice((0.02, 0.3)),
            event_twice=rng.choice((0.0, 0.3)),
            log_silent=rng.choice((0.6, 1.0)),
        )
        self.provider = SimulatedProvider(rng, odds, self.clock.now)
        self.provider.seen = self._submitted
        self.store = SimulatedStore(ground.engine, self.scheduler)
        self.ws = Workspace(ground.settings, self.store, ground.keyring)
        self.checker = Checker(ground.database, self.provider.taken, CAP, stride=STRIDE)
        # A variant is to be caught by what it does to people.
        self.checker.strict = variant is None
        self.scheduler.tolerant = variant is not None
        self.scheduler.watch = self._watch
        self.store.committed = self.checker.committed
        self.world = World(self.ws, START, sequence=ground.template.sequence)
        self.occurrence = 1
        self.checked = -1

    def run(self, steps: int = STEPS) -> Outcome:
        """Let it live, then come to rest. Raises BrokenPromiseError, or whatever the code under test raises."""
        try:
            with self._changed(), failpoints.watching(self.scheduler.reach), stopwatch(self._seconds):
                for _ in range(steps):
                    self._turn()
                    self._check()
                self._come_to_rest()
                fates = self.checker.at_rest(self.store)
            return self._outcome(fates)
        finally:
            self.scheduler.kill_all()
            self.checker.close()

    @contextmanager
    def _changed(self) -> Iterator[None]:
        """Take away what the variant lacks."""
        if self.variant is None:
            yield
            return
        with self.store.write() as conn:
            changed = self.variant.changed(conn)
            changed.__enter__()
        try:
            yield
        finally:
            changed.__exit__(None, None, None)

    def _seconds(self) -> float:
        return self.scheduler.monotonic

    def _outcome(self, fates: dict[str, int]) -> Outcome:
        scheduler, checker = self.scheduler, self.checker
        return Outcome(
            self.seed, scheduler.crossings, scheduler.crashes, scheduler.reached, checker.states, checker.transitions,
            self.provider.faults, fates, self.provider.requests, sum(self.provider.taken.times.values()),
            len(checker.withdrawn), scheduler.trace,
        )  # fmt: skip

    # --- what may happen next

    def _turn(self) -> None:
        """One event of the world, or one stretch of a worker."""
        roll = self.rng.random()
        if roll < 0.08:
            self._pass_time(self.rng.choice((1, 10, 60, 60)))
        elif roll < 0.10:
            self._pass_time(self.rng.choice((360, 1200, 3600, 20000)))
        elif roll < 0.103:
            self._pass_time(400000)
        elif roll < 0.108:
            # The clock is set, the machine's stopwatch does not move.
            self.clock.move_to(self.clock.now() + timedelta(hours=self.rng.choice((-2, -1, 2))))
        elif roll < 0.113:
            self.scheduler.kill_all()
        elif len(self.scheduler.workers) < 4 and roll < 0.4:
            self._start()
        elif not self.scheduler.step():
            self._start() if len(self.scheduler.workers) < 6 else self._pass_time(60)

    def _start(self) -> None:
        """A process begins."""
        works: list[tuple[int, str, Callable[[], object]]] = [
            (20, SEND, self._send),
            (5, "planner", self._plan),
            (3, "confirmer", self._confirm),
            (5, "webhook", self._hear),
            (4, "reconciler", self._reconcile),
            (variant.withdrawals if (variant := self.variant) else 1, "person", self._withdraw),
            (1, "operator", self._switch),
        ]
        [(_, name, work)] = self.rng.choices(works, weights=[one[0] for one in works])
        self.scheduler.start(f"{name}{self.scheduler.crossings}", work)

    def _pass_time(self, seconds: float) -> None:
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))
        self.scheduler.monotonic += seconds
        self.provider.go_on()

    # --- the processes; each is what a flow of ours does

    def _send(self) -> None:
        with self.store.write() as conn:
            sending.recover(conn, at=self.clock.now())
        kind = self.rng.choice(("marketing", "marketing", "confirmation"))
        owner = f"w{self.scheduler.crossings}"
        for _ in range(20):
            done = self.sender(self.ws, self.world.library, self.provider, kind=kind, owner=owner, at=self.clock.now())
            if done is None:
                return

    def _plan(self) -> None:
        self.occurrence += 1
        everybody = list(self.ground.template.subjects)
        chosen = self.rng.sample(everybody, self.rng.randint(1, len(everybody)))
        # Every now and then a step that is planned already: planning twice changes nothing.
        n = self.occurrence if self.rng.random() < 0.8 else self.rng.randint(1, self.occurrence)
        self._world().plan(
            *chosen,
            tracked=self.rng.random() < 0.3,
            batch_limit=self.rng.choice((1, 3, 10)),
            late=timedelta(hours=self.rng.choice((1, 24))),
            n=n,
        )

    def _confirm(self) -> None:
        with failpoints.committing("plan", self.store.write()) as conn:
            queue_confirmations(conn, self.ws, self.world.library, at=self.clock.now(), limit=10)

    def _hear(self) -> None:
        body = self.provider.post()
        if body is not None:
            with self.store.write() as conn:
                store_raw(conn, self.ws.keyring, source=Source.SENDGRID, body=body, at=self.clock.now())
                failpoints.reach("webhook.raw_before_commit")
            failpoints.reach("webhook.raw_after_commit")
            self.provider.acknowledged()
        with self.store.write() as conn:
            ingest(conn, self.ws, at=self.clock.now(), limit=100)
            failpoints.reach("webhook.apply_mid")

    def _reconcile(self) -> None:
        with failpoints.committing("reconcile", self.store.write()) as conn:
            facts.reconcile(conn, at=self.clock.now(), witness=self.provider)

    def _withdraw(self) -> None:
        number = self.rng.randrange(len(self.ground.template.subjects))
        subject = self.ground.template.subjects[number]
        with self.store.write() as conn:
            ending.withdraw(
                conn, subject=subject, controller="default", purposes=None, route="page", actor="subject",
                at=self.clock.now(),
            )  # fmt: skip
        # Nobody else ran since the commit.
        self.checker.withdrawn.add(f"person{number + 1}@example.org")

    def _switch(self) -> None:
        with self.store.write() as conn:
            if not switch.resume(conn, switch.ALL, "me", "test", self.clock.now()):
                switch.stop(conn, switch.ALL, "me", "test", self.clock.now())
        self.checker.stopped = not self.checker.stopped

    def _world(self) -> World:
        return World(self.ws, self.clock.now(), self.world.library, self.world.sequence)

    # --- the checks

    def _watch(self, worker: Worker, name: str) -> None:
        """Note what was true when an intent was committed: nobody else has run since."""
        if name == "intent.after_commit":
            worker.intent = Intent(self.clock.now(), frozenset(self.checker.withdrawn), self.checker.stopped)

    def _submitted(self, batch: Sequence[Outgoing]) -> None:
        worker = self.scheduler.current()
        # A variant that sends before it decides has no intent to speak of.
        intent = (worker and worker.intent) or Intent(self.clock.now(), frozenset(), stopped=False)
        self.checker.submitted(batch, intent.withdrawn, intent.at, stopped=intent.stopped)

    def _check(self) -> None:
        taken = len(self.provider.taken.order)
        if self.checker.found or self.checked != self.store.commits + taken:
            self.checked = self.store.commits + taken
            self.checker.look()

    def _come_to_rest(self) -> None:
        """No more faults; everything that is under way ends, one way or another."""
        self.scheduler.kill_all()
        self.scheduler.calm = self.provider.calm = True
        with self.store.write() as conn:
            switch.resume(conn, switch.ALL, "me", "test", self.clock.now())
            self.checker.stopped = False
        for wait in LONG_AFTER:
            self._pass_time(wait.total_seconds())
            self._hear_everything()
            with self.store.write() as conn:
                sending.recover(conn, at=self.clock.now())
            with self.store.write() as conn:
                facts.reconcile(conn, at=self.clock.now())
            for work in (self._confirm, self._send, self._send):
                self.scheduler.start("last", work)
                while self.scheduler.step():
                    pass
            self._check()

    def _hear_everything(self) -> None:
        while (body := self.provider.post()) is not None:
            with self.store.write() as conn:
                store_raw(conn, self.ws.keyring, source=Source.SENDGRID, body=body, at=self.clock.now())
            self.provider.acknowledged()
        with self.store.write() as conn:
            ingest(conn, self.ws, at=self.clock.now(), limit=1000)


@contextmanager
def stopwatch(reading: Callable[[], float]) -> Iterator[None]:
    """Let the sending path read the simulation's stopwatch: the second half of the clock's port."""
    before, sending.stopwatch = sending.stopwatch, reading  # type: ignore[attr-defined]
    try:
        yield
    finally:
        sending.stopwatch = before  # type: ignore[attr-defined]


@contextmanager
def dice(seed: int) -> Iterator[None]:
    """The port of ids and randomness: what the system's generator and `random` give comes from the seed."""
    rng = random.Random(seed)  # noqa: S311  as above
    kept = (os.urandom, random._urandom, random.getstate())  # type: ignore[attr-defined]  # noqa: SLF001
    os.urandom = rng.randbytes
    random._urandom = rng.randbytes  # type: ignore[attr-defined]  # noqa: SLF001
    random.seed(seed)
    try:
        yield
    finally:
        os.urandom, random._urandom = kept[0], kept[1]  # type: ignore[attr-defined]  # noqa: SLF001
        random.setstate(kept[2])


def run(ground: Ground, seed: int, variant: Variant | None = None, *, steps: int = STEPS) -> Outcome:
    """Run one seed, of the product or of a broken variant."""
    with dice(seed):
        return Installation(ground, seed, variant=variant).run(steps)
