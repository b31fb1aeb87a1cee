"""Confirmation mails: at least once, at most three, never too late, always neutral."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select, update

from consent import opt_in, rights, suppression, texts
from consent.schema import opt_in_request
from nurture.delivery import origins
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.content.library import Library
from nurture.delivery.provider import Outcome, Refused, Rejected, Unknown
from nurture.delivery.sending import send_next
from nurture.settings import PROJECT
from nurture.store.tables import authorisation, decision, delivery_fact, message
from nurture.web import preferences
from nurture.web.sign_up import SOURCES
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from nurture.delivery.sending import Counts
    from tests.nurture.delivery.world import World


def queue(world: World, at: datetime | None = None) -> int:
    """Queue what is due."""
    with world.ws.store.write() as conn:
        return queue_confirmations(conn, world.ws, world.library, at=at or world.at, limit=100)


def send(world: World, provider: Scripted) -> Counts | None:
    """Take the next confirmation all the way."""
    return send_next(world.ws, world.library, provider, kind="confirmation", owner="w1", at=world.at)


def test_each_request_gets_one_mail(world: World) -> None:
    world.sign_up("a")
    world.sign_up("b")
    assert [queue(world), queue(world)] == [2, 0]


@pytest.mark.requirement(95)
def test_the_mail_holds_link_time_and_wording(world: World) -> None:
    provider = Scripted()
    request_id = world.sign_up()
    queue(world)
    send(world, provider)
    with world.ws.store.read() as conn:
        token = opt_in.token(conn, world.ws.keyring, request_id)
    text = " ".join(provider.mails[0].text.split())
    assert f"http://127.0.0.1:8321/confirm/{token}" in text
    assert "Musterwerk GmbH darf mir per E-Mail" in text
    assert "23. November 2026" in text


def test_the_mail_is_neutral(world: World) -> None:
    provider = Scripted()
    world.sign_up()
    queue(world)
    send(world, provider)
    assert (provider.mails[0].to_name, provider.mails[0].headers) == ("", {})
    assert "/o/" not in provider.mails[0].html + provider.mails[0].text


def test_t03_the_confirmation_mail_is_neutral_and_says_all(world: World) -> None:
    """T03, on the mail that we ship: no pixel, no foreign link; time, source, wording, imprint."""
    world.library = Library.load(PROJECT / "templates")
    provider = Scripted()
    world.sign_up()
    queue(world)
    send(world, provider)
    [mail] = provider.mails
    links = re.findall(r"""(?:href|src)=["']([^"']+)""", mail.html) + re.findall(r"https?://[^\s<>]+", mail.text)

    assert links
    assert {re.sub(r"[a-z2-7]{52}", "TOKEN", link) for link in links} == {
        "http://127.0.0.1:8321/confirm/TOKEN",
        "http://127.0.0.1:8321/confirm/TOKEN#decline",
    }
    assert "<img" not in mail.html
    text = " ".join(mail.text.split())
    settings = world.ws.settings
    for part in ("23. November 2026", "09:00", "form", settings.company, settings.postal_address, settings.imprint):
        assert part in text
    with world.ws.store.read() as conn:
        wording = texts.current(conn, controller="default", purpose="newsletter.product", language="de")
    assert " ".join(wording.body.split()) in text


def test_it_tells_where_the_sign_up_came_from_in_words(world: World) -> None:
    """A code says nothing to its reader."""
    provider = Scripted()
    world.sign_up(source="web.newsletter")
    queue(world)
    send(world, provider)
    assert "Anmeldeformular auf unserer Website" in provider.mails[0].text
    assert "web.newsletter" not in provider.mails[0].text + provider.mails[0].html


@pytest.mark.parametrize("language", ["de", "en"])
def test_every_source_has_words(language: str) -> None:
    """A card names its event, and what is unknown is told as it is."""
    codes = {f"web.{one}" for one in SOURCES} | {preferences.SOURCE, "api.opt-in", "operator.renewal"}
    assert {code for code in codes if origins.told(code, language) == code} == set()
    assert origins.told("offline.hm26", language).endswith(" (hm26)")
    assert origins.told("somewhere", language) == "somewhere"


@pytest.mark.parametrize("privacy_url", ["/datenschutz", "https://firma.example/datenschutz"])
def test_it_leads_to_the_privacy_notice(world: World, privacy_url: str) -> None:
    """By a full address, as a mail has no site that a path could be one of."""
    world.library = Library.load(PROJECT / "templates")
    world.ws = replace(world.ws, settings=world.ws.settings.model_copy(update={"privacy_url": privacy_url}))
    provider = Scripted()
    world.sign_up()
    queue(world)
    send(world, provider)
    [mail] = provider.mails
    link = str(world.ws.settings.privacy_link)

    assert (link.startswith("http"), link in mail.text, f'href="{link}"' in mail.html) == (True, True, True)


def test_it_needs_no_permit(world: World) -> None:
    world.sign_up()
    queue(world)
    assert send(world, Scripted()).accepted == 1  # type: ignore[union-attr]
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(authorisation)).scalar_one() == 0


def test_a_settled_request_gets_no_mail(world: World) -> None:
    request_id = world.sign_up()
    queue(world)
    with world.ws.store.write() as conn:
        token = opt_in.token(conn, world.ws.keyring, request_id)
        opt_in.confirm(conn, world.ws.keyring, token, evidence={}, at=world.at)
    assert send(world, Scripted()).withheld == {"request_settled": 1}  # type: ignore[union-attr]


def test_a_damaged_link_fails_its_mail_alone(world: World) -> None:
    request_id = world.sign_up()
    queue(world)
    with world.ws.store.write() as conn:
        mine = update(opt_in_request).where(opt_in_request.c.id == request_id)
        conn.execute(mine.values(sealed_token=bytes(64)))
    assert send(world, Scripted()).withheld == {"unreadable_identity": 1}  # type: ignore[union-attr]


def test_a_new_provider_asks_who_waits_to_confirm(world: World) -> None:
    world.sign_up()
    queue(world)
    assert send(world, Scripted(name="sendgrid", batch_limit=1)).accepted == 1  # type: ignore[union-attr]


def test_a_declined_request_gets_no_mail(world: World) -> None:
    provider = Scripted()
    request_id = world.sign_up()
    queue(world)
    with world.ws.store.write() as conn:
        opt_in.decline(conn, opt_in.token(conn, world.ws.keyring, request_id), at=world.at)
    send(world, provider)
    assert provider.mails == []


def test_a_suppressed_address_gets_no_mail(world: World) -> None:
    request_id = world.sign_up()
    queue(world)
    with world.ws.store.write() as conn:
        query = select(opt_in_request.c.subject).where(opt_in_request.c.id == request_id)
        suppression.suppress_subject(conn, conn.execute(query).scalar_one(), "bounced", at=world.at)
    assert send(world, Scripted()).withheld == {"suppressed": 1}  # type: ignore[union-attr]
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(decision)).scalar_one() == 0


def restrict(world: World, request_id: int, *, restricted: bool = True) -> None:
    """Restrict who signed up, or end it."""
    change = rights.restrict if restricted else rights.unrestrict
    with world.ws.store.write() as conn:
        query = select(opt_in_request.c.subject).where(opt_in_request.c.id == request_id)
        change(conn, conn.execute(query).scalar_one(), reason="request", actor="operator:test", at=world.at)


def test_who_is_restricted_is_not_asked(world: World) -> None:
    """Art. 18: the request waits, and its mail comes when the restriction has ended in time."""
    request_id = world.sign_up()
    restrict(world, request_id)
    assert queue(world) == 0
    restrict(world, request_id, restricted=False)
    assert queue(world) == 1


def test_a_restriction_stops_a_mail_that_is_planned(world: World) -> None:
    request_id = world.sign_up()
    queue(world)
    restrict(world, request_id)
    assert send(world, Scripted()).withheld == {"restricted": 1}  # type: ignore[union-attr]


def test_a_restriction_stops_the_mail_after_a_doubt(world: World) -> None:
    request_id = world.sign_up()
    queue(world)
    send(world, Scripted([Unknown("timeout")]))
    restrict(world, request_id)
    assert queue(world.later(minutes=15)) == 0


def test_who_left_long_ago_can_come_back(world: World) -> None:
    """A5: the newer double opt-in lifts the suppression, so its mail must leave."""
    index = world.ws.keyring.address_index("neu@example.org")
    with world.ws.store.write() as conn:
        suppression.add(conn, {index: "unsubscribed"}, at=world.at - timedelta(days=400))
    request_id = world.sign_up()
    queue(world)
    assert send(world, Scripted()).accepted == 1  # type: ignore[union-attr]
    with world.ws.store.write() as conn:
        token = opt_in.token(conn, world.ws.keyring, request_id)
        opt_in.confirm(conn, world.ws.keyring, token, evidence={}, at=world.at)
        assert suppression.suppressed(conn, [index]) == set()


def test_a_suppression_after_the_request_holds(world: World) -> None:
    """What the confirmation would not lift keeps its mail back."""
    world.sign_up()
    queue(world)
    with world.ws.store.write() as conn:
        index = world.ws.keyring.address_index("neu@example.org")
        suppression.add(conn, {index: "unsubscribed"}, at=world.at + timedelta(minutes=1))
    assert send(world, Scripted()).withheld == {"suppressed": 1}  # type: ignore[union-attr]


def test_a_doubt_is_followed_by_another_mail(world: World) -> None:
    provider = Scripted([Unknown("timeout")])
    world.sign_up()
    queue(world)
    send(world, provider)
    assert [queue(world.later(minutes=14)), queue(world.later(minutes=15))] == [0, 1]
    send(world.later(minutes=15), provider)
    assert provider.mails[0].text == provider.mails[1].text
    assert world.states() == {"accepted": 1, "in_doubt": 1}


def test_a_doubt_that_an_event_resolved_needs_no_second_mail(world: World) -> None:
    """Also before the night's reconciliation: somebody who has the mail gets no other."""
    world.sign_up()
    queue(world)
    send(world, Scripted([Unknown("timeout")]))
    with world.ws.store.write() as conn:
        only = conn.execute(select(message.c.id)).scalar_one()
        conn.execute(insert(delivery_fact), {"message_id": only, "fact": "delivered", "at": world.at})
    assert queue(world.later(minutes=15)) == 0


def test_there_are_at_most_three_mails(world: World) -> None:
    provider = Scripted([Unknown("timeout")] * 9)
    world.sign_up()
    moment = world
    for _ in range(6):
        queue(moment)
        send(moment, provider)
        moment = moment.later(minutes=20)
    assert len(provider.mails) == 3


def test_no_mail_follows_after_the_token_died(world: World) -> None:
    provider = Scripted([Unknown("timeout")])
    world.sign_up()
    queue(world)
    send(world, provider)
    assert queue(world, world.at + timedelta(days=30)) == 0


@pytest.mark.parametrize("outcome", [Rejected("http 400"), Refused("http 429")])
def test_a_certain_answer_needs_no_second_mail(world: World, outcome: Outcome) -> None:
    world.sign_up()
    queue(world)
    send(world, Scripted([outcome]))
    assert queue(world.later(hours=1)) == 0


def test_a_refused_confirmation_is_tried_again(world: World) -> None:
    provider = Scripted([Refused("http 429")])
    world.sign_up()
    queue(world)
    send(world, provider)
    assert send(world.later(minutes=16), provider).accepted == 1  # type: ignore[union-attr]
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(message)).scalar_one() == 1


def test_the_same_message_id_is_used_again(world: World) -> None:
    """It follows from the public id."""
    provider = Scripted([Refused("http 429")])
    world.sign_up()
    queue(world)
    send(world, provider)
    send(world.later(minutes=16), provider)
    assert provider.mails[0].public_id == provider.mails[1].public_id
