"""The line to the database breaks in the middle of COMMIT: was it committed? Whichever, nobody is mailed twice."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import DBAPIError

from nurture.delivery import facts, sending
from nurture.delivery.provider import Accepted, Outcome, Outgoing
from nurture.store.engine import open_store
from nurture.store.workspace import Workspace
from tests.crash.proxy import proxied
from tests.crash.verdict import judge
from tests.nurture.delivery.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from consent.keys import Keyring
    from nurture.settings import Settings
    from tests.conftest import PostgresServer

pytestmark = pytest.mark.requirement(95)


class Taking:
    """A provider that takes everything and counts."""

    name = "outbox"
    batch_limit = 500

    def __init__(self) -> None:
        """Begin with nothing."""
        self.taken: Counter[str] = Counter()

    def submit(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Take the batch."""
        self.taken.update(mail.public_id for mail in batch)
        return [Accepted("taking")] * len(batch)


def send_everything(world: World, provider: Any) -> None:
    """Send what is due, as a flow would; a broken line ends it."""
    while sending.send_next(world.ws, world.library, provider, kind="marketing", owner="w", at=world.at) is not None:
        pass


@pytest.mark.parametrize("after", [False, True], ids=["not committed", "committed"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_whose_answer_is_lost(
    postgres_server: PostgresServer, settings: Settings, keyring: Keyring, at: datetime, number: int, *, after: bool
) -> None:
    """Claim, intent, result: whichever commit is cut on whichever side, one mail each, and no doubt without need."""
    provider = Taking()
    with postgres_server.clone() as url, proxied(url) as (way, scissors):
        store = open_store(way)
        world = World(Workspace(settings, store, keyring), at)
        world.plan(world.person(), world.person())
        scissors.seen, scissors.cut, scissors.after = 0, number, after
        try:
            send_everything(world, provider)
        except DBAPIError:
            store.close()
        assert scissors.seen >= number
        for wait in (timedelta(minutes=6), timedelta(hours=30)):
            world = world.later(seconds=wait.total_seconds())
            with store.write() as conn:
                sending.recover(conn, at=world.at)
            send_everything(world, provider)
            with store.write() as conn:
                facts.reconcile(conn, at=world.at)
        found = judge(url, store, provider.taken, cap=2)
        store.close()
    assert found.good, found
    assert found.fates == {"accepted": 2}, found
