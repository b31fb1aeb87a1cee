"""Links with a token: only ours, only for what they were made, and the same words for whoever is gone."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from consent import tokens
from consent.keys import Keyring
from consent.schema import ledger_entry, rights_request
from nurture.leads.rights import erase_open
from nurture.store.tables import mail_preference
from tests.nurture.web.visitor import Visitor, forms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nurture.store.workspace import Workspace

    Link = Callable[[str, str], str]
    Mailed = Callable[..., str]

DOORS = {"/u/": "unsubscribe", "/p/": "preferences", "/q/": "profile", "/d/": "data"}
ACTIONS = {
    "/u/": {"List-Unsubscribe": "One-Click"},
    "/p/": {"off": "*"},
    "/q/": {"action": "save", "question": "name", "last_name": "X"},
    "/d/": {"action": "erase", "sure": "yes"},
}


@pytest.fixture
def rows(ready: Workspace) -> Callable[[], list[int]]:
    """How many entries, choices and requests there are."""

    def count() -> list[int]:
        with ready.store.read() as conn:
            return [
                conn.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (ledger_entry, mail_preference, rights_request)
            ]

    return count


@pytest.mark.parametrize("door", DOORS)
def test_t21_a_token_that_is_not_exactly_ours_opens_nothing(
    visitor: Visitor, confirmed: str, link: Link, rows: Callable[[], list[int]], tmp_path: Path, door: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """One bit changed, cut short, made longer, for another purpose, of another installation: one and the same page."""
    purpose = DOORS[door]
    good, other = link(purpose, confirmed), Keyring.load_or_create(tmp_path / "other.json")
    wrong = [good[:place] + chr(ord(good[place]) ^ 1) + good[place + 1 :] for place in (0, 12, 26, 40, 51)]
    wrong += [good[:-1], good[1:], good + "a", good.upper(), good[:26], "x", "a" * 52, "a" * 129, "%00" + good]
    wrong += [
        link(one, confirmed) for one in ("click", "open", "confirm", "handover", *DOORS.values()) if one != purpose
    ]
    wrong += [tokens.issue(other, purpose, confirmed)]
    before, page = rows(), visitor.get("/nowhere?lang=de").content
    with caplog.at_level(logging.INFO, "nurture.web"):
        for token in wrong:
            answer = visitor.post(f"{door}{token}?lang=de", ACTIONS[door])
            assert (answer.status_code, answer.content) == (404, page)
    assert rows() == before
    assert confirmed not in caplog.text


def test_whoever_was_really_erased_gets_neutral_answers(
    visitor: Visitor, confirmed: str, link: Link, mailed: Mailed, ready: Workspace
) -> None:
    """Asked for on the page and carried out by the flow's function: each door says what it says of a row long gone."""
    ids = [confirmed, mailed()]
    [sure] = forms(visitor.post(f"/d/{link('data', confirmed)}", {"action": "erase"}).text)
    visitor.post(f"/d/{link('data', confirmed)}", sure.fields | {"action": "erase"})
    assert erase_open(ready, at=visitor.clock.now()).requests == 1
    stranger = tokens.random_id()
    for door, purpose in DOORS.items():
        paths = [door + tokens.issue(ready.keyring, purpose, one) for one in (*ids, stranger)]
        for method, fields in (("GET", {}), ("POST", ACTIONS[door])):
            answers = [visitor.call(method, f"{path}?lang=de", data=fields) for path in paths]
            # A page names its own address and those of its neighbours: apart from these they are one.
            pages = {re.sub(r"[a-z2-7]{26}(?:[0-9a-f]{32}|[a-z2-7]{26})", "", answer.text) for answer in answers}
            status = 405 if (door, method) == ("/q/", "GET") else 200
            assert ({answer.status_code for answer in answers}, len(pages)) == ({status}, 1)


def test_a_link_of_a_mail_keeps_working_for_years(visitor: Visitor, mailed: Mailed, link: Link) -> None:
    public_id = mailed()
    visitor.wait(10 * 365 * 86_400)
    assert [visitor.get(f"{door}{link(DOORS[door], public_id)}").status_code for door in ("/u/", "/p/", "/d/")] == [
        200
    ] * 3
