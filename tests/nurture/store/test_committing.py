"""Group commit: together in one transaction, each for itself when one fails."""

from __future__ import annotations

from concurrent.futures import wait
from threading import Event
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from consent import ledger
from consent.ledger import Entry
from nurture.store import committing
from nurture.store.committing import Committer
from nurture.store.engine import TransactionLostError
from nurture.store.tables import setting

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.store.engine import Store


def named(name: str) -> Callable[[Connection], str]:
    """Make a change that inserts one row."""

    def change(conn: Connection) -> str:
        conn.execute(insert(setting).values(name=name, value="x"))
        return name

    return change


class Gate:
    """Holds the writer, so that what is submitted meanwhile gathers."""

    def __init__(self, committer: Committer) -> None:
        """Take the writer."""
        self.began, self.open = Event(), Event()
        self.future = committer.submit(self._hold)
        assert self.began.wait(10)

    def _hold(self, _conn: Connection) -> None:
        self.began.set()
        assert self.open.wait(10)


def commits(store: Store) -> list[object]:
    """Count the commits from now on."""
    seen: list[object] = []
    event.listen(store.engine, "commit", seen.append)
    return seen


def held(store: Store) -> int:
    """How many rows are there?"""
    with store.read() as conn:
        return conn.execute(select(func.count()).select_from(setting).where(setting.c.value == "x")).scalar_one()


def test_what_gathers_goes_in_one_commit(store: Store) -> None:
    """Fifty changes that arrive while another commits: one transaction more."""
    committer = Committer(store)
    gate, seen = Gate(committer), commits(store)
    waiting = [committer.submit(named(f"n{number}")) for number in range(50)]
    gate.open.set()

    assert [one.result(10) for one in waiting] == [f"n{number}" for number in range(50)]
    assert len(seen) == 2
    assert held(store) == 50


def test_a_transaction_holds_no_more_than_most(store: Store) -> None:
    """Seven changes by three at a time."""
    committer = Committer(store, most=3)
    gate, seen = Gate(committer), commits(store)
    waiting = [committer.submit(named(f"n{number}")) for number in range(7)]
    gate.open.set()
    wait(waiting, 10)

    assert len(seen) == 4
    assert held(store) == 7


def test_a_failed_change_takes_nothing_with_it(store: Store) -> None:
    """It alone hears of it; its own rows are gone, the others stand."""
    committer = Committer(store)

    def half(conn: Connection) -> None:
        named("half")(conn)
        raise LookupError

    gate = Gate(committer)
    waiting: list[Future[object]] = [
        committer.submit(named("a")),
        committer.submit(half),
        committer.submit(named("a")),
        committer.submit(named("b")),
    ]
    gate.open.set()

    assert waiting[0].result(10) == "a"
    with pytest.raises(LookupError):
        waiting[1].result(10)
    with pytest.raises(IntegrityError):
        waiting[2].result(10)
    assert waiting[3].result(10) == "b"
    assert held(store) == 2


def test_a_lost_commit_is_told_to_all(store: Store) -> None:
    """Nobody is told that something stands which does not."""
    committer = Committer(store)
    gate = Gate(committer)

    def refuse(_connection: object) -> None:
        raise ConnectionError

    event.listen(store.engine, "commit", refuse)
    waiting = [committer.submit(named("a")), committer.submit(named("b"))]
    gate.open.set()
    for one in waiting:
        with pytest.raises(ConnectionError):
            one.result(10)
    event.remove(store.engine, "commit", refuse)

    assert held(store) == 0
    assert committer.submit(named("c")).result(10) == "c"


def test_a_full_disk_is_told_to_all(store: Store, at: datetime) -> None:
    """SQLite then undoes the whole transaction: no withdrawal that went with it may be acknowledged."""
    if store.dialect != "sqlite":
        pytest.skip("PostgreSQL undoes the one statement")
    committer = Committer(store)
    withdrawn = Entry("subject.erased", {"reason": "request"}, at, "s" * 26)

    def fill(conn: Connection) -> None:
        pages = conn.exec_driver_sql("pragma page_count").scalar_one()
        conn.exec_driver_sql(f"pragma max_page_count={pages}")
        try:
            conn.execute(insert(setting).values(name="big", value="x" * 500_000))
        finally:
            conn.exec_driver_sql("pragma max_page_count=1000000")

    gate = Gate(committer)
    waiting: list[Future[object]] = [
        committer.submit(lambda conn: ledger.append(conn, [withdrawn])),
        committer.submit(fill),
        committer.submit(named("a")),
    ]
    gate.open.set()

    assert isinstance(waiting[0].exception(10), TransactionLostError)
    assert isinstance(waiting[1].exception(10), OperationalError)
    assert isinstance(waiting[2].exception(10), TransactionLostError)
    with store.read() as conn:
        assert (ledger.head(conn).size, held(store)) == (0, 0)
    assert committer.submit(named("c")).result(10) == "c"


def test_what_comes_first_is_locked_before_any_change(store: Store) -> None:
    """Once for each transaction, however many changes are in it."""
    order: list[str] = []
    committer = Committer(store, prepare=lambda _conn: order.append("prepared"))
    gate = Gate(committer)
    waiting = [committer.submit(lambda _conn: order.append("change")) for _ in range(2)]
    gate.open.set()
    wait(waiting, 10)

    assert order == ["prepared", "prepared", "change", "change"]


@pytest.mark.parametrize(("deadlocks", "made"), [(1, 3), (2, 2)])
def test_a_deadlock_is_made_good_once(store: Store, deadlocks: int, made: int) -> None:
    """Undoing the one change frees nothing: all are made again. At the second time it alone hears of it."""
    if store.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    committer, tries = Committer(store), []

    def give_way(conn: Connection) -> str:
        tries.append("b")
        if len(tries) <= deadlocks:
            conn.exec_driver_sql("do $$ begin raise 'deadlock detected' using errcode = '40P01'; end $$")
        return named("b")(conn)

    gate = Gate(committer)
    waiting = [committer.submit(one) for one in (named("a"), give_way, named("c"))]
    gate.open.set()
    wait(waiting, 10)

    assert [one.exception() is None for one in waiting] == [True, made == len(waiting), True]
    assert (len(tries), held(store)) == (2, made)


def test_an_idle_writer_ends_and_comes_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is left waiting; the next change starts one."""
    monkeypatch.setattr(committing, "IDLE_SECONDS", 0.01)
    committer = Committer(store)
    assert committer.submit(named("a")).result(10) == "a"
    done = Event()
    for _ in range(1000):
        if not committer._running:  # noqa: SLF001  what is under test has no other trace
            break
        done.wait(0.01)

    assert not committer._running  # noqa: SLF001  as above
    assert committer.submit(named("b")).result(10) == "b"


def test_a_cancelled_change_is_not_made(store: Store) -> None:
    """Who gave up before its turn changed nothing."""
    committer = Committer(store)
    gate = Gate(committer)
    given_up = committer.submit(named("a"))
    assert given_up.cancel()
    kept = committer.submit(named("b"))
    gate.open.set()
    kept.result(10)

    assert held(store) == 1


def test_entries_of_one_commit_keep_their_order(store: Store, at: datetime) -> None:
    """Withdrawals from many requests at once: numbered as they came, one tree."""
    committer = Committer(store)

    def append(number: int) -> Callable[[Connection], list[int]]:
        entry = Entry("subject.erased", {"reason": f"r{number}"}, at, "s" * 26)
        return lambda conn: ledger.append(conn, [entry])

    gate = Gate(committer)
    waiting = [committer.submit(append(number)) for number in range(300)]
    gate.open.set()

    assert [one.result(30) for one in waiting] == [[number] for number in range(300)]
    with store.read() as conn:
        assert ledger.verify(conn).ok
