"""Where does the send stage spend its time? CPU of each step and time of each statement, per message."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sqlalchemy.engine.default import DefaultDialect

from bench._cost import counted
from bench._world import World, world
from bench.fake_sendgrid import running
from nurture.delivery import sending
from nurture.delivery.sendgrid import SendGrid

if TYPE_CHECKING:
    from collections.abc import Callable

LISTED = 24
STEPS = ("claim", "compose", "intend", "settle")


def run(*, quick: bool = False) -> dict[str, object]:
    """Give microseconds per message at both batch sizes, on both databases."""
    figures: dict[str, object] = {}
    for database in ("sqlite", "postgresql"):
        for batch in (500, 1000):
            with world(database, 6_000 if quick else 20_000, batch=batch) as made, running("floor") as sink:
                found = _measure(made, sink.url, batch)
            figures |= {f"{database} {batch}: {name}": value for name, value in found.items()}
    return figures


def _measure(made: World, url: str, batch: int) -> dict[str, object]:
    leads = 0
    for _ in range(2):
        made.next_week(leads or _leads(made))
        made.plan()
        cpu, wall = time.process_time(), time.perf_counter()
        sent = made.send(url, lanes=1)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    spent = dict.fromkeys((*STEPS, "submit", "commit"), 0.0)
    made.next_week(_leads(made))
    made.plan()
    with ExitStack() as patched, counted(made.ws.store) as statements:
        for name in STEPS:
            patched.enter_context(patch.object(sending, name, _timed(name, getattr(sending, name), spent)))
        # The lane's own thread, and what the database driver does in the commits (not within the steps above).
        for name, owner, verb in (("submit", SendGrid, "submit"), ("commit", DefaultDialect, "do_commit")):
            patched.enter_context(patch.object(owner, verb, _timed(name, getattr(owner, verb), spent)))
        made.send(url, lanes=1)
    batches = -(-sent // batch)
    listed = sorted(statements.seconds.items(), key=lambda item: -item[1])[:LISTED]
    return {
        "messages": sent,
        "send, us CPU/message": cpu / sent * 1e6,
        "send, us wall/message": wall / sent * 1e6,
        **{f"{name}, us CPU/message": value / sent * 1e6 for name, value in spent.items()},
        "statements/batch": statements.count / batches,
        "commits/batch": statements.commits / batches,
        **{f"us/message: {statements.times[text]} x {text[:110]}": value / sent * 1e6 for text, value in listed},
    }


def _leads(made: World) -> int:
    with made.ws.store.read() as conn:
        return int(conn.exec_driver_sql("select count(*) from lead").scalar_one())


def _timed(name: str, step: Callable[..., Any], spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:  # noqa: ANN401  whatever the step takes and gives
        began = time.thread_time()
        try:
            return step(*given, **named)
        finally:
            spent[name] += time.thread_time() - began

    return timed
