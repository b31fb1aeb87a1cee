"""The edge as `nurture serve` runs it, and one Chromium for all browser tests."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from sqlalchemy import select

from consent import opt_in, tokens
from consent.addresses import Address
from consent.schema import identity
from nurture.clock import VirtualClock
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.content.library import Library
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Sender
from nurture.delivery.sending import send_next
from nurture.leads import register
from nurture.store.workspace import Workspace
from nurture.web.app import create_app
from nurture.web.server import configuration, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip


# Not for the whole session: its event loop would stand in the way of other tests of the same process.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser; skipped where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  where there is no browser it is not needed

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield browser
        browser.close()


@dataclass
class Site:
    """A running edge and its people."""

    ws: Workspace
    clock: VirtualClock
    url: str

    def ask(self, address: str, *, before: timedelta = timedelta(0)) -> str:
        """Sign somebody up, so long ago; give the path of the confirmation."""
        with self.ws.store.write() as conn:
            asked = opt_in.request(
                conn,
                self.ws.keyring,
                address=Address.of(address),
                purposes=["newsletter.product", "email.tracking"],
                controller=self.ws.settings.controller,
                language="de",
                source="web.newsletter",
                evidence={},
                at=self.clock.now() - before,
            )
            assert asked.request_id is not None
            return f"/confirm/{opt_in.token(conn, self.ws.keyring, asked.request_id)}"

    def join(self, address: str) -> str:
        """Sign somebody up and confirm; give the subject."""
        token = self.ask(address).removeprefix("/confirm/")
        with self.ws.store.write() as conn:
            answer = opt_in.confirm(conn, self.ws.keyring, token, evidence={}, at=self.clock.now())
            assert isinstance(answer, opt_in.Confirmed)
            lead = register.NewLead(answer.subject, "de", "form")
            register.register(conn, [lead], at=self.clock.now(), keyring=self.ws.keyring)
        return answer.subject

    def link(self, prefix: str, purpose: str, public_id: str) -> str:
        """Give the path of a page for somebody."""
        return prefix + tokens.issue(self.ws.keyring, purpose, public_id)

    def deliver(self) -> list[str]:
        """Send the confirmation mails that are due into the outbox; give the text of each mail there."""
        settings = self.ws.settings
        library = Library.load(settings.templates, zone=settings.zone)
        outbox = Outbox(settings.home / "outbox", Sender(settings.sender_address, settings.sender_name))
        with self.ws.store.write() as conn:
            queue_confirmations(conn, self.ws, library, at=self.clock.now(), limit=10)
        while send_next(self.ws, library, outbox, kind="confirmation", owner="test", at=self.clock.now()):
            pass
        mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in outbox.folder.glob("*.eml")]
        parts = [mail.get_body(("plain",)) for mail in mails]
        return [part.get_content() for part in parts if part is not None]

    def only_subject(self) -> str:
        """Give the one person there is."""
        with self.ws.store.read() as conn:
            return str(conn.execute(select(identity.c.subject)).scalar_one())


@pytest.fixture
def site(workspace: Workspace, at: datetime) -> Iterator[Site]:
    """The edge on a free port, at a time that stands still."""
    taken = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    ws = Workspace(workspace.settings.model_copy(update={"public_url": url}), workspace.store, workspace.keyring)
    clock = VirtualClock(at)
    prepare(ws, at=clock.now())
    app = create_app(ws, clock, minimum_fill=0, answer_floor=0)
    server = uvicorn.Server(configuration(app, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Site(ws, clock, url)
    server.should_exit = True
    thread.join(timeout=20)
    taken.close()


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """One database is enough for what a browser sees; the tests of the pages themselves run on both."""
    shutil.copyfile(sqlite_template, tmp_path / "nurture.db")
    return f"sqlite:///{tmp_path / 'nurture.db'}"
