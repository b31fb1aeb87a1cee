"""Leaving: at once, by whatever way, without a log-in, and never by merely opening a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consent import identity
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
        assert visitor.get(f"/u/{token}").status_code == 200
        answer = visitor.post(f"/u/{token}", {"List-Unsubscribe": "One-Click"})
        assert (answer.status_code, answer.text) == (200, "unsubscribed\n")
    assert ledger() == before


def test_a_failure_after_leaving_does_not_deny_it(
    visitor: Visitor, mailed: Mailed, link: Link, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(lookups, "standings", fail)
    answer = visitor.post(f"/u/{link('unsubscribe', mailed())}", {"action": "leave"})
    assert (answer.status_code, "danach kommt keine mehr" in answer.text) == (200, False)
    assert ledger().count("consent.withdrawn") == 1
