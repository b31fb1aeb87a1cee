"""Confirming and refusing: only the button counts, and it counts once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from consent import opt_in, vault, withdrawal
from consent.schema import identity
from nurture.leads import profiling
from nurture.store.tables import lead
from tests.nurture.web.visitor import Visitor, forms

if TYPE_CHECKING:
    from collections.abc import Callable

    from nurture.store.workspace import Workspace

ANNA = "anna@firma.example"


@pytest.fixture
def token(visitor: Visitor, workspace: Workspace) -> str:
    """The secret of a sign-up just made."""
    visitor.sign_up(ANNA, ticked=("newsletter.product", "email.tracking"))
    with workspace.store.read() as conn:
        return opt_in.token(conn, workspace.keyring, 1)


def test_the_page_shows_the_wording_and_one_button(visitor: Visitor, token: str) -> None:
    page = visitor.get(f"/confirm/{token}")
    confirm, decline = forms(page.text)
    assert (confirm.action, confirm.buttons) == (f"/confirm/{token}", 1)
    assert decline.action == f"/decline/{token}"
    assert "Fachwissen, Produktneuheiten, Veranstaltungen und Angebote" in page.text


@pytest.mark.parametrize(
    ("language", "words"),
    [("de", "willigen gegenüber Musterwerk GmbH in Folgendes ein:"),
     ("en", "consent, towards Musterwerk GmbH, to the following:")],
)  # fmt: skip
def test_the_lead_in_fits_one_consent_and_several(visitor: Visitor, token: str, language: str, words: str) -> None:
    assert words in visitor.get(f"/confirm/{token}?lang={language}").text


def test_the_link_to_refuse_leads_to_its_button(visitor: Visitor, token: str) -> None:
    """The mail's second link ends with #decline."""
    page = visitor.get(f"/confirm/{token}").text
    assert page.index('id="decline"') < page.index(f'action="/decline/{token}"')


def test_the_page_reveals_no_address(visitor: Visitor, token: str) -> None:
    assert "anna" not in visitor.get(f"/confirm/{token}").text.lower()


@pytest.mark.requirement(95)
def test_opening_the_link_gives_nothing(visitor: Visitor, token: str, ledger: Callable[[], list[str]]) -> None:
    for _ in range(100):
        visitor.get(f"/confirm/{token}", headers={"sec-purpose": "prefetch"})
    assert ledger() == ["consent.requested"]


@pytest.mark.requirement(1)
def test_the_button_gives_consent_and_makes_a_lead(
    visitor: Visitor, token: str, workspace: Workspace, ledger: Callable[[], list[str]]
) -> None:
    answer = visitor.post(f"/confirm/{token}")
    assert (answer.status_code, ledger()) == (200, ["consent.requested", "consent.confirmed"])
    with workspace.store.read() as conn:
        made = conn.execute(select(lead)).one()
    assert (made.stage, made.source, made.source_detail, made.created_at) == (
        "confirmed", "form", "web.newsletter", visitor.clock.now()
    )  # fmt: skip


def test_t05_fifty_presses_confirm_once(visitor: Visitor, token: str, ledger: Callable[[], list[str]]) -> None:
    answers = visitor.together("POST", f"/confirm/{token}", 50)
    assert {answer.status_code for answer in answers} == {200}
    assert ledger().count("consent.confirmed") == 1


def test_the_second_press_says_already(visitor: Visitor, token: str) -> None:
    visitor.post(f"/confirm/{token}")
    assert "bereits angemeldet" in visitor.post(f"/confirm/{token}").text
    assert "bereits angemeldet" in visitor.get(f"/confirm/{token}").text


def test_a_link_lapses_after_seven_days(visitor: Visitor, token: str, ledger: Callable[[], list[str]]) -> None:
    visitor.wait(timedelta(days=7).total_seconds())
    answers = [visitor.get(f"/confirm/{token}"), visitor.post(f"/confirm/{token}")]
    assert [answer.status_code for answer in answers] == [410, 410]
    assert 'href="/subscribe?lang=de"' in answers[0].text
    assert "consent.confirmed" not in ledger()


def test_t07_a_withdrawal_kills_the_old_link(visitor: Visitor, token: str, workspace: Workspace) -> None:
    with workspace.store.write() as conn:
        subject = conn.execute(select(identity.c.subject)).scalar_one()
        withdrawal.withdraw(
            conn, subject=subject, controller="default", purposes=None, route="operator", actor="test",
            at=visitor.clock.now(),
        )  # fmt: skip
    assert visitor.post(f"/confirm/{token}").status_code == 410


def withdraw(workspace: Workspace, visitor: Visitor, purposes: list[str] | None) -> None:
    """End what the only person agreed to."""
    with workspace.store.write() as conn:
        subject = conn.execute(select(identity.c.subject)).scalar_one()
        withdrawal.withdraw(
            conn, subject=subject, controller="default", purposes=purposes, route="page", actor="subject",
            at=visitor.clock.now(),
        )  # fmt: skip


@pytest.mark.parametrize(("method", "page"), [("GET", "confirm"), ("POST", "confirm"), ("POST", "decline")])
def test_after_leaving_the_old_link_offers_a_new_sign_up(
    visitor: Visitor, token: str, workspace: Workspace, ledger: Callable[[], list[str]], method: str, page: str
) -> None:
    visitor.post(f"/confirm/{token}")
    withdraw(workspace, visitor, None)
    before = ledger()
    answer = visitor.call(method, f"/{page}/{token}")
    assert answer.status_code == 410
    assert 'href="/subscribe?lang=de"' in answer.text
    assert ledger() == before


def test_whoever_left_one_of_two_topics_is_still_signed_up(visitor: Visitor, token: str, workspace: Workspace) -> None:
    visitor.post(f"/confirm/{token}")
    withdraw(workspace, visitor, ["email.tracking"])
    assert "bereits angemeldet" in visitor.get(f"/confirm/{token}").text


def test_refusing_deletes_the_sign_up(
    visitor: Visitor, token: str, workspace: Workspace, ledger: Callable[[], list[str]]
) -> None:
    answers = [visitor.post(f"/decline/{token}"), visitor.post(f"/confirm/{token}")]
    assert [answer.status_code for answer in answers] == [200, 410]
    assert "consent.declined" in ledger()
    with workspace.store.read() as conn:
        assert conn.execute(select(identity.c.sealed_address)).scalar_one() is None


def spoiled(token: str) -> list[str]:
    """Tokens that are almost right."""
    flipped = token[:-1] + ("a" if token[-1] != "a" else "b")
    return [flipped, token[:-1], token + "a", token.upper(), token[26:] + token[:26], "x", "%00", "ü" * 52, "a" * 500]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_spoiled_token_is_the_same_404(visitor: Visitor, token: str, method: str, number: int) -> None:
    bad = visitor.call(method, f"/confirm/{spoiled(token)[number]}?lang=de")
    nowhere = visitor.call("GET", "/no/such/page?lang=de")
    assert (bad.status_code, bad.text) == (404, nowhere.text)


def test_the_proof_holds_what_the_edge_saw(visitor: Visitor, token: str, workspace: Workspace) -> None:
    visitor.call("POST", f"/confirm/{token}", headers={"user-agent": "Leserin/1.0", "x-forwarded-for": "6.6.6.6"})
    with workspace.store.read() as conn:
        asked, pressed = (vault.evidence(conn, workspace.keyring, seq) or {} for seq in (0, 1))
    assert (asked["form"], asked["box_default"], asked["ip"]) == ("subscribe", "unticked", "203.0.113.7")
    assert (pressed["method"], pressed["ip"], pressed["user_agent"]) == ("POST", "203.0.113.7", "Leserin/1.0")
    assert token not in f"{asked}{pressed}"


def test_a_failure_after_the_confirmation_does_not_deny_it(
    visitor: Visitor, token: str, ledger: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(profiling, "ask", fail)
    answer = visitor.post(f"/confirm/{token}")
    assert (answer.status_code, "Sie sind angemeldet" in answer.text) == (200, True)
    assert ledger().count("consent.confirmed") == 1
