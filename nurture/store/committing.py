"""How do many small changes at once cost one commit? They wait for each other, never for the clock.

While one commit is on its way to the disk, the changes that arrive are gathered and go together in the next:
alone, a change waits for nobody; under load, one fsync serves dozens. Each change has a savepoint of its own,
so one that fails takes nothing of the others with it. What the changes lock together is in the order in which
they came, which no other transaction knows: so each batch is prepared by what has to be locked first.
"""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DBAPIError

from nurture.store.engine import require_transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from nurture.store.engine import Store

T = TypeVar("T")
MOST = 64
"""Changes in one transaction: bounds how long the last of them waits, and what a lost commit undoes."""
IDLE_SECONDS = 2.0
"""Then the thread ends; the next change starts another."""
DEADLOCK = "40P01"
"""PostgreSQL: two transactions waited for each other, and this one was chosen to give way."""


@dataclass
class _Waiting:
    """A change and who waits for it."""

    change: Callable[[Connection], Any]
    future: Future[Any]
    outcome: Any = None
    error: BaseException | None = None


class Committer:
    """The one writer of a process. Safe to use from any thread."""

    def __init__(
        self, store: Store, *, prepare: Callable[[Connection], object] | None = None, most: int = MOST
    ) -> None:
        """Write to this store, up to `most` changes in one transaction.

        `prepare` takes the locks that come before all others, at the start of each transaction.
        """
        self._store = store
        self._prepare = prepare
        self._most = most
        self._queue: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._lock = Lock()
        self._waiting = 0
        self._running = False

    def submit(self, change: Callable[[Connection], T]) -> Future[T]:
        """Have a change made; its result, or what it raised, is there once the commit is on the disk.

        After a deadlock it is made again, so it may change nothing but what the transaction writes.
        """
        future: Future[T] = Future()
        with self._lock:
            self._waiting += 1
            self._queue.put(_Waiting(change, future))
            if not self._running:
                self._running = True
                Thread(target=self._work, name="committer", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            try:
                batch = [self._queue.get(timeout=IDLE_SECONDS)]
            except queue.Empty:
                with self._lock:
                    if self._waiting == 0:
                        self._running = False
                        return
                continue
            while len(batch) < self._most and not self._queue.empty():
                batch.append(self._queue.get())
            with self._lock:
                self._waiting -= len(batch)
            self._commit([one for one in batch if one.future.set_running_or_notify_cancel()])

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            try:
                self._write(batch, yields=True)
            except DBAPIError as error:
                if not _gave_way(error):
                    raise
                self._write(batch, yields=False)
        except BaseException as error:  # noqa: BLE001  whoever waits must hear of it, whatever it is
            for one in batch:
                one.future.set_exception(one.error or error)
            return
        for one in batch:
            if one.error is not None:
                one.future.set_exception(one.error)
            else:
                one.future.set_result(one.outcome)

    def _write(self, batch: list[_Waiting], *, yields: bool) -> None:
        """Make all changes in one transaction; `yields` undoes all of them at a deadlock, to come again."""
        with self._store.write() as conn:
            if self._prepare is not None:
                self._prepare(conn)
            if len(batch) == 1:
                # Alone, it needs no savepoint: what it wrote before it failed goes with the transaction.
                batch[0].outcome = batch[0].change(conn)
                return
            for one in batch:
                _make(conn, one)
                if yields and one.error is not None and _gave_way(one.error):
                    raise one.error


def _gave_way(error: BaseException) -> bool:
    """Was it a deadlock? Undoing one change frees none of the locks of those before it."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == DEADLOCK


def _make(conn: Connection, one: _Waiting) -> None:
    """Make one change in a savepoint of its own."""
    one.error = None
    try:
        with conn.begin_nested():
            one.outcome = one.change(conn)
    except Exception as error:  # noqa: BLE001  it is raised again where the change came from
        one.error = error
        # A full disk takes the savepoint and with it the changes of the others.
        require_transaction(conn)
