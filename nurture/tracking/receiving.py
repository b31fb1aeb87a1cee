"""What must be on the disk before a provider hears that we have its events? The bytes, and every withdrawal in them.

The bytes are stored as they came, so nothing is lost whatever becomes of our reading of them. What ends a consent, or
our account, has its effect in that very transaction: the next mail must not leave because a flow has not run yet. The
rest is applied by the flow (`ingest`), which finds these events already there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from consent import ledger
from nurture import failpoints
from nurture.store.engine import require_transaction
from nurture.tracking import effects, ingest, intake, reading
from nurture.tracking.intake import Source
from nurture.tracking.people import Item
from nurture.tracking.vocabulary import SENDGRID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.store.workspace import Workspace
    from nurture.tracking.sendgrid_events import Normalised

trouble = logging.getLogger("nurture.tracking.trouble")

PRESSING = frozenset(name for name, kind in SENDGRID.items() if kind in effects.PRESSING)
"""What the provider calls the events that cannot wait."""


@dataclass(frozen=True, slots=True)
class Post:
    """A body of the provider, its signature checked, ready to be stored."""

    sealed: intake.Sealed
    pressing: Sequence[Normalised]
    """Its events that cannot wait, as far as they can be read."""

    @classmethod
    def of(cls, keyring: Keyring, body: bytes, *, at: datetime) -> Post:
        """Seal a body that came at `at` (UTC) and look for what cannot wait; raises nothing for what stands in it."""
        pressing = [told for told in reading.pick(body, PRESSING) if effects.presses(told.kind, told.attributes)]
        return cls(intake.sealed(keyring, Source.SENDGRID, body, at=at), pressing)


@dataclass(frozen=True)
class Received:
    """What one transaction took in."""

    stored: int
    """Posts that were not there before."""
    withdrawn: int
    """People whose consents ended."""


def receive(conn: Connection, ws: Workspace, posts: Sequence[Post]) -> Received:
    """Store posts and do what cannot wait. Repeating it, wholly or in part, changes nothing."""
    fresh = {post.sealed.sha256: post for post in posts}
    ids = intake.store(conn, [post.sealed for post in fresh.values()])
    done = _press(conn, ws, fresh, ids)
    failpoints.reach("webhook.raw_before_commit")
    return Received(len(ids), done)


def _press(conn: Connection, ws: Workspace, posts: Mapping[str, Post], ids: Mapping[str, int]) -> int:
    """Apply the pressing events of the posts that are new; give how many people left."""
    new = [(posts[sha256], raw_id) for sha256, raw_id in ids.items()]
    items = [Item.of(told, raw_id, post.sealed.at) for post, raw_id in new for told in post.pressing]
    if not items:
        return 0
    ledger.lock(conn)
    try:
        with conn.begin_nested():
            return len(ingest.apply(conn, ws, items, at=max(item.received_at for item in items)).effects.withdrawn)
    except DBAPIError:
        raise
    except Exception as error:  # noqa: BLE001  the bytes must be kept; the flow tries again, and its alarm is heard
        require_transaction(conn)
        trouble.error("%s in what could not wait; the flow will apply it", type(error).__name__)
        return 0
