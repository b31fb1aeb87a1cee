"""Where may a process die so that a test can see what is left of its work? At these points, and nowhere by accident.

A failpoint is a named place in the code. It does nothing, and costs one comparison, until a test arms it:
by `watching(...)` in its own process, or in another process by the environment variable NURTURE_FAILPOINTS,
which is read once, on import:

    kill:intent.after_commit@3      SIGKILL oneself at the third crossing of this point
    count:/path/to/file             append the name of each point to a file, a line for every crossing

Several orders stand side by side with a comma between them. Names are a closed set: an unknown one is refused
when it is armed, and tests/nurture/test_failpoints.py holds the code to it. The names are those of
`delivery.md` 3.12.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Observer = Callable[[str], None]

T = TypeVar("T")

VARIABLE = "NURTURE_FAILPOINTS"
POINTS = {
    "plan.before_commit": "planned mails are written, not committed",
    "plan.after_commit": "planned mails are committed",
    "claim.before_commit": "a batch is taken, not committed",
    "claim.after_commit": "a batch is ours",
    "render.mid": "some mails of a batch are written, in memory only",
    "intent.before_commit": "consent was asked, authorisations and attempt are not committed",
    "intent.after_commit": "from here on mails may have left",
    "http.connected": "the provider listens, nothing was said",
    "http.body_half_written": "the provider has half of a request",
    "http.before_accept": "the provider has all of a request and may take it any time",
    "http.after_accept": "the provider has taken it, its answer was not read",
    "http.headers_read": "the answer's head was read, its rest was not",
    "result.before_tx": "the answer is known, in memory only",
    "result.before_commit": "the answer is written, not committed",
    "result.after_commit": "the answer is committed",
    "webhook.raw_before_commit": "a provider's events are stored, not committed",
    "webhook.raw_after_commit": "a provider's events are committed, the provider was not told",
    "webhook.apply_mid": "some of the stored events have had their effect, not committed",
    "score.before_commit": "scores are written, not committed",
    "handover.row_before_commit": "a lead is qualified for sales, not committed",
    "handover.after_call": "the receiver has a lead, its answer is not committed",
    "reconcile.before_commit": "doubts are resolved, not committed",
    "reconcile.after_commit": "doubts are resolved and committed",
    "consent.revoke_mid": "a withdrawal is in the ledger, not everywhere else, not committed",
    "doi.confirm_before_commit": "a confirmation is in the ledger, not committed",
    "erase.mid": "a person is erased from some tables, not committed",
    "keyrotate.mid": "some identities are sealed by the new key, some by the old",
    "migrate.each_statement": "one statement of the schema was executed",
    "backup.mid": "a backup is half copied",
    "checkpoint.mid": "a checkpoint is signed, not kept everywhere",
    "export.mid": "an audit export is half written",
    "killswitch.before_commit": "sending is stopped or resumed, not committed",
}
"""Every failpoint with what holds true there."""

_observer: Observer | None = None


def reach(name: str) -> None:
    """Say that the process is at this point. Nothing happens unless a test is watching."""
    if _observer is not None:
        _observer(name)


@contextmanager
def committing(step: str, transaction: AbstractContextManager[T]) -> Iterator[T]:
    """Run a transaction with the failpoints `step.before_commit` and `step.after_commit` around its commit."""
    with transaction as connection:
        yield connection
        reach(f"{step}.before_commit")
    reach(f"{step}.after_commit")


@contextmanager
def watching(observer: Observer) -> Iterator[None]:
    """Give every crossing in this process to `observer`, which may raise. For tests.

    Raises KeyError at a crossing of an unknown point.
    """
    global _observer  # noqa: PLW0603  the one switch; a lookup through an object would cost every crossing
    before, _observer = _observer, _known(observer)
    try:
        yield
    finally:
        _observer = before


def _known(observer: Observer) -> Observer:
    def cross(name: str) -> None:
        if name not in POINTS:
            raise KeyError(f"no failpoint is called {name!r}")
        observer(name)

    return cross


def ordered(orders: str) -> Observer:
    """Make the observer that a value of NURTURE_FAILPOINTS asks for. Raises ValueError for a malformed one."""
    observers = [_order(order.strip()) for order in orders.split(",")]

    def cross(name: str) -> None:
        for observer in observers:
            observer(name)

    return _known(cross)


def _order(order: str) -> Observer:
    if order.startswith("count:"):
        return _counter(Path(order.removeprefix("count:")))
    match = re.fullmatch(r"kill:([a-z_.]+)@([1-9]\d*)", order)
    if match is None or match[1] not in POINTS:
        raise ValueError(f"{VARIABLE}: {order!r} is no order; known points: {', '.join(POINTS)}")
    return _killer(match[1], int(match[2]))


def _killer(point: str, crossing: int) -> Observer:
    seen: Counter[str] = Counter()

    def cross(name: str) -> None:
        seen[name] += 1
        if name == point and seen[name] == crossing:
            os.kill(os.getpid(), signal.SIGKILL)

    return cross


def _counter(path: Path) -> Observer:
    def cross(name: str) -> None:
        # Opened each time: whoever counts may be killed at the next line, or be forked.
        with path.open("a", encoding="ascii") as file:
            file.write(name + "\n")

    return cross


def _armed(orders: str) -> Observer:
    """Obey the environment. A slip ends the process with a sentence: nobody should prove something unarmed."""
    try:
        return ordered(orders)
    except ValueError as error:
        raise SystemExit(f"nurture: {error}") from None


if os.environ.get(VARIABLE):
    _observer = _armed(os.environ[VARIABLE])
