"""Leaving: at once, by whatever way, without a log-in, and never by merely opening a link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from consent import identity
from consent import ledger as consent_ledger
from consent.schema import consent_state
from nurture.leads.register import NewLead, register
from nurture.leads.rights import merging
from nurture.web import lookups
from tests.nurture.web.visitor import Visitor, forms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from nurture.store.workspace import Workspace

    Link = Callable[[str, str], str]
    States = Callable[[str], dict[str, str]]
    Ledger = Callable[[], list[str]]
    Mailed = Callable[..., str]

README = (Path(__file__).resolve().parent.parent.parent.parent / "consent" / "README.md").read_text("utf-8")
NOTHING = {"newsletter.product": "withdrawn", "email.tracking": "withdrawn"}


def test_the_page_has_one_button(visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger) -> None:
    before = ledger()
    page = visitor.get(f"/u/{link('unsubscribe', mailed())}")
    [form] = forms(page.text)
    assert (page.status_code, form.buttons, form.boxes) == (200, 1, {})
    assert ledger() == before


def test_the_button_withdraws(visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, states: States) -> None:
    path = f"/u/{link('unsubscribe', mailed())}"
    [form] = forms(visitor.get(path).text)
    answer = visitor.post(path, form.fields)
    assert (answer.status_code, states(confirmed)) == (200, NOTHING)


MULTIPART = (
    b'--cut\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--cut--\r\n',
    "multipart/form-data; boundary=cut",
)
URLENCODED = (b"List-Unsubscribe=One-Click", "application/x-www-form-urlencoded")


@pytest.mark.parametrize(("body", "kind"), [MULTIPART, URLENCODED], ids=["multipart", "urlencoded"])
def test_t16_one_click_withdraws_without_redirect(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, states: States, body: bytes, kind: str
) -> None:
    path = f"/u/{link('unsubscribe', mailed())}"
    # No cookie, no referrer, nothing but the body that a mail program sends.
    answer = visitor.call("POST", path, content=body, headers={"content-type": kind})
    assert not {"cookie", "referer", "origin"} & set(answer.request.headers)
    assert (answer.status_code, states(confirmed)) == (200, NOTHING)
    assert not {"location", "set-cookie"} & set(answer.headers)


def test_the_example_in_the_guide_for_auditors_is_what_one_click_writes(
    visitor: Visitor, mailed: Mailed, link: Link, workspace: Workspace
) -> None:
    """Who acted, by which way, and for which purpose; measuring, which the example's person never allowed, apart."""
    visitor.post(f"/u/{link('unsubscribe', mailed())}", {"List-Unsubscribe": "One-Click"})
    with workspace.store.read() as conn:
        [entry] = consent_ledger.read(conn, types=["consent.withdrawn"])
    leaves = [json.loads(line) for line in README.splitlines() if line.startswith('{"at":')]
    shown = leaves[-1]["body"]
    named = ("actor", "channel", "controller", "route", "voids")
    assert {name: entry.body[name] for name in named} == {name: shown[name] for name in named}
    assert set(entry.body["purposes"]) - {"email.tracking"} == set(shown["purposes"])


def test_one_click_twice_is_one_entry(visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger) -> None:
    path = f"/u/{link('unsubscribe', mailed())}"
    answers = [visitor.post(path, {"List-Unsubscribe": "One-Click"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert ledger().count("consent.withdrawn") == 1


@pytest.mark.parametrize("fields", [{}, {"List-Unsubscribe": "one-click"}, {"x": "y"}, {"action": ""}])
def test_another_post_shows_the_button(
    visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger, fields: dict[str, str]
) -> None:
    answer = visitor.post(f"/u/{link('unsubscribe', mailed())}", fields)
    assert (answer.status_code, len(forms(answer.text))) == (400, 1)
    assert "consent.withdrawn" not in ledger()


def test_t36_another_topic_stands_on(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, states: States
) -> None:
    """A mail about topic A ends A."""
    path = f"/u/{link('unsubscribe', mailed(purpose='webinars'))}"
    visitor.post(path, {"List-Unsubscribe": "One-Click"})
    assert (states(confirmed)["webinars"], states(confirmed)["newsletter.product"]) == ("withdrawn", "given")


def test_t36_everything_ends_with_its_box(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, states: States
) -> None:
    path = f"/u/{link('unsubscribe', mailed(purpose='webinars'))}"
    [form] = forms(visitor.get(path).text)
    assert form.boxes == {"everything": False}
    visitor.post(path, form.fields | {"everything": "yes"})
    assert states(confirmed) == NOTHING


@pytest.mark.parametrize(("language", "words"), [("de", "abgemeldet seit"), ("en", "unsubscribed since")])
def test_the_page_says_since_when_it_has_ended(
    visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger, language: str, words: str
) -> None:
    """Whoever left by one click finds no button that would end nothing."""
    path = f"/u/{link('unsubscribe', mailed())}?lang={language}"
    visitor.post(path, {"List-Unsubscribe": "One-Click"})
    visitor.wait(86_400)
    before, page = ledger(), visitor.get(path)
    assert (page.status_code, forms(page.text), words in page.text) == (200, [], True)
    assert ledger() == before


def test_a_consent_unused_for_long_can_still_be_ended(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, ready: Workspace, states: States
) -> None:
    """It grew stale, which is no withdrawal."""
    with ready.store.write() as conn:
        conn.execute(update(consent_state).values(state="stale"))
    path = f"/u/{link('unsubscribe', mailed())}"
    [form] = forms(visitor.get(path).text)
    visitor.post(path, form.fields)
    assert states(confirmed) == NOTHING


def test_what_still_stands_can_be_ended_after_one_topic_was(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, states: States
) -> None:
    path = f"/u/{link('unsubscribe', mailed(purpose='webinars'))}"
    visitor.post(path, {"List-Unsubscribe": "One-Click"})
    page = visitor.get(path)
    [form] = forms(page.text)
    assert ("Produkt-Newsletter" in page.text, form.boxes, form.buttons) == (True, {}, 1)
    visitor.post(path, form.fields)
    assert states(confirmed) == {**NOTHING, "webinars": "withdrawn"}
    assert forms(visitor.get(path).text) == []


@pytest.mark.parametrize(("everything", "times"), [("", 1), ("yes", 0)])
def test_the_page_names_what_goes_on_and_where_to_end_it(
    visitor: Visitor, mailed: Mailed, link: Link, everything: str, times: int
) -> None:
    path = f"/u/{link('unsubscribe', mailed(purpose='webinars'))}"
    page = visitor.post(path, {"action": "leave", "everything": everything}).text
    assert (page.count("Produkt-Newsletter"), page.count('href="/p/')) == (times, times)
    assert page.count("danach kommt keine mehr") == 1 - times


def test_a_link_works_while_the_system_runs(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, states: States
) -> None:
    path = f"/u/{link('unsubscribe', mailed())}"
    visitor.wait(10 * 365 * 86_400)
    visitor.post(path, {"List-Unsubscribe": "One-Click"})
    assert states(confirmed) == NOTHING


@pytest.mark.parametrize("purpose", ["preferences", "click", "open", "confirm", "handover"])
def test_a_token_of_another_purpose_is_refused(
    visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger, purpose: str
) -> None:
    path = f"/u/{link(purpose, mailed())}?lang=de"
    answer = visitor.post(path, {"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, answer.text) == (404, visitor.get("/nowhere?lang=de").text)
    assert "consent.withdrawn" not in ledger()


def test_each_changed_character_is_refused(visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger) -> None:
    token = link("unsubscribe", mailed())
    for place, char in enumerate(token):
        other = token[:place] + ("a" if char != "a" else "b") + token[place + 1 :]
        assert visitor.post(f"/u/{other}", {"List-Unsubscribe": "One-Click"}).status_code == 404
    assert "consent.withdrawn" not in ledger()


def test_a_person_has_links_without_a_message(visitor: Visitor, link: Link, confirmed: str, states: States) -> None:
    visitor.post(f"/u/{link('unsubscribe', confirmed)}", {"List-Unsubscribe": "One-Click"})
    assert states(confirmed) == NOTHING


def test_whoever_was_erased_gets_the_usual_answers(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, ready: Workspace, ledger: Ledger, at: datetime
) -> None:
    by_mail, by_person = link("unsubscribe", mailed()), link("unsubscribe", confirmed)
    with ready.store.write() as conn:
        identity.erase(conn, confirmed, at=at)
    before = ledger()
    for token in (by_mail, by_person):
        page = visitor.get(f"/u/{token}")
        assert (page.status_code, forms(page.text)) == (200, [])
        answer = visitor.post(f"/u/{token}", {"List-Unsubscribe": "One-Click"})
        assert (answer.status_code, answer.text) == (200, "unsubscribed\n")
    assert ledger() == before


@pytest.fixture
def merged(ready: Workspace, confirmed: str, other: str, at: datetime) -> str:
    """The subject that stays when the confirmed person was merged with somebody."""
    with ready.store.write() as conn:
        people = [NewLead(one, "de", "form") for one in (confirmed, other)]
        leads = register(conn, people, at=at, keyring=ready.keyring)
        merging.merge(conn, ready, leads[confirmed], leads[other], reason="same_person", actor="operator:vera", at=at)
    return other


@pytest.mark.parametrize("fields", [{"List-Unsubscribe": "One-Click"}, {"action": "leave", "everything": "yes"}])
def test_a_link_ends_the_consents_of_the_merged_lead_too(
    visitor: Visitor, mailed: Mailed, link: Link, confirmed: str, merged: str, states: States, fields: dict[str, str]
) -> None:
    """One person with two addresses: a mail to the one leads out of the mails to both."""
    visitor.post(f"/u/{link('unsubscribe', mailed())}", fields)

    assert (states(confirmed), states(merged)) == (NOTHING, NOTHING)


def test_a_failure_after_leaving_does_not_deny_it(
    visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(lookups, "standings", fail)
    answer = visitor.post(f"/u/{link('unsubscribe', mailed())}", {"action": "leave"})
    assert (answer.status_code, "danach kommt keine mehr" in answer.text) == (200, False)
    assert ledger().count("consent.withdrawn") == 1
