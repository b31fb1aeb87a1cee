"""Signing up: one mandatory field, one answer for everybody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from consent import caps, identity, opt_in, suppression, texts, vault, withdrawal
from consent.addresses import Address
from consent.schema import opt_in_purpose, opt_in_request
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.content.library import Library
from nurture.store.tables import message
from nurture.web.app import create_app
from tests.nurture.web.visitor import Visitor, forms

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from nurture.clock import VirtualClock
    from nurture.store.workspace import Workspace

BOTH = ("newsletter.product", "email.tracking")
ANNA = "anna@firma.example"


def purposes(workspace: Workspace) -> list[str]:
    """What was asked for, over all requests."""
    with workspace.store.read() as conn:
        return sorted(conn.execute(select(opt_in_purpose.c.purpose)).scalars())


def seen(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Everything of an answer that a stranger could compare."""
    return answer.status_code, answer.content, sorted(answer.headers.items())


@pytest.mark.requirement(93)
@pytest.mark.requirement(94)
def test_only_the_address_is_mandatory(visitor: Visitor) -> None:
    [form] = forms(visitor.get("/subscribe").text)
    shown = {name for name in form.fields if name not in {"lang", "stamp", "sure", "wording", "source", "website"}}
    assert shown == {"address"}


def test_no_box_comes_ticked(visitor: Visitor) -> None:
    [form] = forms(visitor.get("/subscribe").text)
    assert form.boxes == {"box:newsletter.product": False, "box:email.tracking": False}


def test_each_published_purpose_has_its_box(visitor: Visitor, ready: Workspace) -> None:
    events = texts.TextVersion(
        "default", "newsletter.events", "de", 1, "Ja, Musterwerk GmbH darf mich einladen. Widerruf jederzeit.",
        "Musterwerk GmbH", "einladen",
    )  # fmt: skip
    with ready.store.write() as conn:
        texts.publish(conn, [events], at=visitor.clock.now())
    [form] = forms(visitor.get("/subscribe?lang=de").text)
    assert form.boxes == {"box:newsletter.product": False, "box:newsletter.events": False, "box:email.tracking": False}
    visitor.sign_up(ANNA, ticked=("newsletter.product", "newsletter.events"))
    assert purposes(ready) == ["newsletter.events", "newsletter.product"]


@pytest.mark.requirement(95)
def test_t01_a_sign_up_is_one_request_and_one_mail(
    visitor: Visitor, workspace: Workspace, ledger: Callable[[], list[str]]
) -> None:
    """Only the newsletter box is ticked: one request, one confirmation mail, no other mail, nothing about tracking."""
    answer = visitor.sign_up(ANNA)
    assert (answer.status_code, ledger(), purposes(workspace)) == (200, ["consent.requested"], ["newsletter.product"])
    library = Library.load(workspace.settings.templates, zone=workspace.settings.zone)
    for _ in range(3):
        visitor.wait(600)
        with workspace.store.write() as conn:
            queue_confirmations(conn, workspace, library, at=visitor.clock.now(), limit=10)
    with workspace.store.read() as conn:
        assert conn.execute(select(message.c.kind)).scalars().all() == ["confirmation"]


def test_t46_the_form_is_kept_as_it_was_shown(visitor: Visitor, workspace: Workspace) -> None:
    """R14: the evidence names the form's version; its bytes hold the wordings and boxes that nobody ticked."""
    visitor.sign_up(ANNA)
    visitor.sign_up("ben@firma.example", ticked=BOTH)
    with workspace.store.read() as conn:
        kept = [vault.evidence(conn, workspace.keyring, seq) or {} for seq in (0, 1)]
        [form] = texts.overview(conn, channel=texts.FORM)

    assert {(one["form_version"], one["form_sha256"]) for one in kept} == {("1", form["sha256"])}
    [shown] = forms(str(form["body"]))
    assert shown.boxes == {"box:newsletter.product": False, "box:email.tracking": False}
    assert (shown.fields["address"], shown.fields["stamp"]) == ("", "")
    assert ANNA not in str(form["body"])


def test_tracking_is_asked_for_by_its_own_box(visitor: Visitor, workspace: Workspace) -> None:
    visitor.sign_up(ANNA, ticked=BOTH)
    assert purposes(workspace) == sorted(BOTH)


def test_without_the_newsletter_box_it_asks_again(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    answer = visitor.sign_up(ANNA, ticked=("email.tracking",))
    [form] = forms(answer.text)
    assert (answer.status_code, ledger()) == (422, [])
    assert form.boxes == {"box:newsletter.product": False, "box:email.tracking": True}


@pytest.mark.parametrize("typed", ["", "anna", "anna@", "a b@firma.example", "anna@firma.example\r\nBcc: x@y.example"])
def test_a_bad_address_is_shown_back(visitor: Visitor, ledger: Callable[[], list[str]], typed: str) -> None:
    answer = visitor.sign_up(typed)
    assert (answer.status_code, ledger()) == (422, [])
    assert 'id="problem-address"' in answer.text


def test_a_likely_typo_is_asked_about_once(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    asked = visitor.sign_up("anna@gmial.com")
    assert (asked.status_code, ledger()) == (422, [])
    assert "gmail.com" in asked.text
    [form] = forms(asked.text)
    insisted = visitor.post(form.action, form.fields | {"box:newsletter.product": "yes"})
    assert (insisted.status_code, ledger()) == (200, ["consent.requested"])


def test_a9_nobody_can_tell_who_is_known(visitor: Visitor, workspace: Workspace, confirmed: str) -> None:
    """Confirmed, asked a moment ago, withdrawn, erased, blocked and new: the same bytes."""
    gone, left, blocked = (Address.of(f"{name}@firma.example") for name in ("gone", "left", "blocked"))
    at, keyring = visitor.clock.now(), workspace.keyring
    with workspace.store.write() as conn:
        index = keyring.address_index(blocked.identity)
        suppression.add(conn, {index: suppression.BLOCKED}, at=at)
        identity.erase(conn, identity.ensure(conn, keyring, gone, at=at), at=at, keep_suppression="erased")
        withdrawal.withdraw(
            conn, subject=identity.ensure(conn, keyring, left, at=at), controller=workspace.settings.controller,
            purposes=None, route="page", actor="subject", at=at,
        )  # fmt: skip
    visitor.sign_up("asked@firma.example")
    everybody = [ANNA, "asked@firma.example", "new@firma.example", *(one.delivery for one in (gone, left, blocked))]
    answers = [seen(visitor.sign_up(address)) for address in everybody]
    assert answers == [answers[0]] * len(answers)


def test_a_filled_trap_changes_nothing_visible(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    trapped = visitor.sign_up(ANNA, website="https://spam.example")
    assert ledger() == []
    assert seen(trapped) == seen(visitor.sign_up(ANNA))


def test_too_fast_a_form_comes_back_once(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    [form] = forms(visitor.get("/subscribe").text)
    filled = {"address": ANNA, "box:newsletter.product": "yes"}
    answer = visitor.post(form.action, form.fields | filled)
    assert (answer.status_code, ledger()) == (422, [])
    [again] = forms(answer.text)
    visitor.wait(3)
    assert visitor.post(again.action, again.fields | {"box:newsletter.product": "yes"}).status_code == 200


@pytest.mark.parametrize("stamp", ["", "1.x", "9999999999999.aaaa", "١٢٣.x", "0.AAAAAAAAAAAAAAAAAAAAAA"])
def test_a_forged_stamp_is_not_taken(visitor: Visitor, ledger: Callable[[], list[str]], stamp: str) -> None:
    assert (visitor.sign_up(ANNA, stamp=stamp).status_code, ledger()) == (422, [])


def test_a_day_old_form_comes_back(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    [form] = forms(visitor.get("/subscribe").text)
    visitor.wait(86_400)
    answer = visitor.post(form.action, form.fields | {"address": ANNA, "box:newsletter.product": "yes"})
    assert (answer.status_code, ledger()) == (422, [])


def test_an_outdated_wording_comes_back(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    assert (visitor.sign_up(ANNA, wording="0123456789abcdef").status_code, ledger()) == (422, [])


def test_the_address_stands_in_no_url(visitor: Visitor) -> None:
    answer = visitor.sign_up(ANNA)
    assert "anna" not in answer.text
    assert "location" not in answer.headers


def test_t23_a_thousand_networks_bring_one_mail_a_day(ready: Workspace, clock: VirtualClock) -> None:
    # In small: the cap counts by inbox, whoever asks; the rest of it lies in consent's tests.
    app = create_app(ready, clock, answer_floor=0)
    for number in range(20):
        visitor = Visitor(app, clock, ip=f"198.51.{number}.1")
        visitor.sign_up(f"an.na+{number}@firma.example")
        visitor.close()
    with ready.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(opt_in_request)).scalar_one() == 1


def test_one_network_cannot_flood(ready: Workspace, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not with a restart in between."""
    monkeypatch.setattr(caps, "NETWORK", ((timedelta(hours=1), 3),))
    answers = []
    for number in range(6):
        visitor = Visitor(create_app(ready, clock, answer_floor=0), clock)
        answers.append(visitor.sign_up(f"person@firma{number}.example"))
        visitor.close()
    assert [seen(answer) for answer in answers] == [seen(answers[0])] * 6
    with ready.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(opt_in_request)).scalar_one() == 3


def test_the_answer_waits_for_its_floor(ready: Workspace, clock: VirtualClock) -> None:
    visitor = Visitor(create_app(ready, clock, answer_floor=0.2), clock)
    answer = visitor.sign_up(ANNA)
    visitor.close()
    assert answer.elapsed.total_seconds() >= 0.19


def test_without_a_published_wording_the_form_is_closed(workspace: Workspace, clock: VirtualClock) -> None:
    visitor = Visitor(create_app(workspace, clock), clock)
    answer = visitor.get("/subscribe")
    visitor.close()
    assert (answer.status_code, forms(answer.text)) == (503, [])


@pytest.mark.requirement(27)
def test_the_source_of_a_sign_up_is_kept(visitor: Visitor, workspace: Workspace) -> None:
    visitor.sign_up(ANNA, source="lead_magnet")
    visitor.sign_up("other@firma.example", source="<script>")
    with workspace.store.read() as conn:
        sources = list(conn.execute(select(opt_in_request.c.source).order_by(opt_in_request.c.id)).scalars())
    assert sources == ["web.lead_magnet", "web.newsletter"]


# --- the API ---------------------------------------------------------------------------------


def wish(**more: object) -> dict[str, object]:
    """A sound body."""
    return {"address": ANNA, "purposes": ["newsletter.product"], "language": "de", **more}


def test_the_api_records_the_same_request(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    answer = visitor.call("POST", "/api/opt-in", json=wish())
    assert (answer.status_code, answer.json(), ledger()) == (202, {"status": "accepted"}, ["consent.requested"])


def test_the_api_answers_known_and_new_alike(visitor: Visitor) -> None:
    first = visitor.call("POST", "/api/opt-in", json=wish())
    second = visitor.call("POST", "/api/opt-in", json=wish())
    assert seen(first) == seen(second)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[" * 20_000, 413),
        (b"[" * 10_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b"\xff\xfe", 400),
        (json.dumps(wish(address=7)).encode(), 422),
        (json.dumps(wish(address="a@b")).encode(), 422),
        (json.dumps(wish(purposes=[])).encode(), 422),
        (json.dumps(wish(purposes=["newsletter.product", {}])).encode(), 422),
        (json.dumps(wish(purposes=["newsletter.product", "unheard.of"])).encode(), 422),
        (json.dumps(wish(language="fr")).encode(), 422),
        (json.dumps(wish(language={})).encode(), 422),
        (json.dumps(wish(box_default="ticked")).encode(), 422),
        (json.dumps(wish(wording=[])).encode(), 422),
        (json.dumps(wish(wording={"newsletter.product": "0" * 64})).encode(), 409),
    ],
)
def test_the_api_names_what_is_wrong(
    visitor: Visitor, ledger: Callable[[], list[str]], body: bytes, status: int
) -> None:
    answer = visitor.call("POST", "/api/opt-in", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, ledger()) == (status, [])
    assert list(answer.json()) == ["error"]


def test_the_api_takes_no_form_of_a_strangers_page(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    body = json.dumps(wish()).encode()
    answer = visitor.call("POST", "/api/opt-in", content=body, headers={"content-type": "text/plain"})
    assert (answer.status_code, ledger()) == (415, [])
    assert "access-control-allow-origin" not in answer.headers


def test_the_api_gives_the_wording_to_show(visitor: Visitor) -> None:
    told = visitor.get("/api/opt-in?lang=en").json()
    shown = {text["purpose"]: text["sha256"] for text in told["texts"]}
    answer = visitor.call("POST", "/api/opt-in", json=wish(language="en", wording=shown))
    assert (told["language"], answer.status_code) == ("en", 202)


def test_the_token_of_a_request_is_nowhere_in_answers(visitor: Visitor, workspace: Workspace) -> None:
    answer = visitor.sign_up(ANNA)
    with workspace.store.read() as conn:
        secret = opt_in.token(conn, workspace.keyring, 1)
    assert secret not in answer.text + str(answer.headers)
