"""The edge on a fresh workspace with published wordings, and visitors to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select

from consent import opt_in, texts, tokens
from consent.addresses import Address
from consent.schema import ledger_entry
from consent.states import standings
from nurture.clock import VirtualClock
from nurture.store.tables import message, raw_event, send_batch, template_version
from nurture.web.app import create_app
from tests.consent import wording
from tests.nurture.web.provider import PUBLIC
from tests.nurture.web.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from starlette.applications import Starlette

    from nurture.store.workspace import Workspace


@pytest.fixture
def clock(at: datetime) -> VirtualClock:
    """A clock that the test moves."""
    return VirtualClock(at)


@pytest.fixture
def ready(workspace: Workspace, at: datetime) -> Workspace:
    """A workspace with the standard wordings."""
    settings = workspace.settings
    with workspace.store.write() as conn:
        texts.publish(conn, wording.standard(settings.controller, settings.company), at=at)
    return workspace


@pytest.fixture
def app(ready: Workspace, clock: VirtualClock) -> Starlette:
    """The application, without the floor under its answers."""
    return create_app(ready, clock, answer_floor=0)


@pytest.fixture
def visitor(app: Starlette, clock: VirtualClock) -> Iterator[Visitor]:
    """Somebody at 203.0.113.7."""
    made = Visitor(app, clock)
    yield made
    made.close()


@pytest.fixture
def hook(ready: Workspace, clock: VirtualClock) -> Iterator[Visitor]:
    """A visitor to an edge that knows the provider's key."""
    keyed = ready.settings.model_copy(update={"sendgrid_webhook_key": PUBLIC})
    made = Visitor(create_app(type(ready)(keyed, ready.store, ready.keyring), clock), clock)
    yield made
    made.close()


@pytest.fixture
def ledger(workspace: Workspace) -> Callable[[], list[str]]:
    """The types of all ledger entries so far."""

    def read() -> list[str]:
        with workspace.store.read() as conn:
            return list(conn.execute(select(ledger_entry.c.type).order_by(ledger_entry.c.seq)).scalars())

    return read


@pytest.fixture
def raw_count(workspace: Workspace) -> Callable[[], int]:
    """How many raw events were stored."""

    def count() -> int:
        with workspace.store.read() as conn:
            return conn.execute(select(func.count()).select_from(raw_event)).scalar_one()

    return count


@pytest.fixture
def confirmed(ready: Workspace, at: datetime) -> str:
    """The subject of somebody who agreed to newsletter and tracking."""
    return _confirmed(ready, "anna@firma.example", at)


@pytest.fixture
def other(ready: Workspace, at: datetime) -> str:
    """The subject of somebody else who agreed to the same."""
    return _confirmed(ready, "anna@privat.example", at)


@pytest.fixture
def mailed(ready: Workspace, confirmed: str, at: datetime) -> Callable[..., str]:
    """Gives the public id of a mail to the confirmed person."""

    def mail(*, tracked: bool = True, urls: tuple[str, ...] = ("https://musterwerk.example/a",), **more: object) -> str:
        public_id = tokens.random_id()
        with ready.store.write() as conn:
            links = [{"key": f"link{number}", "url": url} for number, url in enumerate(urls)]
            version = conn.execute(
                insert(template_version)
                .values(key="welcome/hello/cold/de", sha256=public_id, links=links, seen_at=at)
                .returning(template_version.c.id)
            ).scalar_one()
            batch = conn.execute(
                insert(send_batch)
                .values(kind="marketing", state="accepted", provider="outbox", environment="test", count=1, attempt=1,
                        planned_at=at, not_before=at, not_after=at)
                .returning(send_batch.c.id)
            ).scalar_one()  # fmt: skip
            row = {"public_id": public_id, "batch_id": batch, "kind": "marketing", "subject": confirmed,
                   "step": "hello", "occurrence": 1, "purpose": "newsletter.product", "class": "educational",
                   "language": "de", "template_version_id": version, "tracked": tracked, "planned_at": at}  # fmt: skip
            conn.execute(insert(message).values(row | more))
        return public_id

    return mail


def _confirmed(workspace: Workspace, address: str, at: datetime) -> str:
    keyring = workspace.keyring
    with workspace.store.write() as conn:
        asked = opt_in.request(
            conn,
            keyring,
            address=Address.of(address),
            purposes=["newsletter.product", "email.tracking"],
            controller=workspace.settings.controller,
            language="de",
            source="web.newsletter",
            evidence={},
            at=at,
        )
        assert asked.request_id is not None
        answer = opt_in.confirm(conn, keyring, opt_in.token(conn, keyring, asked.request_id), evidence={}, at=at)
    assert isinstance(answer, opt_in.Confirmed)
    return answer.subject


@pytest.fixture
def link(ready: Workspace) -> Callable[[str, str], str]:
    """Gives the token for a purpose and a public id."""
    return lambda purpose, public_id: tokens.issue(ready.keyring, purpose, public_id)


@pytest.fixture
def states(ready: Workspace) -> Callable[[str], dict[str, str]]:
    """Gives purpose -> state of a subject, without the sign for "everything"."""

    def read(subject: str) -> dict[str, str]:
        with ready.store.read() as conn:
            return {one.purpose: str(one.state) for one in standings(conn, subject) if one.purpose != "*"}

    return read
