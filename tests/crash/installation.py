"""What does one process of ours do in its short life? The same as our flows, until it is killed."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from nurture import failpoints
from nurture.clock import VirtualClock
from nurture.delivery import circuit, facts, sending, switch
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.provider import open_provider
from nurture.delivery.states import Kind
from nurture.failpoints import committing, reach
from nurture.leads.rights import ending
from nurture.settings import Settings
from nurture.store.engine import open_store
from nurture.store.keyrings import open_keyring
from nurture.store.migrations import upgrade
from nurture.store.workspace import Workspace
from nurture.tracking.ingest import ingest
from nurture.tracking.intake import Source, store_raw
from tests.crash.verdict import read_log
from tests.nurture.delivery.world import World
from tests.nurture.delivery.world import library as templates
from tests.simulation import population

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from nurture.delivery.provider import Provider
    from tests.simulation.broken import Variant

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
CAP = 40
"""Mails per lead and day in these runs: high enough that mails flow, low enough to bite now and then."""
BATCHES = 8
"""Batches in one life."""
TIMEOUT = 1.0
"""Seconds until our side gives up waiting for the provider. On a busy machine less would be a timeout each time."""
KEY = "SG.crash-loop-no-secret"
SILENT = 0.6
"""How often the provider's log gives no answer."""


@dataclass(frozen=True)
class Day:
    """What a process is told to do."""

    at: datetime
    seed: int
    step: int
    """The step to plan for some people."""
    orders: str = ""
    """Where to die, in the words of NURTURE_FAILPOINTS."""
    bodies: tuple[bytes, ...] = ()
    """Webhook posts to take in."""
    withdraws: int | None = None
    """Who takes consent back."""
    switches: bool = False


@dataclass
class Installation:
    """Everything that outlives the processes."""

    ws: Workspace
    url: str
    log: Path
    """What the provider accepted."""
    subjects: tuple[str, ...] = ()
    sequence: int = 0
    variant: Variant | None = None
    world: World = field(init=False)

    def __post_init__(self) -> None:
        """Compile the mails once."""
        self.world = World(self.ws, START, templates())

    def populate(self, people: int, requests: int) -> None:
        """Let people in, and run everything once, so that all statements are compiled before processes part."""
        self.subjects = tuple(self.world.person(tracking=number % 5 == 0) for number in range(people))
        for number in range(requests):
            self.world.sign_up(f"new{number}")
        self.live(Day(START, 0, 1))
        self.sequence = self.world.sequence
        self.ws.store.close()

    def live(self, day: Day) -> None:
        """Do everything that our flows do, once. Dies where it is told to."""
        watched = failpoints.watching(failpoints.ordered(day.orders)) if day.orders else nullcontext()
        with watched:
            self._recover(day)
            self._plan(day)
            for body in day.bodies:
                self._hear(day, body)
            if day.switches:
                self._switch(day)
            if day.withdraws is not None:
                self._withdraw(day, day.withdraws)
            provider = open_provider(self.ws.settings, self.ws.keyring)
            for kind in (Kind.MARKETING, Kind.CONFIRMATION):
                self._send(day, provider, kind)
            self._reconcile(day)

    def live_down(self, at: datetime) -> None:
        """Start nothing new: only put right, and resolve doubts without the provider's help."""
        with self.ws.store.write() as conn:
            sending.recover(conn, at=at)
        with self.ws.store.write() as conn:
            facts.reconcile(conn, at=at)

    def _recover(self, day: Day) -> None:
        with self.ws.store.write() as conn:
            sending.recover(conn, at=day.at)
            if not day.orders:
                # Who was killed between stop and resume left everything stopped; a person lifts it.
                switch.resume(conn, switch.ALL, "me", "test", day.at)
            if day.seed % 4 == 0:
                # A person has looked. So many doubts in so short a time keep the circuit open else, and nothing flows.
                circuit.close(conn, self.ws.settings.provider, day.at)

    def _plan(self, day: Day) -> None:
        rng = Random(day.seed)  # noqa: S311  dice of a test
        chosen = rng.sample(self.subjects, min(len(self.subjects), rng.randint(2, 8)))
        world = World(self.ws, day.at, self.world.library, self.world.sequence)
        # Two processes may plan the same step at once: then the unique key decides, and one of them gives way.
        with suppress(IntegrityError):
            world.plan(*chosen, batch_limit=rng.randint(1, 4), late=timedelta(hours=8), n=day.step)
        self.world.sequence = world.sequence
        with committing("plan", self.ws.store.write()) as conn:
            queue_confirmations(conn, self.ws, self.world.library, at=day.at, limit=3)

    def _hear(self, day: Day, body: bytes) -> None:
        with self.ws.store.write() as conn:
            store_raw(conn, self.ws.keyring, source=Source.SENDGRID, body=body, at=day.at)
            reach("webhook.raw_before_commit")
        reach("webhook.raw_after_commit")
        with self.ws.store.write() as conn:
            ingest(conn, self.ws, at=day.at, limit=100)
            reach("webhook.apply_mid")

    def _withdraw(self, day: Day, number: int) -> None:
        subject = self.subjects[number % len(self.subjects)]
        with self.ws.store.write() as conn:
            ending.withdraw(conn, subject=subject, controller="default", purposes=None, route="page",
                            actor="subject", at=day.at)  # fmt: skip

    def _switch(self, day: Day) -> None:
        for change in (switch.stop, switch.resume):
            with self.ws.store.write() as conn:
                change(conn, switch.ALL, "me", "test", day.at)

    def _send(self, day: Day, provider: Provider, kind: Kind) -> None:
        about = {"kind": kind, "owner": f"w{day.seed}"}
        if self.variant is None:
            clock = VirtualClock(day.at)
            sending.send_many(self.ws, self.world.library, provider, **about, clock=clock, lanes=2, most=BATCHES)
            return
        for _ in range(BATCHES):
            if self.variant.sender(self.ws, self.world.library, provider, **about, at=day.at) is None:
                return

    def _reconcile(self, day: Day) -> None:
        witness = Log(self.log, Random(day.seed))  # noqa: S311  as above
        with committing("reconcile", self.ws.store.write()) as conn:
            facts.reconcile(conn, at=day.at, witness=witness)


@dataclass
class Log:
    """The provider's own list of what it took; often it does not answer."""

    path: Path
    rng: Random

    def proofs(self, public_ids: Collection[str]) -> set[str]:
        """Which of these did it take?"""
        if self.rng.random() < SILENT:
            return set()
        taken = read_log(self.path)
        return {public_id for public_id in public_ids if taken[public_id]}


def events(public_ids: Collection[str], at: datetime) -> bytes:
    """Give a webhook post that tells of mails that were taken."""
    told = [
        {
            "email": "somebody@example.org",
            "timestamp": int(at.timestamp()),
            "event": "delivered",
            "response": "250 OK",
            "sg_event_id": f"delivered.{public_id}",
            "sg_message_id": f"crash.{public_id}",
            "nurture_message_id": public_id,
        }
        for public_id in public_ids
    ]
    return json.dumps(told).encode()


@contextmanager
def opened(folder: Path, url: str, port: int) -> Iterator[Installation]:
    """Make an installation that sends to a provider on this port."""
    settings = Settings(
        home=folder,
        project=population.project(folder, most=CAP),
        database_url=url,
        provider="sendgrid",
        sendgrid_url=f"http://127.0.0.1:{port}",
        sendgrid_api_key=SecretStr(KEY),
        provider_timeout=TIMEOUT,
        company="Probe GmbH",
        postal_address="Probeweg 1, 10115 Berlin",
        imprint="Probe GmbH, Probeweg 1, 10115 Berlin, HRB 1",
        sender_name="Probe GmbH",
        sender_address="post@probe.example",
    )
    store = open_store(url)
    try:
        upgrade(store.engine)
        yield Installation(Workspace(settings, store, open_keyring(store, folder / "keys.json")), url, folder / "taken")
    finally:
        store.close()
