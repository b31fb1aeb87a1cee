"""Whatever the order of work, crashes, withdrawals and answers: once, with consent, and to an end."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import event, insert, select

from consent import withdrawal
from consent.keys import Keyring
from nurture.delivery import switch
from nurture.delivery.facts import reconcile
from nurture.delivery.provider import Accepted, Outcome, Refused, Rejected, Unknown
from nurture.delivery.sending import Claim, Composed, Submission, claim, compose, intend, recover, settle
from nurture.settings import Settings
from nurture.store.engine import open_store
from nurture.store.tables import delivery_fact, message
from nurture.store.workspace import Workspace
from tests.nurture.delivery.world import World

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TERMINAL = {"accepted", "rejected", "unknown", "suppressed", "expired", "failed_render"}
ANSWERS: list[tuple[Outcome, bool]] = [
    (Accepted("x"), True),
    (Refused("http 429"), False),
    (Refused("http 401", opens_circuit=True), False),
    (Rejected("http 400"), False),
    (Unknown("timeout"), True),
    (Unknown("timeout"), False),
]
"""What the worker is told, and whether the provider really took the mail."""


class Installation(RuleBasedStateMachine):
    """Any number of workers, each between two steps; a crash simply forgets what a worker held."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        """Begin with an empty installation and four people."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="nurture-order-"))
        shutil.copyfile(self.template, self.folder / "nurture.db")
        chosen = Settings(home=self.folder, database_url=f"sqlite:///{self.folder / 'nurture.db'}")
        store = open_store(chosen.database)
        # Crashes here are of workers, not of the machine: waiting for the disk would test nothing.
        event.listen(store.engine, "connect", lambda wire, _: wire.execute("PRAGMA synchronous=OFF"))
        self.world = World(Workspace(chosen, store, Keyring.load_or_create(self.folder / "keys.json")), START)
        self.people = [self.world.person() for _ in range(4)]
        self.occurrence = 0
        self.claims: list[Claim] = []
        self.composed: list[Composed] = []
        self.submissions: list[Submission] = []
        self.told: list[tuple[Submission, Outcome]] = []
        self.taken: Counter[str] = Counter()
        self.withdrawn: set[str] = set()

    def teardown(self) -> None:
        """Let everything come to rest; every message must have ended."""
        self.settle_all()
        self.world.ws.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def settle_all(self) -> None:
        """Crash all workers and go on until long after the last deadline."""
        for hours in (1, 60, 30):
            self.world = self.world.later(hours=hours)
            with self.world.ws.store.write() as conn:
                recover(conn, at=self.world.at)
                reconcile(conn, at=self.world.at)
        assert set(self.world.states()) <= TERMINAL
        self.nothing_is_believed_sent_that_was_not()

    @rule(size=st.integers(1, 4), limit=st.integers(1, 3))
    def plan(self, size: int, limit: int) -> None:
        """Plan one more step for some people."""
        self.occurrence += 1
        self.world.plan(*self.people[-size:], batch_limit=limit, n=self.occurrence, late=timedelta(hours=24))

    def take(self) -> Claim | None:
        """Claim a batch."""
        with self.world.ws.store.write() as conn:
            return claim(conn, owner="w", kind="marketing", at=self.world.at, provider="outbox")

    @rule(late=st.booleans())
    def begin(self, late: bool) -> None:  # noqa: FBT001  drawn by hypothesis
        """A worker takes a batch and writes it; a late one gets stuck before the writing."""
        if held := self.take():
            if late:
                self.claims.append(held)
            else:
                self.composed.append(compose(self.world.ws, self.world.library, held, at=self.world.at))

    @precondition(lambda self: self.claims)
    @rule()
    def write(self) -> None:
        """A stuck worker wakes up."""
        self.composed.append(compose(self.world.ws, self.world.library, self.claims.pop(0), at=self.world.at))

    @rule(answer=st.sampled_from(ANSWERS))
    def go_through(self, answer: tuple[Outcome, bool]) -> None:
        """A worker does everything undisturbed."""
        if held := self.take():
            written = compose(self.world.ws, self.world.library, held, at=self.world.at)
            self.decide(written)
            if self.submissions:
                self.hand_over(self.submissions.pop(), answer)
                self.write_down(*self.told.pop())

    @precondition(lambda self: self.composed)
    @rule(crash=st.booleans())
    def intend(self, crash: bool) -> None:  # noqa: FBT001  as above
        """Decide a written batch; a crash before the commit leaves nothing."""
        self.decide(self.composed.pop(0), crash=crash)

    def decide(self, written: Composed, *, crash: bool = False) -> None:
        """The intent, committed or not."""
        with self.world.ws.store.engine.connect().execution_options(nurture_writes=True) as conn:
            transaction = conn.begin()
            submission = intend(conn, self.world.ws, written, at=self.world.at)
            if crash:
                transaction.rollback()
                return
            transaction.commit()
        addresses = {mail.to_address for mail in submission.outgoing}
        assert not addresses & self.withdrawn
        if submission.ready:
            self.submissions.append(submission)

    @precondition(lambda self: self.submissions)
    @rule(answer=st.sampled_from(ANSWERS), crash=st.booleans())
    def submit(self, answer: tuple[Outcome, bool], crash: bool) -> None:  # noqa: FBT001  as above
        """Hand over; the worker may die before it can tell."""
        self.hand_over(self.submissions.pop(0), answer)
        if crash:
            self.told.pop()

    def hand_over(self, submission: Submission, answer: tuple[Outcome, bool]) -> None:
        """The provider takes it or not, and says something."""
        outcome, took = answer
        if took:
            self.taken.update(mail.public_id for mail in submission.outgoing)
        self.told.append((submission, outcome))

    @precondition(lambda self: self.told)
    @rule()
    def settle(self) -> None:
        """Write an answer down, however late."""
        self.write_down(*self.told.pop(0))

    def write_down(self, submission: Submission, outcome: Outcome) -> None:
        """Settle."""
        with self.world.ws.store.write() as conn:
            settle(conn, submission, [outcome] * len(submission.ready), at=self.world.at)

    @rule(minutes=st.sampled_from([1, 6, 20, 20, 300]))
    def wait(self, minutes: int) -> None:
        """Time goes by."""
        self.world = self.world.later(minutes=minutes)

    @rule()
    def recover(self) -> None:
        """A flow begins."""
        with self.world.ws.store.write() as conn:
            recover(conn, at=self.world.at)

    @rule(which=st.integers(0, 1))
    def withdraw(self, which: int) -> None:
        """One of two people takes consent back."""
        with self.world.ws.store.write() as conn:
            withdrawal.withdraw(
                conn,
                subject=self.people[which],
                controller="default",
                purposes=None,
                route="page",
                actor="x",
                at=self.world.at,
            )
        self.withdrawn.add(f"person{which + 1}@example.org")

    @rule()
    def stop_and_resume(self) -> None:
        """While sending is stopped nobody gets a batch, and what is written is not decided."""
        with self.world.ws.store.write() as conn:
            switch.stop(conn, "all", "me", "x", self.world.at)
        assert self.take() is None
        before = len(self.submissions)
        if self.composed:
            self.decide(self.composed.pop(0))
        assert len(self.submissions) == before
        with self.world.ws.store.write() as conn:
            switch.resume(conn, "all", "me", "x", self.world.at)

    @rule()
    def report(self) -> None:
        """The provider tells of everything it took."""
        with self.world.ws.store.write() as conn:
            for row in conn.execute(select(message.c.id, message.c.public_id)).all():
                known = select(delivery_fact.c.fact).where(delivery_fact.c.message_id == row.id)
                if row.public_id in self.taken and conn.execute(known).first() is None:
                    fact = {"message_id": row.id, "fact": "processed", "at": self.world.at}
                    conn.execute(insert(delivery_fact), fact)
            reconcile(conn, at=self.world.at)
        self.nothing_is_believed_sent_that_was_not()

    @invariant()
    def no_message_is_taken_twice(self) -> None:
        """The promise."""
        assert not self.taken or max(self.taken.values()) == 1

    def nothing_is_believed_sent_that_was_not(self) -> None:
        """Accepted means taken; taken means accepted, or openly doubtful."""
        for public_id, state in self.fates().items():
            if state == "accepted":
                assert self.taken[public_id] == 1
            if self.taken[public_id]:
                assert state in {"accepted", "submitting", "in_doubt", "unknown"}

    def fates(self) -> dict[str, str]:
        """Give each message's real state."""
        with self.world.ws.store.read() as conn:
            rows = conn.exec_driver_sql(
                "select m.public_id, coalesce(e.state, b.state) from message m join send_batch b on b.id = m.batch_id "
                "left join message_exception e on e.message_id = m.id"
            )
            return {row[0]: row[1] for row in rows}


@pytest.mark.slow
@pytest.mark.requirement(95)
def test_every_order_keeps_the_promises(sqlite_template: Path) -> None:
    machine: Any = type("Machine", (Installation,), {"template": sqlite_template})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    chosen = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=chosen)
