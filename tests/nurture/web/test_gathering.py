"""Do those that come together share the work, and does everybody hear what became of theirs?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nurture.web.gathering import FullError, Gatherer
from nurture.web.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send


class Desk:
    """Works on batches when it is let; answers each item with its double."""

    def __init__(self, *, most: int = 4, behind: int = 100, patience: float = 60, heaviest: int = 1000) -> None:
        """Begin with the gate shut."""
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.fails = False
        self.gatherer = Gatherer[int, int](
            self.work, most=most, behind=behind, patience=patience, weigh=int, heaviest=heaviest
        )

    async def work(self, items: Sequence[int]) -> list[int]:
        """Note the batch, wait for the gate, then answer or fail."""
        self.batches.append(list(items))
        await self.gate.wait()
        if self.fails:
            self.fails = False
            raise OSError
        return [2 * item for item in items]

    def start(self, *items: int) -> list[asyncio.Task[int]]:
        """Add items, each in a task of its own."""
        return [asyncio.create_task(self.gatherer.add(item)) for item in items]


async def pause() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_one_alone_waits_for_nobody() -> None:
    async def go() -> None:
        desk = Desk()
        desk.gate.set()
        assert await desk.gatherer.add(7) == 14

    asyncio.run(go())


def test_those_that_come_meanwhile_go_together() -> None:
    async def go() -> None:
        desk = Desk()
        tasks = desk.start(1)
        await pause()
        tasks += desk.start(2, 3, 4, 5, 6, 7)
        await pause()
        desk.gate.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10, 12, 14]
        assert desk.batches == [[1], [2, 3, 4, 5], [6, 7]]

    asyncio.run(go())


def test_a_failure_reaches_its_batch_and_no_other() -> None:
    async def go() -> None:
        desk = Desk()
        tasks = desk.start(1, 2)
        await pause()
        tasks += desk.start(3)
        desk.fails = True
        desk.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [OSError, OSError, int]

    asyncio.run(go())


def test_who_loses_patience_is_told_and_worked_on_all_the_same() -> None:
    async def go() -> None:
        desk = Desk(patience=0.01)
        first, second = desk.start(1, 2)
        with pytest.raises(TimeoutError):
            await first
        with pytest.raises(TimeoutError):
            await second
        desk.gate.set()
        await pause()
        assert desk.batches == [[1, 2]]
        assert await desk.gatherer.add(3) == 6

    asyncio.run(go())


def test_too_many_are_turned_away() -> None:
    async def go() -> None:
        desk = Desk(most=1, behind=2)
        tasks = desk.start(1)
        await pause()
        tasks += desk.start(2, 3)
        await pause()
        with pytest.raises(FullError):
            await desk.gatherer.add(4)
        desk.gate.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6]

    asyncio.run(go())


def test_too_much_is_turned_away() -> None:
    """What is worked on counts, too: it lies in memory. When it is done there is room again."""

    async def go() -> None:
        desk = Desk(most=1, heaviest=10)
        tasks = desk.start(6)
        await pause()
        tasks += desk.start(4)
        await pause()
        with pytest.raises(FullError):
            await desk.gatherer.add(1)
        desk.gate.set()
        assert await asyncio.gather(*tasks) == [12, 8]
        assert await asyncio.gather(*desk.start(6, 4)) == [12, 8]

    asyncio.run(go())


def test_what_is_too_heavy_for_all_of_the_room_goes_alone() -> None:
    """Else it would be turned away for ever."""

    async def go() -> None:
        desk = Desk(heaviest=10)
        desk.gate.set()
        assert await desk.gatherer.add(11) == 22

    asyncio.run(go())


def test_there_is_room_again_after_work_that_failed() -> None:
    async def go() -> None:
        desk = Desk(heaviest=10)
        desk.gate.set()
        desk.fails = True
        with pytest.raises(OSError):  # noqa: PT011  the work's own, which says no more
            await desk.gatherer.add(10)
        assert await desk.gatherer.add(10) == 20

    asyncio.run(go())


@pytest.mark.parametrize("paths", [["/c/{a}", "/c/{b}/x"], ["/{anything}"]])
def test_a_lean_path_begins_with_a_word_of_its_own(paths: list[str]) -> None:
    """By its first part it is found: two of one word would hide each other."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def wrong(request: Request, error: Exception) -> Response:
        raise error

    with pytest.raises(ValueError, match="must be its own"):
        Listener(app, [(path, {"GET": app}) for path in paths], wrong)
