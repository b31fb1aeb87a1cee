"""What is sent with? The real product on a database, with people, one sequence, one mail, and SendGrid on loopback."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import func, select

from bench import _crowd, _mail
from bench._databases import fresh
from bench._people import AT
from nurture.clock import VirtualClock
from nurture.delivery.provider import Sender
from nurture.delivery.sendgrid import SendGrid
from nurture.delivery.sending import send_many
from nurture.sequences import definition
from nurture.sequences.planner import plan
from nurture.settings import Settings
from nurture.store.keyrings import open_keyring
from nurture.store.tables import send_batch
from nurture.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from nurture.delivery.content.library import Library
    from nurture.sequences.definition import Sequence

REST = """\
version: 1
purpose: newsletter.product
goal: {event: demo_requested}
enrol: {when: consent_confirmed, again: never}
window: {days: mon-sun, from: "00:00", to: "24:00"}
steps:
  - {kind: mail, id: hello}
"""
KEY = "SG.bench-key-that-opens-nothing"
TICK = 20_000
"""Enrolments planned in one transaction."""


@dataclass
class World:
    """An installation, and how many weeks of it went by: each repetition is another week, with another mail."""

    ws: Workspace
    library: Library
    definitions: dict[str, Sequence]
    version: int
    week: int = 0

    @property
    def at(self) -> datetime:
        """The present."""
        return AT + timedelta(weeks=self.week)

    def next_week(self, count: int) -> None:
        """Let so many leads come due, in the next week: the cap counts by weeks."""
        self.week += 1
        with self.ws.store.write() as conn:
            _crowd.due(conn, next(iter(self.definitions)), self.version, at=self.at, count=count)

    def sendable(self) -> int:
        """How many mails came due this week for people who may get one? Asked of the tables, not of the product."""
        with self.ws.store.read() as conn:
            return _crowd.sendable(conn, at=self.at)

    def batches(self) -> int:
        """How many batches were planned this week?"""
        mine = select(func.count()).select_from(send_batch).where(send_batch.c.planned_at == self.at)
        with self.ws.store.read() as conn:
            return int(conn.execute(mine).scalar_one())

    def plan(self) -> int:
        """Plan all that is due as the flow does; give the number of messages."""
        planned, more = 0, True
        while more:
            with self.ws.store.write() as conn:
                done = plan(
                    conn, self.ws, self.definitions, self.library, provider_name="sendgrid",
                    batch_limit=self.ws.settings.batch_size, sequence=None, at=self.at, limit=TICK,
                )  # fmt: skip
            planned, more = planned + done.planned, done.more
        return planned

    def send(self, url: str, *, lanes: int) -> int:
        """Send all that is planned as the flow does; give the number of mails that were accepted."""
        settings = self.ws.settings
        provider = SendGrid(Sender(settings.sender_address, settings.sender_name), key=KEY, url=url)
        done, _ = send_many(
            self.ws, self.library, provider, kind="marketing", owner="bench", clock=VirtualClock(self.at), lanes=lanes,
            most=1_000_000,
        )  # fmt: skip
        provider.close()
        return done.accepted


@contextmanager
def world(
    database: str, leads: int, *, batch: int = 500, progress: Callable[[str], None] = lambda _: None
) -> Iterator[World]:
    """Make an installation with so many leads, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="nurture-bench-") as folder, fresh(database) as store:
        home = Path(folder)
        settings = Settings(
            home=home, provider="sendgrid", batch_size=batch, sendgrid_api_key=SecretStr(KEY),
            public_url="https://news.firma.example", company="Firma GmbH", postal_address="Hauptweg 1, 10115 Berlin",
            imprint="Geschäftsführung: V. Firma", sender_name="Firma", sender_address="post@firma.example",
        )  # fmt: skip
        ws = Workspace(settings, store, open_keyring(store, home / "keys.json"))
        yield install(ws, leads, progress=progress)


def install(
    ws: Workspace,
    leads: int,
    *,
    library: Library | None = None,
    sequence: str = _mail.KEY.sequence,
    progress: Callable[[str], None] = lambda _: None,
) -> World:
    """Fill an empty workspace with leads and one sequence, whose only mail is `<sequence>/hello` of the library."""
    path = ws.home / "sequences" / sequence / "sequence.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"sequence: {sequence}\n{REST}", "utf-8")
    definitions = dict(definition.load(ws.home / "sequences"))
    with ws.store.write() as conn:
        [version] = definition.register(conn, definitions, at=AT).values()
    _crowd.settle(ws.store, ws.keyring, leads, progress)
    return World(ws, library or _mail.library(), definitions, version)
