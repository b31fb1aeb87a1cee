"""What does every route share? The workspace, the clock, the pages, and the way off the event loop."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.types import Scope

    from nurture.clock import Clock
    from nurture.leads.profiling import Profiling
    from nurture.store.committing import Committer
    from nurture.store.workspace import Workspace
    from nurture.web.arrivals import Arrivals
    from nurture.web.brake import Brake
    from nurture.web.evidence import Network
    from nurture.web.pages import Pages
    from nurture.web.wake import Wake

trouble = logging.getLogger("nurture.web.trouble")

T = TypeVar("T")
THREADS = 8
SECONDS = 20.0
"""How long an answer waits for the database; SendGrid waits 10 s and comes again."""


@dataclass(frozen=True)
class Edge:
    """Everything a route needs from outside. `minimum_fill` and `answer_floor` are seconds."""

    workspace: Workspace
    clock: Clock
    pages: Pages
    profiling: Profiling
    wake: Wake
    brake: Brake
    trusted: tuple[Network, ...]
    minimum_fill: float
    answer_floor: float
    committer: Committer
    arrivals: Arrivals
    _limiters: dict[int, CapacityLimiter] = field(default_factory=dict, repr=False)

    @property
    def controller(self) -> str:
        """The brand that consent is given to."""
        return self.workspace.settings.controller

    def now(self) -> datetime:
        """The time of this answer, UTC."""
        return self.clock.now()

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Ask the database in a thread; what is written there is rolled back."""

        def ask() -> T:
            with self.workspace.store.read() as conn:
                return question(conn)

        return await self._off_loop(ask)

    async def read_beside(self, question: Callable[[Connection], T], otherwise: T) -> T:
        """Ask for what stands beside an answer whose change is committed: no failure may make it look undone."""
        try:
            return await self.read(question)
        except Exception as error:  # noqa: BLE001  whatever it is, what the reader asked for is done
            trouble.error("%s beside an answer", type(error).__name__)
            return otherwise

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Change the database; returns after the commit, which it may share with others that came meanwhile."""
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.wrap_future(self.committer.submit(change))
        except TimeoutError:
            raise HTTPException(503) from None

    async def _off_loop(self, work: Callable[[], T]) -> T:
        # A limiter belongs to one event loop.
        limiter = self._limiters.setdefault(id(asyncio.get_running_loop()), CapacityLimiter(THREADS))
        try:
            async with asyncio.timeout(SECONDS):
                return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
        except TimeoutError:
            raise HTTPException(503) from None


def refuse_foreign_pages(request: Request) -> None:
    """Raise HTTPException 403 where a browser says that a page of somebody else sent this form.

    Such a page could sign up, or ask in the name of, everybody who opens it, with their own network and
    browser as the evidence. Who sends no such header is no browser of today; what has a token needs none of this.
    """
    if request.headers.get("sec-fetch-site", "").strip().lower() == "cross-site":
        raise HTTPException(403)


def of(request: Request) -> Edge:
    """Give what the application of this request shares."""
    return within(request.scope)


def within(scope: Scope) -> Edge:
    """Give what the application that was called with this scope shares."""
    edge: Edge = scope["app"].state.edge
    return edge
