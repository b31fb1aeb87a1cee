"""Does each event count once, for the right person, and only as far as they agreed?"""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from consent import gate, identity, imported, ledger, withdrawal
from consent.schema import consent_state, suppression
from consent.states import standings
from nurture.store.tables import delivery_fact, event, kill_switch, lead, raw_event, signal, switch_change
from nurture.tracking.ingest import waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.nurture.tracking.conftest import Person, World

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"


def click(world: World, person: Person, *, link: int = 0, at: datetime | None = None, **more: Any) -> bytes:
    body = {"message": person.public_id, "link": link, "method": "GET", "user_agent": BROWSER}
    return json.dumps(body | {"at": (at or world.at).isoformat()} | more).encode()


def form(world: World, address: str, name: str = "demo_request", **fields: Any) -> bytes:
    return json.dumps({"form": name, "address": address, "fields": fields, "at": world.at.isoformat()}).encode()


@pytest.mark.requirement(44, 50)
def test_a_click_becomes_an_event(world: World) -> None:
    person = world.person()
    world.receive("click", click(world, person, link=1))
    done = world.ingest()
    [row] = world.events()
    assert (row.kind, row.lead_id, row.message_id, row.verdict) == (
        "clicked",
        person.lead_id,
        person.message_id,
        "human",
    )
    assert row.attributes == {"link": 1, "link_key": "prices"}
    assert (done.raw, done.events, done.leads) == (1, 1, (person.lead_id,))


def test_the_same_bytes_are_stored_once(world: World) -> None:
    body = click(world, world.person())
    assert [world.receive("click", body), world.receive("click", body)] == [True, False]


def test_an_applied_body_is_forgotten(world: World) -> None:
    world.receive("click", click(world, world.person()))
    world.ingest()
    [row] = world.rows(select(raw_event))
    assert (row.state, row.sealed_body) == ("applied", None)


def test_raw_bodies_lie_sealed(world: World) -> None:
    world.receive("form", form(world, "erika@musterfirma.example"))
    [row] = world.rows(select(raw_event))
    assert b"erika" not in row.sealed_body


def test_a_redelivered_event_counts_once(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    first = told("delivered", person, world.at, response="250 OK", sg_event_id="one")
    again = first | {"sg_event_id": "another id for the same event"}
    assert world.sendgrid(first).events == 1
    done = world.sendgrid(again)
    assert (done.events, done.duplicates) == (0, 1)


def test_duplicates_within_one_body_count_once(world: World, told: Callable[..., dict[str, Any]]) -> None:
    one = told("delivered", world.person(), world.at, response="250 OK")
    done = world.sendgrid(one, one, one)
    assert (done.events, done.duplicates) == (1, 2)


@pytest.mark.requirement(44)
def test_opens_without_tracking_leave_no_row(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person(tracked=False)
    world.receive("click", click(world, person))
    done = world.sendgrid(told("open", person, world.at))
    assert (world.events(), done.untracked, done.leads) == ([], 2, ())


@pytest.mark.requirement(44)
def test_a_click_whose_consent_ended_meanwhile_leaves_nothing_at_all(world: World) -> None:
    """Stored while it was agreed to, gone with the agreement: no event, and no raw row either."""
    leaving, staying = world.person(), world.person()
    both = [json.loads(click(world, person)) for person in (leaving, staying)]
    world.receive("click", click(world, leaving))
    world.receive("click", json.dumps(both).encode())
    with world.ws.store.write() as conn:
        withdrawal.withdraw(
            conn, subject=leaving.subject, controller="default", purposes=["email.tracking"], route="page",
            actor="subject", at=world.at,
        )  # fmt: skip
    assert world.ingest().untracked == 1
    [row] = world.events()
    assert (row.lead_id, [each.id for each in world.rows(select(raw_event))]) == (staying.lead_id, [row.raw_id])


def test_clicks_of_one_commit_come_in_one_body(world: World) -> None:
    """One that cannot be understood costs the others nothing."""
    good = [json.loads(click(world, world.person(), link=number)) for number in range(3)]
    world.receive("click", json.dumps([good[0], {"link": "x"}, *good[1:]]).encode())
    done = world.ingest()
    assert (done.events, done.quarantined) == (3, 1)


@pytest.mark.requirement(44)
def test_a_click_from_before_the_consent_leaves_no_row(world: World) -> None:
    world.receive("click", click(world, world.person(), at=world.at - timedelta(days=100)))
    done = world.ingest()
    assert (world.events(), done.untracked, done.leads) == ([], 1, ())


@pytest.mark.requirement(44)
def test_a_click_in_an_untracked_mail_leaves_no_row(world: World) -> None:
    person = world.person(tracked=False)
    with world.ws.store.write() as conn:
        agreed = imported.ImportedConsent(person.subject, "email.tracking", "default", "Ja", world.at, {"url": "x"})
        imported.record(conn, world.ws.keyring, [agreed], at=world.at)
    later = world.at + timedelta(minutes=5)
    world.receive("click", click(world, person, at=later), at=later)
    done = world.ingest(at=later)
    assert (world.events(), done.untracked, done.leads) == ([], 1, ())


def test_delivery_needs_no_tracking_consent(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person(tracked=False)
    done = world.sendgrid(told("delivered", person, world.at, response="250 OK"))
    assert [row.fact for row in world.rows(select(delivery_fact))] == ["delivered"]
    assert done.leads == ()


def test_delivery_facts_keep_the_earliest_time(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    for minutes in (5, 30, 10):
        world.sendgrid(told("delivered", person, world.at - timedelta(minutes=minutes), response="250 OK"))
    [row] = world.rows(select(delivery_fact))
    assert row.at == world.at - timedelta(minutes=30)


@pytest.mark.requirement(119)
def test_a_hard_bounce_suppresses(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    done = world.sendgrid(told("bounce", person, world.at, type="bounce", status="5.1.1"))
    assert [row.reason for row in world.rows(select(suppression))] == ["hard_bounce"]
    assert done.suppressed == 1


def test_a_soft_bounce_suppresses_at_the_third(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    counts = []
    for day in (9, 5, 1):
        world.sendgrid(told("bounce", person, world.at - timedelta(days=day), type="blocked"))
        counts.append(len(world.rows(select(suppression))))
    assert counts == [0, 0, 1]


def test_a_complaint_ends_everything(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    world.sendgrid(told("spamreport", person, world.at))
    states = {row.state for row in world.rows(select(consent_state).where(consent_state.c.subject == person.subject))}
    assert states == {"withdrawn"}
    assert [row.reason for row in world.rows(select(suppression))] == ["complaint"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_complaint_outweighs_a_bounce(world: World, told: Callable[..., dict[str, Any]], order: int) -> None:
    """In one body, whichever comes first: what the person said is kept."""
    person = world.person()
    said = [told("bounce", person, world.at, type="bounce", status="5.1.1"), told("spamreport", person, world.at)]
    world.sendgrid(*said[::order])
    assert [row.reason for row in world.rows(select(suppression))] == ["complaint"]


@pytest.mark.requirement(62)
@pytest.mark.parametrize("name", ["unsubscribe", "group_unsubscribe"])
def test_an_unsubscribe_withdraws_at_once(world: World, told: Callable[..., dict[str, Any]], name: str) -> None:
    person = world.person()
    done = world.sendgrid(told(name, person, world.at, asm_group_id=1))
    with world.ws.store.read() as conn:
        answer = gate.check(conn, [person.subject], purpose="newsletter.product", controller="default", at=world.at)
    assert (answer[person.subject], done.withdrawn) == (gate.RefusalReason.WITHDRAWN, 1)


@pytest.mark.parametrize(
    ("name", "ended"),
    [("group_unsubscribe", ["newsletter.product"]), ("unsubscribe", ["*"]), ("spamreport", ["*"])],
)
def test_t34_a_providers_withdrawal_is_the_links(
    world: World, told: Callable[..., dict[str, Any]], name: str, ended: list[str]
) -> None:
    """T34: a group ends the purpose of the mail it stood in, the others everything: one entry, its route told."""
    person = world.person()
    with world.ws.store.write() as conn:
        more = imported.ImportedConsent(person.subject, "newsletter.events", "default", "Ja", world.at, {})
        imported.record(conn, world.ws.keyring, [more], at=world.at)
    for _ in range(2):
        world.sendgrid(told(name, person, world.at, asm_group_id=1))
    with world.ws.store.read() as conn:
        [entry] = ledger.read(conn, types=["consent.withdrawn"])
        left = {one.purpose for one in standings(conn, person.subject) if one.state == "given"}

    assert (entry.body["route"], [one for one in entry.body["purposes"] if one != "email.tracking"]) == (
        "provider",
        ended,
    )
    assert left == ({"newsletter.events"} if name == "group_unsubscribe" else set())


def test_t61_an_open_uses_no_consent(world: World, told: Callable[..., dict[str, Any]]) -> None:
    """T61: only a send starts the months anew; looking at a mail does not."""
    person = world.person()
    world.sendgrid(told("open", person, world.at))
    assert world.events("opened")
    query = select(consent_state.c.used_at).where(consent_state.c.subject == person.subject)
    assert {row.used_at for row in world.rows(query)} == {None}


def test_an_unsubscribe_by_address_alone_counts(world: World, told: Callable[..., dict[str, Any]]) -> None:
    world.person(address="Erika@Musterfirma.example")
    done = world.sendgrid(told("unsubscribe", None, world.at, email="erika@musterfirma.example"))
    assert done.withdrawn == 1


def test_a_resubscription_never_gives_consent(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    world.sendgrid(told("unsubscribe", person, world.at))
    world.sendgrid(told("group_resubscribe", person, world.at, asm_group_id=1))
    states = {row.state for row in world.rows(select(consent_state).where(consent_state.c.subject == person.subject))}
    assert states == {"withdrawn"}


@pytest.mark.parametrize(
    ("reason", "suppressed", "withdrawn"),
    [
        ("Bounced Address", 1, 0),
        ("Unsubscribed Address", 1, 1),
        ("Spam Reporting Address", 1, 1),
        ("Spam Content", 0, 0),
    ],
)
def test_a_drop_tells_what_the_provider_knew(
    world: World, told: Callable[..., dict[str, Any]], reason: str, suppressed: int, withdrawn: int
) -> None:
    done = world.sendgrid(told("dropped", world.person(), world.at, reason=reason, email=""))
    assert (done.suppressed, done.withdrawn) == (suppressed, withdrawn)


def test_account_trouble_stops_all_sending(world: World) -> None:
    done = world.sendgrid(
        {"event": "account_status_change", "timestamp": int(world.at.timestamp()), "type": "compliance_suspend"}
    )
    [row] = world.rows(select(kill_switch))
    assert (row.scope, done.stopped) == ("all", True)
    assert [(one.scope, one.change, one.actor) for one in world.rows(select(switch_change))] == [
        ("all", "stop", "provider")
    ]


def test_an_unknown_event_is_kept_without_its_person(world: World, told: Callable[..., dict[str, Any]]) -> None:
    world.sendgrid(told("some_future_event", world.person(), world.at))
    [row] = world.events("unknown")
    assert (row.lead_id, row.message_id, row.attributes["name"]) == (None, None, "some_future_event")


def test_the_key_of_an_unknown_event_names_nobody(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    world.sendgrid(told("some_future_event", person, world.at))
    assert person.public_id not in world.events("unknown")[0].key


def test_an_unknown_event_counts_once(world: World, told: Callable[..., dict[str, Any]]) -> None:
    one = told("some_future_event", world.person(), world.at)
    world.sendgrid(one)
    assert (world.sendgrid(one, {}).duplicates, len(world.events("unknown"))) == (1, 1)


def test_other_senders_messages_are_dropped(world: World, told: Callable[..., dict[str, Any]]) -> None:
    done = world.sendgrid(told("open", None, world.at), told("delivered", None, world.at, response=""))
    assert (done.foreign, world.events()) == (2, [])


@pytest.mark.requirement(52, 67, 69)
def test_a_demo_request_is_a_strong_signal(world: World) -> None:
    person = world.person(tracked=False, address="erika@musterfirma.example")
    world.receive("form", form(world, "erika@musterfirma.example"))
    done = world.ingest()
    [row] = world.rows(select(signal))
    assert (row.lead_id, row.kind, row.strength) == (person.lead_id, "demo_requested", "strong")
    assert done.leads == (person.lead_id,)


def known_by_form(world: World, held: dict[str, str], **fields: str) -> dict[str, str]:
    """Send a form with the address of somebody of whom something is held; give what is held then."""
    person = world.person(address="vera@musterfirma.example")
    with world.ws.store.write() as conn:
        identity.describe(conn, world.ws.keyring, {person.subject: held})
    world.receive("form", form(world, "VERA@musterfirma.example", **fields))
    world.ingest()
    with world.ws.store.read() as conn:
        return identity.reveal(conn, world.ws.keyring, [person.subject])[person.subject].details


def test_a_form_overwrites_nobodys_name(world: World) -> None:
    held = {"first_name": "Vera", "phone": "+49301234"}
    now = known_by_form(world, held, first_name="GEWINN", phone="+49900666")
    assert {name: now[name] for name in held} == held


def test_a_form_fills_no_gap_of_somebody_known(world: World) -> None:
    """Our mails greet by it: whoever types a known address must not be able to write into them."""
    now = known_by_form(world, {"first_name": "Vera"}, last_name="https://falle.example", company="Falle GmbH")
    assert now == {"first_name": "Vera", "message": "last_name: https://falle.example\ncompany: Falle GmbH"}


def test_a_form_changes_no_fact_of_somebody_known(world: World) -> None:
    """Nor is anybody's score lifted by it."""
    known_by_form(world, {}, job_title="Geschäftsführer", country="DE", company_size="400")
    [row] = world.rows(select(lead))
    assert (row.role, row.country, row.company_size) == ("unknown", None, None)


def test_a_second_form_fills_no_gap_of_the_first(world: World) -> None:
    """Whether or not both came in one go."""
    for local in ("a", "b"):
        for number, fields in enumerate(({"first_name": "Erika"}, {"last_name": "Falle"})):
            told = {"form": "demo_request", "address": f"{local}@musterfirma.example", "fields": fields}
            world.receive("form", json.dumps(told | {"at": world.at.isoformat(), "n": number}).encode())
            if local == "b":
                world.ingest()
    world.ingest()
    with world.ws.store.read() as conn:
        subjects = conn.execute(select(lead.c.subject)).scalars().all()
        people = identity.reveal(conn, world.ws.keyring, subjects)
    seen = [(person.details.get("last_name"), person.details["message"]) for person in people.values()]
    assert seen == [(None, "last_name: Falle")] * 2


def test_what_a_form_contradicts_stands_with_its_message(world: World) -> None:
    now = known_by_form(world, {"phone": "+49301234"}, phone="+49305678", message="Neue Nummer")
    assert now["message"] == "Neue Nummer\nphone: +49305678"


@pytest.mark.requirement(13, 117)
def test_a_stranger_who_asks_becomes_an_unmailable_lead(world: World) -> None:
    world.receive("form", form(world, "neu@musterfirma.example", job_title="Geschäftsführer"))
    done = world.ingest()
    [row] = world.rows(select(lead))
    assert (row.stage, row.source, row.source_detail, row.role) == ("unconfirmed", "form", "demo_request", "decider")
    assert (done.leads, world.rows(select(consent_state))) == ((row.id,), [])


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://example.org/prices", "prices"),
        ("https://our.example/c/token/3", "talk"),
        ("https://our.example/c/token/99", None),
        ("https://elsewhere.example/", None),
    ],
)
def test_a_providers_click_names_our_link(
    world: World, told: Callable[..., dict[str, Any]], url: str, key: str | None
) -> None:
    world.sendgrid(told("click", world.person(), world.at, url=url, useragent=BROWSER))
    assert world.events()[0].attributes.get("link_key") == key


def test_a_form_names_the_language(world: World) -> None:
    body = {"form": "demo_request", "address": "a@musterfirma.example", "language": "en", "at": world.at.isoformat()}
    world.receive("form", json.dumps(body).encode())
    world.ingest()
    assert world.rows(select(lead.c.language))[0].language == "en"


def test_what_a_form_tells_of_a_person_stays_sealed(world: World) -> None:
    from consent import identity  # noqa: PLC0415  beside its only use

    fields = {"first_name": "Erika", "last_name": "Muster", "message": "Bitte\nRückruf\x00"}
    world.receive("form", form(world, "erika@musterfirma.example", **fields))
    world.ingest()
    [row] = world.events()
    assert row.attributes == {"form": "demo_request"}
    subject = world.rows(select(lead.c.subject))[0].subject
    with world.ws.store.read() as conn:
        person = identity.reveal(conn, world.ws.keyring, [subject])[subject]
    told = {"first_name": "Erika", "last_name": "Muster", "message": "Bitte\nRückruf"}
    assert {name: person.details[name] for name in fields} == told


def test_two_forms_of_one_second_count_twice(world: World) -> None:
    world.receive("form", form(world, "a@musterfirma.example"))
    world.receive("form", form(world, "b@musterfirma.example"))
    assert world.ingest().events == 2


def test_a_form_without_a_usable_address_is_put_aside(world: World) -> None:
    world.receive("form", form(world, "no address"))
    assert world.ingest().quarantined == 1
    [row] = world.rows(select(raw_event))
    assert (row.state, "no address" in row.error) == ("quarantined", False)


@pytest.mark.requirement(44, 51, 60)
def test_a_beacon_tells_visits_and_downloads(world: World) -> None:
    person = world.person()
    for name in ("page_dwelled", "downloaded", "social_engaged", "pricing_visited"):
        body = {"event": name, "message": person.public_id, "seconds": 90, "page": "guide", "at": world.at.isoformat()}
        world.receive("beacon", json.dumps(body).encode())
    world.ingest()
    assert {row.kind: row.verdict for row in world.events()} == {
        "page_dwelled": "human", "downloaded": "human", "social_engaged": "human", "pricing_visited": "human",
    }  # fmt: skip


def test_no_event_lies_after_its_receipt(world: World, told: Callable[..., dict[str, Any]]) -> None:
    world.sendgrid(told("open", world.person(), world.at + timedelta(minutes=4)))
    [row] = world.events()
    assert row.at == world.at


def test_ingesting_goes_on_where_it_stopped(world: World) -> None:
    for _ in range(3):
        world.receive("click", click(world, world.person()))
    first = world.ingest(limit=2)
    second = world.ingest(limit=2)
    assert (first.raw, first.more, second.raw, second.more) == (2, True, 1, False)
    with world.ws.store.read() as conn:
        assert waiting(conn) == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_order_of_arrival_does_not_matter(
    world: World, told: Callable[..., dict[str, Any]], order: tuple[int, ...]
) -> None:
    person = world.person()
    earlier = world.at - timedelta(minutes=10)
    events = [
        told("delivered", person, earlier, response="250 OK"),
        told("click", person, earlier + timedelta(seconds=2), url="https://example.org/guide"),
        told("open", person, earlier + timedelta(minutes=5), useragent=BROWSER),
    ]
    for number in order:
        world.sendgrid(events[number])
    verdicts = {row.kind: (row.verdict, row.verdict_reason) for row in world.events()}
    assert verdicts == {
        "delivered": ("machine", "provider"),
        "clicked": ("machine", "too soon after delivery"),
        "opened": ("human", "no sign of a machine"),
    }


def test_a_burst_revises_what_was_judged_before(world: World) -> None:
    person = world.person()
    world.receive("click", click(world, person, link=0))
    assert world.ingest().leads == (person.lead_id,)
    assert world.events()[0].verdict == "human"
    for link in (1, 3):
        moment = world.at + timedelta(seconds=link)
        world.receive("click", click(world, person, link=link, at=moment), at=moment)
    done = world.ingest(at=world.at + timedelta(minutes=1))
    assert {row.verdict for row in world.events()} == {"machine"}
    assert done.leads == (person.lead_id,)


def test_events_hold_no_addresses(world: World, told: Callable[..., dict[str, Any]]) -> None:
    person = world.person()
    world.sendgrid(
        told("bounce", person, world.at, type="bounce", reason="550 <somebody@musterfirma.example> unknown"),
        told("click", person, world.at, url="https://example.org/guide", ip="192.0.2.20", useragent=BROWSER),
    )
    kept = json.dumps([[row.key, row.attributes, row.verdict_reason] for row in world.rows(select(event))])
    assert [word for word in ("@", "192.0.2", "Firefox") if word in kept] == []
