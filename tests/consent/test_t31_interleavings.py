"""Withdrawal and authorisation race in every way a database allows (T31).

A sample of the seeded schedules runs with the suite; NURTURE_T31_SEEDS=10000 plays all of them.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from consent import gate, identity, imported, ledger, replay, tokens, withdrawal
from consent.addresses import Address
from consent.states import EMAIL
from tests.consent.people import NEWSLETTER, People
from tests.consent.scheduler import Scheduler, schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nurture.store.engine import Store

SEEDS = int(os.environ.get("NURTURE_T31_SEEDS", "150"))


@pytest.fixture
def scheduler(store: Store) -> Iterator[Scheduler]:
    """Steps connections of the store."""
    yield from schedules(store)


def consenting(people: People, count: int) -> list[str]:
    """So many people with consent."""
    with people.store.write() as conn:
        addresses = [Address.of(f"p{number}@firma.example") for number in range(count)]
        subjects = list(identity.ensure_many(conn, people.keyring, addresses, at=people.at).values())
        given = [imported.ImportedConsent(one, NEWSLETTER, "default", "Ja.", people.at, {}) for one in subjects]
        imported.record(conn, people.keyring, given, at=people.at)
    return subjects


def permit(people: People, subject: str) -> Callable[[], bool]:
    """A worker about to send one mail: the whole transaction of the gate."""

    def job() -> bool:
        with people.store.write() as conn:
            ask = gate.Ask(subject, NEWSLETTER, "default", tokens.random_id())
            [answer] = gate.authorise(conn, [ask], at=people.at)
        return isinstance(answer, gate.Permit)

    return job


def leave(people: People, subject: str, purposes: list[str] | None) -> Callable[[], list[int]]:
    """Somebody leaves: the whole transaction of a withdrawal."""

    def job() -> list[int]:
        with people.store.write() as conn:
            return withdrawal.withdraw(
                conn,
                subject=subject,
                controller="default",
                purposes=purposes,
                route="page",
                actor="recipient",
                at=people.at,
            )

    return job


def careless(people: People, subject: str) -> Callable[[], bool]:
    """A faulty gate, to see that the schedules find one: it looks first and becomes the writer later."""

    def job() -> bool:
        with people.store.read() as conn:
            found = gate.check(conn, [subject], purpose=NEWSLETTER, controller="default", at=people.at)[subject]
        if not isinstance(found, int):
            return False
        body = {"controller": "default", "channel": EMAIL, "purpose": NEWSLETTER}
        body |= {"lease_until": "2026-11-23T08:00:30.000000Z", "permits": [[tokens.random_id(), subject, found, None]]}  # type: ignore[dict-item]
        with people.store.write() as conn:
            ledger.append(conn, [ledger.Entry("send.authorised", body, people.at)])
        return True

    return job


def breaches(people: People) -> list[str]:
    """Subjects with an authorisation that stands behind their withdrawal, read from the entries one by one."""
    left: set[str] = set()
    found = []
    with people.store.read() as conn:
        for entry in ledger.read(conn, types=["consent.withdrawn", "send.authorised"]):
            if entry.type == "consent.withdrawn":
                left.add(str(entry.subject))
            else:
                found += [subject for _, subject, _, _ in entry.body["permits"] if subject in left]
    return found


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.requirement(95)
def test_t31_no_schedule_authorises_after_a_withdrawal(people: People, scheduler: Scheduler) -> None:
    """T31: two workers and a withdrawal, stepped statement by statement; never an authorisation after it."""
    subjects = consenting(people, SEEDS)
    seen: Counter[str] = Counter()
    permits = 0
    for seed, subject in enumerate(subjects):
        chance = random.Random(seed)  # noqa: S311  a seed, to repeat a failure
        purposes = chance.choice([None, [NEWSLETTER]])
        jobs = [permit(people, subject), permit(people, subject), leave(people, subject, purposes)]
        (first, second, ended), turns = scheduler.play(jobs, chance)
        seen[turns] += 1
        permits += first + second
        assert len(ended) == 1, f"seed {seed}"

    assert breaches(people) == []
    with people.store.read() as conn:
        found = replay.replay(conn)
    assert (found.ok, found.authorisations) == (True, permits)
    with people.store.read() as conn:
        last = gate.check(conn, subjects, purpose=NEWSLETTER, controller="default", at=people.at)
    assert set(last.values()) == {gate.RefusalReason.WITHDRAWN}
    assert 0 < permits < 2 * SEEDS
    print(  # noqa: T201  the figures, with -s
        f"\n{people.store.dialect}: {SEEDS} schedules, {len(seen)} different, {scheduler.steps} steps, "
        f"{scheduler.switches} switches inside a transaction, {scheduler.waits} waits for the lock, {permits} permits"
    )


def test_t31_the_schedules_find_a_careless_gate(people: People, scheduler: Scheduler) -> None:
    """The same schedules catch a gate that looks before it is the one writer: they can tell."""
    for seed, subject in enumerate(consenting(people, 40)):
        scheduler.play([careless(people, subject), leave(people, subject, None)], random.Random(seed))  # noqa: S311

    assert breaches(people)
    with people.store.read() as conn:
        assert not replay.replay(conn).ok
