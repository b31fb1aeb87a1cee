"""What comes in by the thousand, and when is it safe? When it is committed: only then does the answer leave.

A provider hears "stored" after the commit that holds its post and the withdrawals in it. A reader is led on after the
commit that holds the click, but waits no longer than a moment for it: where the database is held by somebody else,
such as an import, the click stays in the queue and the reader goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from nurture.store import marks
from nurture.tracking import receiving, visiting
from nurture.web import lookups, wake
from nurture.web.gathering import FullError, Gatherer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from nurture.store.committing import Committer
    from nurture.store.workspace import Workspace
    from nurture.tracking.receiving import Post
    from nurture.tracking.visiting import Visit
    from nurture.web.lookups import Mail
    from nurture.web.wake import Wake

POSTS, VISITS = 32, 256
"""In one transaction: a post may have 1 MiB, a visit has some 300 bytes."""
POST_BYTES = 64 * 1024 * 1024
"""Of posts that wait or are being written: two transactions of the largest. The provider keeps the others for us."""
PROVIDER_COMES_AGAIN = {"Retry-After": "60"}
MOST_BEHIND = 10_000
"""Visits that wait for a database which somebody else holds; more are turned away, not forgotten in silence."""
PROVIDER_SECONDS = 9.0
"""Less than the ten that SendGrid waits; it comes again, and finds what was stored meanwhile."""
READER_SECONDS = 1.0
"""How long the way to a link's target may take because of us."""
TALLY_EVERY = timedelta(minutes=1)


@dataclass
class Tally:
    """Forged posts that are counted and not stored yet: a flood of them must not become a flood of writes."""

    count: int = 0
    stored_at: datetime | None = None

    def due(self, at: datetime) -> int:
        """Count one more; give how many to store now, 0 when some were stored within a minute."""
        self.count += 1
        if self.stored_at is not None and at - self.stored_at < TALLY_EVERY:
            return 0
        due, self.count, self.stored_at = self.count, 0, at
        return due


class Arrivals:
    """The queue of what arrives at one process."""

    def __init__(self, workspace: Workspace, committer: Committer, hints: Wake) -> None:
        """Commit through `committer`, and tell `hints` of it."""
        self._workspace = workspace
        self._committer = committer
        self._hints = hints
        self._links = lookups.Links()
        self._forged = Tally()
        self._posts = Gatherer[receiving.Post, None](
            self._store,
            most=POSTS,
            behind=MOST_BEHIND,
            patience=PROVIDER_SECONDS,
            weigh=lambda post: len(post.sealed.body),
            heaviest=POST_BYTES,
        )
        self._visits = Gatherer[visiting.Visit, "Mail | None"](
            self._record, most=VISITS, behind=MOST_BEHIND, patience=READER_SECONDS
        )

    async def post(self, post: Post) -> None:
        """Return when a post is committed; raises HTTPException 503 where that takes too long or too much waits."""
        try:
            await self._posts.add(post)
        except (TimeoutError, FullError):
            raise HTTPException(503, headers=PROVIDER_COMES_AGAIN) from None

    async def visit(self, visit: Visit) -> Mail | None:
        """Give the mail that was visited, None for an unknown one; the visit is recorded if it may be.

        Raises TimeoutError when the database is held by somebody else: the visit is recorded later, unless the
        process dies first. Raises HTTPException 503 when too many such visits wait.
        """
        try:
            return await self._visits.add(visit)
        except FullError:
            raise HTTPException(503) from None

    def mail(self, conn: Connection, public_id: str) -> Mail | None:
        """Give a mail without recording anything."""
        return self._mails(conn, [public_id]).get(public_id)

    def _mails(self, conn: Connection, public_ids: Iterable[str]) -> Mapping[str, Mail]:
        return lookups.mails(conn, public_ids, self._links, controller=self._workspace.settings.controller)

    async def forged(self, at: datetime) -> None:
        """Count a post that is not the provider's; `nurture delivery status` tells how many there were."""
        due = self._forged.due(at)
        if due:
            await asyncio.wrap_future(self._committer.submit(lambda conn: marks.add_to(conn, marks.FORGED, due)))

    async def _store(self, posts: Sequence[Post]) -> Sequence[None]:
        done = await asyncio.wrap_future(
            self._committer.submit(lambda conn: receiving.receive(conn, self._workspace, posts))
        )
        if done.stored:
            self._hints.hint()
        if done.withdrawn:
            self._hints.hint(wake.CONSENT_WITHDRAWN)
        return [None] * len(posts)

    async def _record(self, visits: Sequence[Visit]) -> Sequence[Mail | None]:
        def record(conn: Connection) -> tuple[Mapping[str, Mail], int]:
            found = self._mails(conn, {visit.message for visit in visits})
            kept = [
                visit
                for visit in visits
                if (mail := found.get(visit.message)) is not None and mail.measured and mail.shows(visit.link)
            ]
            visiting.record(conn, self._workspace.keyring, kept)
            return found, len(kept)

        found, recorded = await asyncio.wrap_future(self._committer.submit(record))
        if recorded:
            self._hints.hint()
        return [found.get(visit.message) for visit in visits]
