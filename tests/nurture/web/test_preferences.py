"""Preferences: off at once, on only by a new double opt-in, and choices that only narrow."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from consent import caps, identity, opt_in, rights, texts
from consent import ledger as proof
from consent.schema import opt_in_request
from nurture.leads import preferences
from nurture.leads.rights import request_erasure
from tests.consent import wording
from tests.nurture.web.visitor import Form, Visitor, forms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import httpx

    from nurture.store.workspace import Workspace

    Link = Callable[[str, str], str]
    States = Callable[[str], dict[str, str]]
    Ledger = Callable[[], list[str]]
    Mailed = Callable[..., str]

NOTHING = {"newsletter.product": "withdrawn", "email.tracking": "withdrawn"}
EVERYTHING = {"newsletter.product": "given", "email.tracking": "given"}


@pytest.fixture
def path(mailed: Mailed, link: Link) -> str:
    """The preferences page of the confirmed person, as a mail links it."""
    return f"/p/{link('preferences', mailed())}"


@pytest.fixture
def choice(ready: Workspace, confirmed: str) -> Callable[[], preferences.Choice]:
    """What the confirmed person chose."""

    def read() -> preferences.Choice:
        with ready.store.read() as conn:
            return preferences.of(conn, [confirmed]).get(confirmed, preferences.NONE)

    return read


def asking(page: httpx.Response, purpose: str) -> Form:
    """Give the form that asks to switch a purpose on."""
    [form] = [one for one in forms(page.text) if one.fields.get("on") == purpose]
    return form


# --- purposes ----------------------------------------------------------------------------------


def test_preferences_show_what_is_on(visitor: Visitor, path: str) -> None:
    page = visitor.get(path)
    offs = [form.fields["off"] for form in forms(page.text) if "off" in form.fields]
    assert offs == ["newsletter.product", "email.tracking", "*"]
    assert "anna" not in page.text


def test_tracking_switches_off_at_once(visitor: Visitor, path: str, confirmed: str, states: States) -> None:
    answer = visitor.post(path, {"off": "email.tracking"})
    assert answer.status_code == 200
    assert states(confirmed) == {"newsletter.product": "given", "email.tracking": "withdrawn"}


def test_all_ends_all(visitor: Visitor, path: str, confirmed: str, states: States) -> None:
    visitor.post(path, {"off": "*"})
    assert states(confirmed) == NOTHING


@pytest.mark.parametrize("off", ["", "unheard.of", "newsletter", "**"])
def test_an_unknown_purpose_changes_nothing(
    visitor: Visitor, path: str, confirmed: str, states: States, off: str
) -> None:
    assert visitor.post(path, {"off": off}).status_code == 400
    assert states(confirmed) == EVERYTHING


def test_switching_on_shows_the_wording_and_asks_by_mail(
    visitor: Visitor, path: str, confirmed: str, states: States, ready: Workspace
) -> None:
    visitor.wait(86_400)
    form = asking(visitor.post(path, {"off": "email.tracking"}), "email.tracking")
    settings = ready.settings
    with ready.store.read() as conn:
        text = texts.current(conn, controller=settings.controller, purpose="email.tracking", language="de")
    assert text.body in visitor.get(path).text
    answer = visitor.post(path, form.fields)
    assert (answer.status_code, "Postfach" in answer.text) == (200, True)
    assert states(confirmed)["email.tracking"] == "withdrawn"
    with ready.store.read() as conn:
        row = conn.execute(select(opt_in_request).order_by(opt_in_request.c.id.desc())).first()
        secret = opt_in.token(conn, ready.keyring, 2)
    assert row is not None
    assert (row.subject, row.source, row.state) == (confirmed, "web.preferences", "requested")
    visitor.post(f"/confirm/{secret}")
    assert states(confirmed) == EVERYTHING


@pytest.mark.parametrize(
    ("language", "condition"), [("de", "in den letzten 24 Stunden"), ("en", "within the last 24 hours")]
)
def test_no_page_promises_a_mail_that_the_cap_withholds(
    visitor: Visitor, path: str, language: str, condition: str, ledger: Ledger
) -> None:
    """Off and on again within a day of the sign-up: no second mail goes out, and both pages name the condition."""
    page = visitor.post(f"{path}?lang={language}", {"off": "email.tracking", "lang": language})
    before = ledger()
    answer = visitor.post(path, asking(page, "email.tracking").fields)
    assert ledger() == before
    assert [condition in one.text for one in (page, answer)] == [True, True]
    [lead] = re.findall('<p class="lead">(.*?)</p>', answer.text)
    assert condition in lead


@pytest.mark.parametrize("given", [{"on": "email.tracking", "wording": "old"}, {"on": "email.tracking"}])
def test_an_old_wording_is_shown_again(
    visitor: Visitor, path: str, confirmed: str, states: States, given: dict[str, str], ledger: Ledger
) -> None:
    visitor.wait(86_400)
    visitor.post(path, {"off": "email.tracking"})
    before = ledger()
    assert visitor.post(path, given).status_code == 409
    assert ledger() == before


@pytest.mark.parametrize("purpose", ["newsletter.product", "unheard.of", ""])
def test_only_what_is_off_and_has_a_wording_is_offered(
    visitor: Visitor, path: str, ledger: Ledger, purpose: str
) -> None:
    before = ledger()
    assert visitor.post(path, {"on": purpose, "wording": "x"}).status_code == 400
    assert ledger() == before


def test_measuring_is_not_offered_without_mails(visitor: Visitor, path: str) -> None:
    visitor.post(path, {"off": "*"})
    assert [form.fields["on"] for form in forms(visitor.get(path).text) if "on" in form.fields] == [
        "newsletter.product"
    ]


def test_a_new_wording_is_what_is_asked_with(visitor: Visitor, path: str, ready: Workspace, at: datetime) -> None:
    visitor.wait(86_400)
    visitor.post(path, {"off": "email.tracking"})
    settings = ready.settings
    newer = [one for one in wording.standard(settings.controller, settings.company) if one.purpose == "email.tracking"]
    with ready.store.write() as conn:
        texts.publish(conn, [replace(one, version=2, body=f"{one.body} Neu.") for one in newer], at=at)
    visitor.post(path, asking(visitor.get(path), "email.tracking").fields)
    with ready.store.read() as conn:
        entries = [one for one in proof.read(conn) if one.type == "consent.requested"]
    assert entries[-1].body["purposes"][0]["version"] == 2


def newer_wording(ready: Workspace, at: datetime) -> None:
    """Publish a second version of the newsletter's wording."""
    settings = ready.settings
    held = wording.standard(settings.controller, settings.company)
    with ready.store.write() as conn:
        newer = [
            replace(one, version=2, body=f"{one.body} Neu.") for one in held if one.purpose == "newsletter.product"
        ]
        texts.publish(conn, newer, at=at)


def test_a_stale_consent_is_shown_at_rest_and_can_be_renewed(visitor: Visitor, path: str, ledger: Ledger) -> None:
    visitor.wait(timedelta(days=732).total_seconds())
    page = visitor.get(path)
    assert ("Ruht" in page.text, 'id="pace"' in page.text) == (True, False)
    assert visitor.post(path, asking(page, "newsletter.product").fields).status_code == 200
    assert ledger().count("consent.requested") == 2


def test_a_consent_in_use_is_not_offered_anew(visitor: Visitor, path: str) -> None:
    page = visitor.get(path)
    assert ("Ruht" in page.text, [one for one in forms(page.text) if "on" in one.fields]) == (False, [])


def test_a_consent_is_not_offered_anew_in_another_language(visitor: Visitor, path: str) -> None:
    assert not [one for one in forms(visitor.get(f"{path}?lang=en").text) if "on" in one.fields]


def test_an_older_wording_can_be_renewed_while_it_stands(
    visitor: Visitor, path: str, ready: Workspace, ledger: Ledger, at: datetime
) -> None:
    newer_wording(ready, at)
    visitor.wait(86_400)
    page = visitor.get(path)
    form = asking(page, "newsletter.product")
    assert ("Ruht" in page.text, "erneuern: Produkt-Newsletter" in page.text) == (False, True)
    visitor.post(path, form.fields)
    assert ledger().count("consent.requested") == 2


def test_nothing_is_offered_to_whoever_is_restricted(
    visitor: Visitor, path: str, confirmed: str, ready: Workspace, ledger: Ledger, at: datetime
) -> None:
    form = asking(visitor.post(path, {"off": "email.tracking"}), "email.tracking")
    with ready.store.write() as conn:
        rights.restrict(conn, confirmed, reason="dispute", actor="operator", at=at)
    before = ledger()
    assert not [one for one in forms(visitor.get(path).text) if "on" in one.fields]
    visitor.wait(86_400)
    assert visitor.post(path, form.fields).status_code == 400
    assert ledger() == before


@pytest.mark.parametrize(("cap", "held"), [("INBOX", 1), ("NETWORK", 2), ("DOMAIN", 2)])
def test_switching_on_has_the_caps_of_a_sign_up(
    visitor: Visitor, path: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, cap: str, held: int
) -> None:
    """The same words whether a mail follows or not: by the cap of the inbox, of the network, of the domain."""
    open_to_all = ((timedelta(hours=1), 100),)
    for name in ("INBOX", "NETWORK", "DOMAIN"):
        monkeypatch.setattr(caps, name, ((timedelta(hours=1), held),) if name == cap else open_to_all)
    visitor.wait(86_400)
    form = asking(visitor.post(path, {"off": "email.tracking"}), "email.tracking")
    answers = []
    for _ in range(3):
        answers.append(visitor.post(path, form.fields).content)
        visitor.wait(60)
    assert len(set(answers)) == 1
    assert ledger().count("consent.requested") == 1 + held  # the first sign-up and what the cap lets pass


# --- how often, pause --------------------------------------------------------------------------


@pytest.mark.parametrize(("pace", "per_week"), [("weekly", 1), ("rarely", preferences.RARELY), ("planned", None)])
def test_a_pace_is_kept(
    visitor: Visitor, path: str, choice: Callable[[], preferences.Choice], pace: str, per_week: int | None
) -> None:
    answer = visitor.post(path, {"pace": pace})
    assert (answer.status_code, choice().per_week) == (200, per_week)
    assert f'value="{pace}" checked' in answer.text


def test_a_pause_is_kept_shown_and_ended(
    visitor: Visitor, path: str, choice: Callable[[], preferences.Choice], at: datetime
) -> None:
    answer = visitor.post(path, {"pause": "60"})
    assert choice().paused_until == at + timedelta(days=60)
    assert "Pause bis 22. Januar 2027" in answer.text
    ended = visitor.post(path, {"pause": "end"})
    assert choice().paused_until is None
    assert "Pause bis" not in ended.text


def test_a_pause_over_is_no_longer_shown(visitor: Visitor, path: str) -> None:
    visitor.post(path, {"pause": "30"})
    visitor.wait(30 * 86_400)
    assert "Pause bis" not in visitor.get(path).text


@pytest.mark.parametrize(
    "fields", [{}, {"pace": "daily"}, {"pause": "365"}, {"pause": ""}, {"pause": "-1"}, {"x": "y"}]
)
def test_what_is_not_offered_changes_nothing(
    visitor: Visitor, path: str, choice: Callable[[], preferences.Choice], fields: dict[str, str]
) -> None:
    assert visitor.post(path, fields).status_code == 400
    assert choice() == preferences.NONE


def test_choices_are_no_consent(visitor: Visitor, path: str, ledger: Ledger) -> None:
    before = ledger()
    for fields in ({"pace": "rarely"}, {"pause": "90"}, {"pause": "end"}, {"pace": "planned"}):
        visitor.post(path, fields)
    assert ledger() == before


def test_whoever_gets_no_mail_is_offered_no_pause(visitor: Visitor, path: str) -> None:
    visitor.post(path, {"off": "*"})
    assert not {"pace", "pause"} & {name for form in forms(visitor.get(path).text) for name in form.fields}


def test_an_erasure_under_way_is_shown_and_nothing_is_offered(
    visitor: Visitor, path: str, link: Link, confirmed: str, ready: Workspace, choice: Callable[[], preferences.Choice]
) -> None:
    """Also to somebody who took a break before; a form sent from an older page changes nothing."""
    visitor.post(path, {"pause": "30"})
    before = choice()
    with ready.store.write() as conn:
        request_erasure(conn, ready, confirmed, route="page", actor="subject", at=visitor.clock.now())
    day = visitor.get(f"/d/{link('data', confirmed)}?lang=de").text
    page = visitor.get(f"{path}?lang=de").text
    assert "Ihr Antrag vom 23. November 2026 liegt uns vor" in day
    assert "Ihr Antrag vom 23. November 2026 liegt uns vor" in page
    assert (forms(page), "Pause" in page, "/d/" in page) == ([], False, True)
    for fields in ({"pause": "end"}, {"pace": "weekly"}, {"on": "newsletter.product"}, {"off": "*"}):
        answer = visitor.post(path, fields)
        assert (answer.status_code, "liegt uns vor" in answer.text) == (200, True)
    assert choice() == before


# --- erased ------------------------------------------------------------------------------------


def test_nothing_is_shown_of_whoever_was_erased(
    visitor: Visitor, path: str, link: Link, confirmed: str, ready: Workspace, ledger: Ledger, at: datetime
) -> None:
    with ready.store.write() as conn:
        identity.erase(conn, confirmed, at=at)
    before = ledger()
    by_person = visitor.get(f"/p/{link('preferences', confirmed)}")
    assert "keine Einwilligung" in by_person.text
    assert [len(forms(answer.text)) for answer in (by_person, visitor.get(path))] == [0, 0]
    for fields in ({"off": "*"}, {"on": "newsletter.product"}, {"pause": "30"}):
        assert visitor.post(path, fields).status_code == 200
    assert ledger() == before
