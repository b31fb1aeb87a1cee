"""Nobody can write into our mails by calling somebody something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import identity
from nurture.delivery import addressing
from nurture.delivery.sending import send_next
from tests.nurture.delivery.world import Scripted, World

ODD = (
    "Ihr Konto wurde gesperrt. Bitte jetzt anmelden:",
    "https://falle.example",
    "www.falle",
    "falle.example",
    "falle/anmelden",
    "0900 123456",
    "a@falle.example",
    "Muster\u202eretsuM",
    "x" * 41,
)


@pytest.mark.parametrize("odd", ODD)
def test_what_reads_like_no_name_greets_nobody(odd: str) -> None:
    details = {"first_name": odd, "last_name": odd, "salutation": odd}
    assert set(addressing.lead(details).values()) == {""}
    assert addressing.display_name(addressing.lead(details)) == ""


@pytest.mark.parametrize(
    "name", ["Müller-Lüdenscheidt", "O'Brien", "d\u2019Artagnan", "Dr. von der Heide", "J.R.", "李"]
)
def test_a_name_is_used_as_it_is(name: str) -> None:
    assert addressing.lead({"last_name": name})["last_name"] == name


@pytest.mark.parametrize("company", ["Musterwerk GmbH & Co. KG", "3M", "1+1 (Nord)"])
def test_a_company_may_have_digits(company: str) -> None:
    assert addressing.lead({"company": company})["company"] == company


@pytest.mark.parametrize("odd", ["https://falle.example", "falle.example", "GEWINN: jetzt", "x" * 61])
def test_what_reads_like_no_company_stands_in_no_mail(odd: str) -> None:
    assert addressing.lead({"company": odd})["company"] == ""


@given(st.text(max_size=60))
def test_nothing_in_a_mail_of_a_name_can_be_followed(typed: str) -> None:
    said = addressing.lead({"first_name": typed, "last_name": typed, "company": typed})
    assert not any(sign in value for value in said.values() for sign in (":", "/", "@", "<", "\n"))
    assert not any(len(value) > addressing.LONGEST_COMPANY for value in said.values())


def test_a_mail_carries_no_text_of_a_stranger(world: World) -> None:
    subject = world.person(last_name="https://falle.example")
    with world.ws.store.write() as conn:
        identity.describe(conn, world.ws.keyring, {subject: {"first_name": "Jetzt anmelden:"}})
    world.plan(subject)
    provider = Scripted()
    send_next(world.ws, world.library, provider, kind="marketing", owner="w1", at=world.at)
    [mail] = provider.mails
    assert (mail.to_name, "falle" in mail.html, "falle" in mail.text + mail.subject) == ("", False, False)
