"""What we write, the email package reads back unchanged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nurture.delivery.content.library import Library, MessageClass
from nurture.delivery.content.pieces import Content
from nurture.delivery.errors import DeliveryError
from nurture.delivery.headers import header_text, is_single_address
from nurture.delivery.mime import encode
from nurture.delivery.provider import Outgoing, Sender, fault_of
from nurture.settings import PROJECT
from tests.nurture.delivery.content.people import PEOPLE, frame, parts_of, split
from tests.nurture.delivery.mails import changed

if TYPE_CHECKING:
    from email.message import EmailMessage

SENDER = Sender("post@example.com", 'Müller & Söhne "Werk"')
MAIL = Outgoing(
    public_id="abcdefghijklmnopqrstuvwxyz",
    attempt=1,
    to_address="erika@example.org",
    to_name="Erika, die Große",
    content=Content.whole(
        "Grüße aus Köln und ein Betreff, der länger ist als eine Zeile im Kopf einer E-Mail sein soll",
        "<p>Grüße, €</p>",
        "Grüße, €\n",
        {
            "List-Unsubscribe": "<https://example.com/u/" + "a" * 80 + ">",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    ),
    at=datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def library() -> Library:
    """The shipped mails."""
    return Library.load(PROJECT / "templates")


def back(mail: Outgoing, sender: Sender = SENDER) -> EmailMessage:
    """Write and read."""
    return message_from_bytes(encode(sender, mail), policy=policy.default)


def test_headers_read_back() -> None:
    read = back(MAIL)
    assert (read["Subject"], parsedate_to_datetime(read["Date"])) == (MAIL.subject, MAIL.at)


def test_mailboxes_read_back() -> None:
    read = back(MAIL)
    (to,), (sender,) = read["To"].addresses, read["From"].addresses
    assert (to.display_name, to.addr_spec) == (MAIL.to_name, MAIL.to_address)
    assert (sender.display_name, sender.addr_spec) == (SENDER.name, SENDER.address)


def test_both_parts_read_back() -> None:
    read = back(MAIL)
    parts = [part.get_content().rstrip("\r\n") for part in read.iter_parts()]
    assert (read.get_content_type(), parts) == ("multipart/alternative", ["Grüße, €", "<p>Grüße, €</p>"])


def test_the_unsubscribe_header_stays_on_one_line() -> None:
    lines = encode(SENDER, MAIL).split(b"\r\n")
    assert b"List-Unsubscribe: <https://example.com/u/" + b"a" * 80 + b">" in lines


def test_no_line_is_too_long() -> None:
    mail = changed(MAIL, html="ä" * 5000, text="x" * 5000)
    assert max(len(line) for line in encode(SENDER, mail).split(b"\r\n")) <= 998


def test_every_line_ends_with_cr_lf() -> None:
    raw = encode(SENDER, changed(MAIL, text="a\nb\r\nc\rd"))
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")


def test_a_defect_is_never_found() -> None:
    assert back(MAIL).defects == []


PIECES = st.lists(
    st.text(st.sampled_from("ab .=-_\n\r\t<&äß€😀\x00"), max_size=90) | st.integers(0, 2), min_size=1, max_size=9
).map(tuple)
VALUES = st.tuples(*[st.text(st.sampled_from("ab .=-_?\n\r\t<äß€😀\x0c"), max_size=90)] * 3)


def parts(raw: bytes) -> list[str]:
    """Read both parts, with the line ends of Python."""
    read = message_from_bytes(raw, policy=policy.default)
    assert read.defects == []
    bodies = [part.get_payload(decode=True) for part in read.iter_parts()]
    return [body.decode("utf-8").replace("\r\n", "\n") for body in bodies]  # type: ignore[union-attr]


def lines(text: str) -> str:
    """Give text with the line ends of Python."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(PIECES, PIECES, VALUES)
@example(("",), ("a" * 74 + "\t\nb",), ("", "", ""))
@example(("a" * 75 + " \n",), ("a" * 73 + " \n",), ("", "", ""))
@example(("x" * 76, 0), ("x" * 73 + "ä", 0), ("y" * 76, "", ""))
@example(("x" * 75 + ".", 0), (0, "rest"), ("y" * 75 + "=", "", ""))
def test_whatever_stands_in_the_holes_reads_back(
    html: tuple[str | int, ...], text: tuple[str | int, ...], values: tuple[str, ...]
) -> None:
    """As the mail written for one alone would, with no line longer than quoted-printable allows."""
    content = Content(("Betreff",), html, text)
    raw = encode(SENDER, MAIL._replace(content=content, values=values))

    assert parts(raw) == [lines(content.text_for(values)), lines(content.html_for(values))]
    body = raw.partition(b"\r\n\r\n")[2]
    assert max(len(line) for line in body.split(b"\r\n")) <= 78
    assert max(len(line) for line in body.split(b"\r\n") if not line.startswith(b"Content-T")) <= 76
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    assert b"\n." not in raw


@pytest.mark.parametrize("length", range(4, 12))
def test_no_line_of_a_shipped_mail_is_longer_than_76(library: Library, length: int) -> None:
    """Wherever a hole stands in its line, which the length of the site's address moves (RFC 2045)."""
    site = f"https://{'n' * length}.example"
    shared = replace(frame(tracked=True), public_url=site)
    for mail in library.mails.values():
        if mail.message_class is MessageClass.CONFIRMATION:
            continue
        made = split(mail, shared)
        for lead in PEOPLE[:5]:
            values = made.values(lead, parts_of(lead))
            body = encode(SENDER, MAIL._replace(content=made.content, values=values)).partition(b"\r\n\r\n")[2]
            assert max(map(len, body.split(b"\r\n"))) <= 76


def test_no_value_ends_a_part() -> None:
    """Who knows the boundary cannot write it: an equals sign is always encoded."""
    content = Content(("Betreff",), ("<p>", 0, "</p>"), (1, "\n"))
    forged = f"\n--=_{MAIL.public_id}--\n"
    raw = encode(SENDER, MAIL._replace(content=content, values=(forged, forged)))
    assert parts(raw) == [f"{forged}\n", f"<p>{forged}</p>"]


def test_two_mails_have_two_boundaries() -> None:
    """One forwarded inside the other must not end it."""
    boundaries = {back(MAIL._replace(public_id=name * 26)).get_boundary() for name in "ab"}
    assert len(boundaries) == 2


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=120)


@given(printable.filter(str.strip), printable)
def test_any_subject_and_name_read_back(subject: str, name: str) -> None:
    mail = changed(MAIL, subject=subject.strip(), to_name=name.strip())
    read = back(mail)
    assert str(read["Subject"]) == mail.subject
    assert [one.addr_spec for one in read["To"].addresses] == ["erika@example.org"]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=300))
def test_any_text_reads_back(text: str) -> None:
    body = back(changed(MAIL, text=text or "x")).get_body(("plain",))
    assert body is not None
    assert body.get_payload(decode=True).decode("utf-8").replace("\r\n", "\n") == (text or "x")  # type: ignore[union-attr]


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\u2028", "\u2029", "\u202e", "\u200b", "\x85", "\ud800"])
def test_a_header_holds_no_control_character(character: str) -> None:
    with pytest.raises(DeliveryError):
        header_text(f"vorn{character}hinten")


def test_a_header_has_a_longest_length() -> None:
    with pytest.raises(DeliveryError):
        header_text("x" * 201)


@pytest.mark.parametrize(
    "value",
    [
        "a@b@c.example",
        "a b@example.org",
        "a,b@example.org",
        "<a@example.org>",
        "a@example.org;",
        '"a"@example.org',
        "@example.org",
        "a@",
        "a",
        "",
        "ä@example.org",
        "a@exämple.org",
        "a\n@example.org",
        "a(b)@example.org",
    ],
)
def test_only_one_plain_address_is_one(value: str) -> None:
    assert not is_single_address(value)


def test_a_good_mail_has_no_fault() -> None:
    assert fault_of(MAIL) is None


def test_a_sender_that_injects_is_refused() -> None:
    with pytest.raises(DeliveryError):
        Sender("post@example.com", "Werk\r\nBcc: x@example.org")
