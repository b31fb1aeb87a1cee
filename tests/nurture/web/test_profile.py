"""One question more, on the pages: after the confirmation, on the preferences, and never twice in a visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consent import identity, opt_in
from nurture.tracking.ingest import ingest
from nurture.web import enquiries
from tests.nurture.web.visitor import Form, Visitor, forms, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import httpx

    from nurture.store.workspace import Workspace

    Link = Callable[[str, str], str]
    Ledger = Callable[[], list[str]]


@pytest.fixture
def path(link: Link, confirmed: str) -> str:
    """The preferences page of the confirmed person."""
    return f"/p/{link('preferences', confirmed)}"


@pytest.fixture
def details(ready: Workspace, confirmed: str) -> Callable[[], dict[str, str]]:
    """What is known of the confirmed person."""

    def read() -> dict[str, str]:
        with ready.store.read() as conn:
            return dict(identity.reveal(conn, ready.keyring, [confirmed])[confirmed].details)

    return read


def questions(page: httpx.Response) -> list[Form]:
    """Give the questions of a page."""
    return [form for form in forms(page.text) if "question" in form.fields]


@pytest.mark.requirement(93)
@pytest.mark.requirement(94)
def test_the_sign_up_asks_for_the_address_alone(visitor: Visitor) -> None:
    page = parse(visitor.get("/subscribe").text)
    required = [name for tag, name, _ in page.attributes if name == "required"]
    shown = [value for tag, name, value in page.attributes if (tag, name) == ("input", "id")]
    assert len(required) == 1
    assert shown == ["address", "box-1", "box-2", "website"]


@pytest.mark.requirement(97)
def test_after_the_confirmation_one_question_follows(visitor: Visitor, ready: Workspace) -> None:
    visitor.sign_up("bert@firma.example")
    with ready.store.read() as conn:
        secret = opt_in.token(conn, ready.keyring, 1)
    [question] = questions(visitor.post(f"/confirm/{secret}"))
    assert question.fields["question"] == "name"
    thanks = visitor.post(question.action, question.fields | {"last_name": "Beispiel", "action": "save"})
    assert (thanks.status_code, "Vielen Dank" in thanks.text, questions(thanks)) == (200, True, [])


def test_a_settled_question_is_followed_by_none_that_day(
    visitor: Visitor, path: str, details: Callable[[], dict[str, str]]
) -> None:
    asked = []
    for hours in (0, 1, 22, 1, 24, 24, 24, 24):
        visitor.wait(hours * 3_600)
        found = questions(visitor.get(path))
        asked.append([form.fields["question"] for form in found])
        for form in found:
            action = "skip" if form.fields["question"] == "company" else "save"
            filled = {name: "Leiterin" for name in form.fields if name not in {"lang", "question"}}
            visitor.post(form.action, form.fields | filled | {"product_interest": "energy", "action": action})
    assert asked == [["name"], [], [], ["company"], ["position"], ["interest"], [], []]
    known = details()
    assert (known["job_title"], known["product_interest"], "company" in known) == ("Leiterin", "energy", False)


def test_looking_settles_nothing(visitor: Visitor, path: str, details: Callable[[], dict[str, str]]) -> None:
    pages = [questions(visitor.get(path))[0].fields["question"] for _ in range(3)]
    assert (pages, details()) == (["name"] * 3, {})


def test_after_a_change_no_question_stands_in_the_way(visitor: Visitor, path: str) -> None:
    assert questions(visitor.post(path, {"pace": "weekly"})) == []


def test_an_answer_is_no_consent(visitor: Visitor, path: str, ledger: Ledger) -> None:
    before = ledger()
    [form] = questions(visitor.get(path))
    visitor.post(form.action, form.fields | {"last_name": "Beispiel", "action": "save"})
    assert ledger() == before


@pytest.mark.parametrize("fields", [{}, {"action": "save"}, {"action": "other", "question": "name", "last_name": "X"}])
def test_an_odd_answer_keeps_nothing(
    visitor: Visitor, link: Link, confirmed: str, details: Callable[[], dict[str, str]], fields: dict[str, str]
) -> None:
    assert visitor.post(f"/q/{link('profile', confirmed)}", fields).status_code == 200
    assert "last_name" not in details()


def test_whoever_was_erased_is_thanked_alike(
    visitor: Visitor, link: Link, confirmed: str, ready: Workspace, at: datetime
) -> None:
    path, fields = f"/q/{link('profile', confirmed)}", {"action": "skip", "question": "name"}
    before = visitor.post(path, fields)
    with ready.store.write() as conn:
        identity.erase(conn, confirmed, at=at)
    assert visitor.post(path, fields).content == before.content


@pytest.mark.parametrize(("answered", "following"), [({"last_name": "Beispiel"}, []), ({}, ["name"])])
def test_an_answered_enquiry_is_the_question_of_its_visit(
    visitor: Visitor, ready: Workspace, answered: dict[str, str], following: list[str]
) -> None:
    [form] = forms(visitor.get("/request/demo_request").text)
    visitor.wait(5)
    visitor.post(form.action, form.fields | {"address": "bert@firma.example"} | answered)
    with ready.store.write() as conn:
        ingest(conn, ready, at=visitor.clock.now(), limit=10)
    visitor.sign_up("bert@firma.example")
    with ready.store.read() as conn:
        secret = opt_in.token(conn, ready.keyring, 1)
    assert [one.fields["question"] for one in questions(visitor.post(f"/confirm/{secret}"))] == following


@pytest.mark.parametrize("name", enquiries.FORMS)
def test_an_enquiry_asks_a_stranger_one_thing(visitor: Visitor, name: str) -> None:
    [form] = forms(visitor.get(f"/request/{name}").text)
    asked = set(form.fields) - {"address", "message", "website", "lang", "stamp", "sure"}
    assert asked == {"first_name", "last_name"}
