"""What becomes of two transactions that meet on PostgreSQL? SQLite has one writer, so nobody meets there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from consent import ledger, opt_in, texts
from consent.addresses import Address
from nurture.leads.importing.mapping import Consent, Map
from nurture.leads.importing.run import import_file
from nurture.tracking.ingest import ingest
from tests.consent import wording
from tests.nurture.meeting import PATIENCE, until_it_waits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.nurture.tracking.conftest import World

ANNA = "anna@musterfirma.example"
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120 Safari/537.36"


@pytest.fixture(autouse=True)
def only_where_writers_meet(database_kind: str) -> None:
    """Leave SQLite out."""
    if database_kind == "sqlite":
        pytest.skip("SQLite has one writer")


def sign_up(conn: Connection, world: World) -> None:
    """Let Anna ask for the newsletter."""
    opt_in.request(
        conn, world.ws.keyring, address=Address.of(ANNA), purposes=["newsletter.product"], controller="default",
        language="de", source="web", evidence={}, at=world.at,
    )  # fmt: skip


def meets_a_sign_up(world: World, other: Callable[[], Any]) -> Any:
    """Run something while a sign-up of Anna is at work; give what it gave."""
    with world.ws.store.write() as conn:
        texts.publish(conn, wording.standard("default", "Musterwerk GmbH"), at=world.at)
    with ThreadPoolExecutor(1) as pool:
        with world.ws.store.write() as conn:
            ledger.lock(conn)
            future = pool.submit(other)
            until_it_waits(world.ws.store, future)
            sign_up(conn, world)
        return future.result(PATIENCE)


def test_an_import_survives_a_sign_up(world: World, tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text(f"email,optin_time,confirm_time\n{ANNA},2025-01-01 10:00:00,2025-01-01 10:05:00\n")
    said = Map(consent=(Consent(text="Ja, ich möchte E-Mails."),))
    report = meets_a_sign_up(world, lambda: import_file(world.ws, path, at=world.at, settings=said))
    assert report.counts.consents == 1


def test_events_survive_a_sign_up(world: World, told: Callable[..., dict[str, Any]]) -> None:
    form = {"form": "demo_request", "address": ANNA, "fields": {}, "at": world.at.isoformat()}
    world.receive("form", json.dumps(form).encode())
    world.receive("sendgrid", json.dumps([told("spamreport", world.person(), world.at)]).encode())
    assert meets_a_sign_up(world, world.ingest).withdrawn == 1


def test_two_runs_see_one_burst(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person, moment = world.person(), world.at - timedelta(minutes=20)
    for names in (("guide", "prices"), ("talk", "h")):
        clicks = [
            told("click", person, moment, url=f"https://example.org/{name}", useragent=BROWSER, sg_event_id=name)
            for name in names
        ]
        world.receive("sendgrid", json.dumps(clicks).encode())
    with ThreadPoolExecutor(1) as pool:
        with world.ws.store.write() as conn:
            ingest(conn, world.ws, at=world.at, limit=1)
            future = pool.submit(world.ingest)
            until_it_waits(world.ws.store, future)
        assert future.result(PATIENCE).leads == (person.lead_id,)
    assert [row.verdict for row in world.events()] == ["machine"] * 4
