"""I3 and I5: whatever comes in, in whatever order and however often, leaves the same rows and scores."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from nurture.scoring import policy as policies
from nurture.scoring.project import rescore
from nurture.scoring.replay import replay
from nurture.store.tables import delivery_fact, event, lead_score, message, points, raw_event, signal
from nurture.tracking.ingest import ingest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.nurture.tracking.conftest import Person, World

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"


def history(world: World, told: Callable[..., dict[str, Any]], people: list[Person]) -> list[dict[str, Any]]:
    """Two weeks of two people: a reader, and one whose mail a scanner goes through."""
    start = world.at - timedelta(days=14)
    reader, scanned = people
    return [
        *(told("delivered", person, start, response="250 OK") for person in people),
        told("open", reader, start + timedelta(hours=2), useragent=BROWSER),
        told("click", reader, start + timedelta(hours=3), url="https://example.org/guide", useragent=BROWSER),
        told("click", reader, start + timedelta(days=2), url="https://example.org/prices", useragent=BROWSER),
        told("open", scanned, start + timedelta(seconds=1), useragent="Mozilla/5.0"),
        *(
            told("click", scanned, start + timedelta(seconds=60 + n), url=f"https://example.org/{n}", useragent=BROWSER)
            for n in range(4)
        ),
        told("processed", reader, start - timedelta(seconds=3)),
        told("group_resubscribe", scanned, start + timedelta(days=3), asm_group_id=1),
    ]


@pytest.mark.requirement(43)
@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_repetition_give_the_same(world: World, told: Callable[..., dict[str, Any]], seed: int) -> None:
    people = [world.person(), world.person()]
    dice = random.Random(seed)  # noqa: S311  no secret
    stream = history(world, told, people) * 2
    dice.shuffle(stream)
    rules = policies.load(world.ws.settings.policies)
    while stream:
        size = dice.randint(1, 6)
        part, stream = stream[:size], stream[size:]
        world.receive("sendgrid", json.dumps([each | {"sg_event_id": f"e{dice.random()}"} for each in part]).encode())
        done = world.ingest()
        with world.ws.store.write() as conn:
            rescore(conn, rules, done.leads, at=world.at)
    names = {person.lead_id: name for person, name in zip(people, ("reader", "scanned"), strict=True)}
    seen = world.rows(select(event.c.lead_id, event.c.kind, event.c.verdict).order_by(event.c.at, event.c.id))
    counts = {name: [(row.kind, row.verdict) for row in seen if names[row.lead_id] == name] for name in names.values()}
    assert sorted(counts["reader"]) == [
        ("clicked", "human"), ("clicked", "human"), ("delivered", "machine"), ("opened", "human"),
        ("processed", "machine"),
    ]  # fmt: skip
    assert sorted(counts["scanned"]) == [
        *[("clicked", "machine")] * 4, ("delivered", "machine"), ("group_resubscribed", "machine"),
        ("opened", "machine"),
    ]  # fmt: skip
    assert len(world.rows(select(delivery_fact))) == 3
    given = world.rows(select(points.c.rule, points.c.points).order_by(points.c.rule, points.c.points))
    assert [tuple(row) for row in given] == [("click", 10), ("click", 10), ("ignored", -10), ("open", 10)]
    with world.ws.store.read() as conn:
        assert replay(conn, rules).different == ()
    scores = {names[row.lead_id]: round(row.score, 3) for row in world.rows(select(lead_score))}
    assert scores == {"reader": 22.086, "scanned": 0}


def test_two_runs_at_once_apply_each_body_once(world: World, told: Callable[..., dict[str, Any]]) -> None:
    people = [world.person() for _ in range(4)]
    for number in range(60):
        one = told("open", people[number % 4], world.at - timedelta(minutes=number // 8), useragent=BROWSER)
        world.receive("sendgrid", json.dumps([one | {"sg_event_id": str(number)}]).encode())
    done: list[int] = []

    def run() -> None:
        while (found := world.ingest(limit=7)).raw:
            done.append(found.events)

    threads = [Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {(person.message_id, minute) for person in people for minute in range(8)}
    assert (sum(done), len(world.events("opened"))) == (len(expected), len(expected))
    assert {row.state for row in world.rows(select(raw_event))} == {"applied"}


def test_a_crash_leaves_the_body_waiting(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    world.receive("sendgrid", json.dumps([told("open", person, world.at, useragent=BROWSER)]).encode())

    def crash() -> None:
        with world.ws.store.write() as conn:
            ingest(conn, world.ws, at=world.at, limit=9)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert (world.events(), world.rows(select(raw_event.c.state))[0].state) == ([], "new")
    assert world.ingest().events == 1


def test_nobody_reaches_hot_by_a_scanner(world: World, told: Callable[..., dict[str, Any]]) -> None:
    """A gateway that opens and clicks everything, in every mail, moves nobody."""
    person = world.person()
    events = []
    for day in range(10):
        moment = world.at - timedelta(days=day)
        events += [
            told("click", person, moment + timedelta(seconds=n), url=f"https://example.org/{n}", useragent=BROWSER)
            for n in range(3)
        ]
    done = world.sendgrid(*events)
    rules = policies.load(world.ws.settings.policies)
    with world.ws.store.write() as conn:
        assert rescore(conn, rules, done.leads, at=world.at) == []
    assert world.rows(select(points)) == []
    assert world.rows(select(signal)) == []
    assert world.rows(select(message.c.id))[0].id == person.message_id
