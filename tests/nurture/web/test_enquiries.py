"""Requests by form: only the address is needed, and what comes is kept sealed for the flows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from nurture.store.tables import raw_event
from nurture.tracking import intake, reading
from nurture.web.app import create_app
from nurture.web.brake import Brake
from nurture.web.enquiries import FORMS
from tests.nurture.web.visitor import Visitor, forms

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from nurture.clock import VirtualClock
    from nurture.store.workspace import Workspace

KINDS = {"demo_request": "demo_requested", "offer_request": "offer_requested", "price_request": "price_requested",
         "whitepaper": "downloaded"}  # fmt: skip


def ask(visitor: Visitor, name: str = "demo_request", **fields: str) -> httpx.Response:
    """Fill in a request form as a person would."""
    [form] = forms(visitor.get(f"/request/{name}").text)
    visitor.wait(5)
    return visitor.post(form.action, form.fields | {"address": "anna@firma.example"} | fields)


def stored(workspace: Workspace) -> dict[str, object]:
    """What was kept."""
    with workspace.store.read() as conn:
        row = conn.execute(select(raw_event).where(raw_event.c.source == "form")).one()
    told: dict[str, object] = json.loads(intake.unseal(workspace.keyring, row.sealed_body, row.body_sha256))
    return told


@pytest.mark.requirement(6)
@pytest.mark.parametrize("name", FORMS)
def test_a_request_is_kept_as_its_event(visitor: Visitor, workspace: Workspace, name: str) -> None:
    assert ask(visitor, name, first_name="Anna", message="Guten Tag,\r\nwir suchen …").status_code == 200
    told = stored(workspace)
    assert (told["form"], told["address"]) == (name, "anna@firma.example")
    assert told["fields"] == {"first_name": "Anna", "message": "Guten Tag, wir suchen …"}
    read = reading.read("form", json.dumps(told).encode(), KINDS)
    assert [event.kind.value for event in read.events] == [KINDS[name]]


def test_the_address_alone_is_enough(visitor: Visitor, workspace: Workspace) -> None:
    ask(visitor)
    assert stored(workspace)["fields"] == {}


def test_a_request_is_no_consent(visitor: Visitor, ledger: Callable[[], list[str]]) -> None:
    ask(visitor)
    assert ledger() == []


@pytest.mark.parametrize("fields", [{"address": "nobody"}, {"message": "x" * 2001}, {"stamp": "1.a"}])
def test_a_faulty_request_comes_back(visitor: Visitor, raw_count: Callable[[], int], fields: dict[str, str]) -> None:
    assert (ask(visitor, **fields).status_code, raw_count()) == (422, 0)


def test_a_filled_trap_is_kept_by_nobody(visitor: Visitor, raw_count: Callable[[], int]) -> None:
    trapped = ask(visitor, website="x")
    assert (raw_count(), trapped.text) == (0, ask(visitor).text)


def test_what_was_typed_comes_back_as_text(visitor: Visitor) -> None:
    attack = '"><script>alert(1)</script>{{7*7}}'
    page = ask(visitor, address="nobody", last_name=attack)
    assert "<script>" not in page.text
    assert "{{7*7}}" in page.text
    assert '"><script>alert(1)</script>{{7*7}}' in forms(page.text)[0].fields["last_name"]


def ask_with(ready: Workspace, clock: VirtualClock, brake: Brake, addresses: list[str]) -> list[httpx.Response]:
    """Send enquiries from one network, one after another."""
    visitor = Visitor(create_app(ready, clock, brake=brake), clock)
    answers = [ask(visitor, address=address, message="Bitte Angebot") for address in addresses]
    visitor.close()
    return answers


@pytest.mark.parametrize(
    ("most", "addresses", "status"),
    [
        ({"per_inbox": 1}, ["anna@firma.example", "anna+x@firma.example"], 429),
        ({"per_network": 1}, ["a@eins.example", "b@zwei.example"], 429),
        ({"overall": 1}, ["a@eins.example", "b@zwei.example"], 503),
    ],
)
def test_an_enquiry_too_many_is_told_so_and_keeps_its_words(
    ready: Workspace,
    clock: VirtualClock,
    raw_count: Callable[[], int],
    most: dict[str, int],
    addresses: list[str],
    status: int,
) -> None:
    first, last = answers = ask_with(ready, clock, Brake(**most), addresses)
    assert (first.status_code, last.status_code) == (200, status)
    assert "noch nicht bei uns" in last.text
    assert "Bitte Angebot" in last.text
    assert raw_count() == sum(answer.status_code == 200 for answer in answers)


def test_a_sign_up_stands_in_no_enquirys_way(ready: Workspace, clock: VirtualClock) -> None:
    brake = Brake(per_network=1, overall=1)
    visitor = Visitor(create_app(ready, clock, answer_floor=0, brake=brake), clock)
    visitor.sign_up("b@zwei.example")
    assert ask(visitor).status_code == 200
    visitor.close()


def test_an_hour_later_there_is_room_again(ready: Workspace, clock: VirtualClock) -> None:
    visitor = Visitor(create_app(ready, clock, brake=Brake(per_inbox=1)), clock)
    ask(visitor)
    visitor.wait(3_600)
    assert ask(visitor).status_code == 200
    visitor.close()
