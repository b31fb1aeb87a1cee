"""How do requests that arrive together share one transaction? Those that come while one is under way wait for the next.

Alone, nobody waits for others. A thread is entered once a batch, not once a request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


class FullError(Exception):
    """So many wait already, or so much, that another one is refused."""


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    future: asyncio.Future[R]
    since: float


class Gatherer(Generic[T, R]):
    """Hands items over in batches, one batch at a time, in the order in which they came. For one event loop."""

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        most: int,
        behind: int,
        patience: float,
        weigh: Callable[[T], int] = lambda _: 0,
        heaviest: int = 0,
    ) -> None:
        """Work on up to `most` items at once and let up to `behind` wait for their turn.

        All that are here, waiting or worked on, may weigh up to `heaviest` together; one alone may weigh more.
        After `patience` seconds whoever waits is told so; the work goes on.
        """
        self._work = work
        self._most = most
        self._behind = behind
        self._patience = patience
        self._weigh = weigh
        self._heaviest = heaviest
        self._weight = 0
        self._waiting: list[_Waiting[T, R]] = []
        self._batch: list[_Waiting[T, R]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def add(self, item: T) -> R:
        """Give what the work gives for this item, or raise what it raises.

        Raises TimeoutError when that takes longer than the patience: the item is still worked on; FullError when
        too many wait, or too heavy ones: it is not.
        """
        weight = self._weigh(item)
        if len(self._waiting) >= self._behind or (self._weight and self._weight + weight > self._heaviest):
            raise FullError
        self._weight += weight
        loop = asyncio.get_running_loop()
        one: _Waiting[T, R] = _Waiting(item, loop.create_future(), loop.time())
        self._waiting.append(one)
        if self._task is None:
            self._task = loop.create_task(self._drain())
        if self._timer is None:
            self._timer = loop.call_later(self._patience, self._look)
        return await one.future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = self._batch = self._waiting[: self._most]
                del self._waiting[: self._most]
                try:
                    given = await self._work([one.item for one in batch])
                except Exception as error:  # noqa: BLE001  whoever waits must hear of it, whatever it is
                    for one in batch:
                        if not one.future.done():
                            one.future.set_exception(error)
                else:
                    for one, result in zip(batch, given, strict=True):
                        if not one.future.done():
                            one.future.set_result(result)
                self._weight -= sum(self._weigh(one.item) for one in batch)
        finally:
            self._batch = []
            self._task = None

    def _look(self) -> None:
        """Tell those whose patience is over, and look again when the next one's is."""
        loop = asyncio.get_running_loop()
        self._timer = None
        waiting = [one for one in (*self._batch, *self._waiting) if not one.future.done()]
        for one in waiting:
            left = one.since + self._patience - loop.time()
            if left > 0:
                self._timer = loop.call_later(left, self._look)
                return
            one.future.set_exception(TimeoutError())
