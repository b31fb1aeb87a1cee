"""My data: kinds but no values, a copy only to the address on file, erasure by a button and its confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from consent import identity
from consent.schema import rights_request
from nurture.leads.rights.dates import month_later
from tests.nurture.web.visitor import Visitor, forms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from nurture.store.workspace import Workspace

    Link = Callable[[str, str], str]
    States = Callable[[str], dict[str, str]]
    Ledger = Callable[[], list[str]]

SECRETS = {
    "first_name": "Annabella",
    "last_name": "Quittenbaum",
    "company": "Quitten & Söhne",
    "phone": "+49 30 1234567",
}


@pytest.fixture
def path(link: Link, confirmed: str, ready: Workspace) -> str:
    """The page of the confirmed person, of whom much is known."""
    with ready.store.write() as conn:
        identity.describe(conn, ready.keyring, {confirmed: SECRETS})
    return f"/d/{link('data', confirmed)}"


@pytest.fixture
def requests(ready: Workspace) -> Callable[[], list[Any]]:
    """All requests that were taken down."""

    def read() -> list[Any]:
        with ready.store.read() as conn:
            return list(conn.execute(select(rights_request).order_by(rights_request.c.id)))

    return read


def test_the_page_names_kinds_and_no_value(visitor: Visitor, path: str) -> None:
    for language in ("de", "en"):
        page = visitor.get(f"{path}?lang={language}").text
        for value in (*SECRETS.values(), "anna@", "firma.example", "Quitten"):
            assert value not in page
    assert "Vorname, Nachname, Unternehmen, Telefon" in visitor.get(path).text


@pytest.mark.parametrize("action", ["copy", "erase", "", "sure"])
def test_no_answer_holds_a_value(visitor: Visitor, path: str, action: str) -> None:
    """Whoever was forwarded a mail learns nothing, whatever button they press."""
    for more in ({}, {"sure": "yes"}):
        page = visitor.post(path, {"action": action, **more}).text
        assert not [value for value in (*SECRETS.values(), "anna@", "firma.example") if value in page]


def test_a_copy_is_taken_down_with_its_month(
    visitor: Visitor, path: str, requests: Callable[[], list[Any]], at: datetime
) -> None:
    answer = visitor.post(path, {"action": "copy"})
    [row] = requests()
    assert (row.kind, row.state, row.route, row.actor, row.received_at) == ("access", "open", "page", "subject", at)
    assert row.due_at == month_later(at, ZoneInfo("Europe/Berlin"))
    assert "eingegangen" in answer.text
    assert "spätestens am 23. Dezember 2026" in answer.text


def test_asking_twice_is_one_request(visitor: Visitor, path: str, requests: Callable[[], list[Any]]) -> None:
    for _ in range(3):
        visitor.post(path, {"action": "copy"})
        visitor.wait(86_400)
    assert len(requests()) == 1


def test_erasure_asks_once_whether_it_is_meant(
    visitor: Visitor, path: str, requests: Callable[[], list[Any]], ledger: Ledger
) -> None:
    before = ledger()
    page = visitor.post(path, {"action": "erase"})
    [form] = forms(page.text)
    assert (page.status_code, form.fields["sure"], form.buttons) == (200, "yes", 1)
    assert (requests(), ledger()) == ([], before)


def test_erasure_withdraws_everything_at_once(
    visitor: Visitor, path: str, confirmed: str, requests: Callable[[], list[Any]], states: States
) -> None:
    [form] = forms(visitor.post(path, {"action": "erase"}).text)
    answer = visitor.post(path, form.fields | {"action": "erase"})
    assert "eingegangen" in answer.text
    assert [(row.kind, row.state) for row in requests()] == [("erase", "running")]
    assert states(confirmed) == {"newsletter.product": "withdrawn", "email.tracking": "withdrawn"}
    assert "die Löschung folgt" in visitor.get(path).text


def test_whoever_was_erased_finds_nothing(
    visitor: Visitor, path: str, confirmed: str, ready: Workspace, requests: Callable[[], list[Any]], at: datetime
) -> None:
    with ready.store.write() as conn:
        identity.erase(conn, confirmed, at=at)
    page = visitor.get(path)
    assert (page.status_code, "nichts gespeichert" in page.text, forms(page.text)) == (200, True, [])
    assert visitor.post(path, {"action": "copy"}).text == page.text
    assert requests() == []


@pytest.mark.parametrize("purpose", ["preferences", "unsubscribe", "profile", "click", "confirm"])
def test_another_token_opens_nothing(visitor: Visitor, link: Link, confirmed: str, purpose: str) -> None:
    answer = visitor.get(f"/d/{link(purpose, confirmed)}?lang=de")
    assert (answer.status_code, answer.text) == (404, visitor.get("/nowhere?lang=de").text)


def test_the_preferences_lead_here(visitor: Visitor, link: Link, confirmed: str, path: str) -> None:
    assert f'href="{path}?lang=de"' in visitor.get(f"/p/{link('preferences', confirmed)}").text
