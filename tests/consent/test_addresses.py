"""Three forms of an address (T26, T27)."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.addresses import LONGEST, Address, InvalidAddress

if TYPE_CHECKING:
    from tests.consent.people import People


def a_label(domain: str) -> str:
    """Convert as the intake does."""
    return idna.encode(domain, uts46=True).decode()


def test_t26_case_is_one_identity(people: People) -> None:
    """T26: User@EXAMPLE.com opts in, user@example.com leaves: blocked; mail went to the spelling given."""
    from consent import identity  # noqa: PLC0415  only here

    subject = people.confirmed("User@EXAMPLE.example")
    with people.store.read() as conn:
        same = identity.find(conn, people.keyring, Address.of("user@example.example"))
        person = identity.reveal(conn, people.keyring, [subject])[subject]
    people.leave(same or "")

    assert people.reason(subject) == "withdrawn"
    assert person.address == "User@EXAMPLE.example"


def test_t27_umlaut_domain_is_its_a_label() -> None:
    """T27: bücher.de and xn--bcher-kva.de are one identity."""
    assert Address.of("a@" + a_label("bücher.de")).identity == Address.of("a@xn--bcher-kva.DE").identity


def test_t27_sharp_s_is_another_domain() -> None:
    """T27: faß.de and fass.de are two identities."""
    assert Address.of("a@" + a_label("faß.de")).identity != Address.of("a@fass.de").identity


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("k.im+news@gmail.com", "kim@googlemail.com"),
        ("Kim+a@firma.example", "kim@firma.example"),
        ("+tag@firma.example", "+tag@FIRMA.example"),
    ],
)
def test_abuse_form_is_one_inbox(left: str, right: str) -> None:
    """A10: tags, dots and the googlemail alias do not open a second counter."""
    assert Address.of(left).abuse == Address.of(right).abuse


def test_abuse_form_never_merges_people() -> None:
    """A10: john.smith and johnsmith are two identities."""
    assert Address.of("john.smith@x.example").identity != Address.of("johnsmith@x.example").identity


def test_composed_letters_are_one_identity() -> None:
    """A letter with its accent, and the accent apart, are the same (NFC)."""
    assert Address.of("jose\u0301@x.example").identity == Address.of("JOS\u00c9@x.example").identity


@pytest.mark.parametrize(
    "raw",
    [
        "", "@", "a@", "@b.example", "kim", "a b@c.example", "a@bücher.de", "a@b\n.example", "a\u200b@b.example",
        "a\u00a0@b.example", " a@b.example", "x" * 250 + "@b.example",
    ],
)  # fmt: skip
def test_unchecked_addresses_are_refused(raw: str) -> None:
    """What syntax checks would never let through; the message does not repeat it."""
    with pytest.raises(InvalidAddress) as caught:
        Address.of(raw)

    assert not raw.strip("@") or raw not in str(caught.value)


@given(st.from_regex(r"[A-Za-z0-9.+ßÄé_-]{1,20}@[A-Za-z0-9-]{1,10}\.[A-Za-z]{2,5}", fullmatch=True))
def test_forms_are_stable(raw: str) -> None:
    """The identity of an identity is itself; case never matters; nothing prints."""
    address = Address.of(raw)

    assert Address.of(address.identity).identity == address.identity
    assert Address.of(address.abuse).abuse == Address.of(raw.swapcase().swapcase()).abuse
    assert repr(address) == "Address(...)"


def by_the_book(raw: str) -> tuple[str, str] | None:
    """Give delivery and identity form letter by letter, without any short cut; None for what is refused."""
    local, _, domain = raw.rpartition("@")
    hidden = any(c.isspace() or unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in raw)
    if not local or not domain or not domain.isascii() or hidden or len(raw.encode()) > LONGEST:
        return None
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())
    return raw, f"{folded}@{domain.lower()}"


ODD = st.sampled_from([*"aZ@. +-\t\n\x00\x1f\x7f\x85\u00a0\u200b\u0130ßÄe\u0301K", "x" * 120])


@given(st.lists(ODD, max_size=12).map("".join) | st.text(max_size=20).map(lambda text: f"{text}@b.example"))
def test_short_cuts_change_no_answer(raw: str) -> None:
    """What is plain ASCII takes a short way, and comes to the same forms and refusals as everything else."""
    try:
        address = Address.of(raw)
    except InvalidAddress:
        assert by_the_book(raw) is None
    else:
        assert (address.delivery, address.identity) == by_the_book(raw)
