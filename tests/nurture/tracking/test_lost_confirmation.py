"""What becomes of a sign-up whose confirmation mail cannot arrive?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select

from consent import ledger, opt_in, texts, tokens
from consent.addresses import Address
from consent.schema import identity, ledger_entry, opt_in_request, suppression
from nurture.leads import register
from nurture.store.tables import message, raw_event
from nurture.tracking.ingest import ingest
from tests.consent import wording
from tests.nurture.tracking.conftest import Person, add_message, provider_event

if TYPE_CHECKING:
    from tests.nurture.tracking.conftest import World


def sign_up(world: World, *, known: bool = False) -> Person:
    """Ask for the newsletter; the confirmation mail has left."""
    with world.ws.store.write() as conn:
        texts.publish(conn, wording.standard("default", "Musterwerk GmbH"), at=world.at)
        asked = opt_in.request(
            conn, world.ws.keyring, address=Address.of("neu@example.org"), purposes=["newsletter.product"],
            controller="default", language="de", source="form", evidence={}, at=world.at,
        )  # fmt: skip
        [subject] = conn.execute(select(opt_in_request.c.subject)).scalars()
        lead_id = 0
        if known:
            lead_id = register.register(conn, [register.NewLead(subject, "de", "import")], at=world.at)[subject]
        # The batch and the template are whatever the world's mails use.
        like = add_message(conn, subject, lead_id or None, tokens.random_id(), world.at, tracked=False)  # type: ignore[arg-type]
        row = conn.execute(select(message.c.batch_id, message.c.template_version_id).where(message.c.id == like)).one()
        public_id = tokens.random_id()
        values = {
            "public_id": public_id, "batch_id": row.batch_id, "kind": "confirmation", "subject": subject,
            "request_id": asked.request_id, "step": "confirm", "occurrence": 1, "class": "confirmation",
            "language": "de", "template_version_id": row.template_version_id, "tracked": False,
            "planned_at": world.at,
        }  # fmt: skip
        number = conn.execute(insert(message).values(values).returning(message.c.id)).scalar_one()
    return Person(subject, lead_id, number, public_id)


def told(world: World, person: Person, name: str = "bounce", **more: Any) -> Any:
    """Hear of that mail from the provider."""
    about = {"type": "bounce"} if name == "bounce" else {}
    return world.sendgrid(provider_event(name, person, world.at, **about, **more))


def state(world: World) -> str:
    """Tell where the request stands."""
    [row] = world.rows(select(opt_in_request.c.state))
    return str(row.state)


@pytest.mark.parametrize(
    ("name", "more"),
    [("bounce", {}), ("dropped", {"reason": "Bounced Address"}), ("dropped", {"reason": "Invalid"})],
)
def test_a_lost_confirmation_closes_the_request(world: World, name: str, more: dict[str, str]) -> None:
    told(world, sign_up(world), name, **more)
    assert state(world) == "bounced"


def test_a_temporary_refusal_leaves_it_open(world: World) -> None:
    told(world, sign_up(world), "deferred")
    assert state(world) == "requested"


def test_its_link_is_dead_afterwards(world: World) -> None:
    person = sign_up(world)
    with world.ws.store.read() as conn:
        [number] = conn.execute(select(opt_in_request.c.id)).scalars()
        link = opt_in.token(conn, world.ws.keyring, number)
    told(world, person)
    with world.ws.store.write() as conn:
        answer = opt_in.confirm(conn, world.ws.keyring, link, evidence={}, at=world.at)
    assert isinstance(answer, opt_in.Lapsed)


def test_the_address_stays_suppressed_without_its_person(world: World) -> None:
    told(world, sign_up(world))
    assert [row.reason for row in world.rows(select(suppression.c.reason))] == ["hard_bounce"]
    assert all(row.erased_at is not None for row in world.rows(select(identity.c.erased_at)))


def test_a_known_lead_is_not_erased(world: World) -> None:
    told(world, sign_up(world, known=True))
    assert [row.erased_at for row in world.rows(select(identity.c.erased_at))] == [None]


def test_hearing_it_twice_closes_once(world: World) -> None:
    person = sign_up(world)
    told(world, person)
    told(world, person, "dropped", reason="Bounced Address")
    lapsed = world.rows(select(ledger_entry.c.seq).where(ledger_entry.c.type == ledger.EntryType.LAPSED))
    assert len(lapsed) == 1


def test_a_marketing_bounce_closes_no_request(world: World) -> None:
    person = world.person()
    sign_up(world)
    told(world, person)
    assert state(world) == "requested"


def test_request_and_event_are_one_transaction(world: World) -> None:
    person = sign_up(world)
    body = json.dumps([provider_event("bounce", person, world.at, type="bounce")]).encode()
    world.receive("sendgrid", body)
    conn = world.ws.store.engine.connect()
    with conn.begin() as transaction:
        ingest(conn, world.ws, at=world.at, limit=10)
        transaction.rollback()
    conn.close()
    assert state(world) == "requested"
    assert world.rows(select(func.count()).select_from(raw_event).where(raw_event.c.state == "new"))[0][0] == 1
