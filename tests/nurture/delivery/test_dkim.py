"""Signatures, judged by an implementation that is not ours."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.delivery.content.pieces import Content
from nurture.delivery.dkim import SIGNED, Signer
from nurture.delivery.errors import DeliveryError
from nurture.delivery.mime import encode
from nurture.delivery.provider import Sender
from tests.nurture.delivery.mails import changed
from tests.nurture.delivery.test_mime import MAIL

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SENDER = Sender("post@example.com", "Müller & Söhne")
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA_RECORD = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
RECORDS = {
    b"rsa._domainkey.example.com.": b"v=DKIM1; k=rsa; p=" + base64.b64encode(RSA_RECORD),
    b"ed._domainkey.example.com.": b"v=DKIM1; k=ed25519; p="
    + base64.b64encode(ED25519.public_key().public_bytes_raw()),
}


def pem(key: PrivateKeyTypes) -> bytes:
    """Write a key as openssl does."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


SIGNERS = {
    "rsa": Signer(domain="example.com", selector="rsa", key=pem(RSA)),
    "ed": Signer(domain="example.com", selector="ed", key=pem(ED25519)),
}


def verifies(raw: bytes) -> bool:
    """Ask dkimpy, with our records in place of DNS."""
    return bool(dkim.verify(raw, dnsfunc=lambda name, **_: RECORDS[name]))


@pytest.mark.parametrize("kind", SIGNERS)
def test_a_signed_mail_verifies(kind: str) -> None:
    """By both algorithms; the receiver reads the same mail."""
    raw = encode(SENDER, MAIL, SIGNERS[kind])

    assert verifies(raw)
    assert message_from_bytes(raw, policy=policy.default)["Subject"] == MAIL.subject


@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize("name", SIGNED)
def test_a_changed_header_fails(kind: str, name: str) -> None:
    """Every signed header, unsubscribing among them (RFC 8058)."""
    raw = encode(SENDER, MAIL, SIGNERS[kind])
    start = raw.index(f"\r\n{name}: ".encode()) + len(name) + 4
    changed_one = raw[:start] + b"X" + raw[start:]

    assert not verifies(changed_one)


@pytest.mark.parametrize("name", SIGNED)
def test_a_second_header_fails(name: str) -> None:
    """Nobody adds another From, or another way to unsubscribe, whether there was one or none."""
    confirmation = changed(MAIL, headers={})
    for mail in (MAIL, confirmation):
        raw = encode(SENDER, mail, SIGNERS["ed"])
        assert verifies(raw)
        assert not verifies(f"{name}: x@evil.example\r\n".encode() + raw)


def test_a_changed_body_fails() -> None:
    """One letter is enough."""
    raw = encode(SENDER, MAIL, SIGNERS["ed"])
    assert not verifies(raw.replace(b"<p>", b"<b>"))


def test_a_signature_of_another_mail_fails() -> None:
    """Headers of one over the body of the other."""
    one, other = (encode(SENDER, changed(MAIL, text=text), SIGNERS["ed"]) for text in ("eins", "zwei"))
    assert not verifies(one.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + other.partition(b"\r\n\r\n")[2])


HOSTILE = st.text(st.sampled_from("ab .=-\n\t<äß€"), max_size=90)


@settings(max_examples=60)
@given(HOSTILE, HOSTILE, st.text(st.sampled_from('ab  "\\,ä='), max_size=60))
def test_every_mail_verifies(html: str, text: str, name: str) -> None:
    """Whatever stands in it: spaces at line ends, empty lines, folded names."""
    content = Content(("Betreff ", 0), ("<p>", 1, "</p>\n\n"), (2, "\n\n"))
    mail = MAIL._replace(content=content, values=(name, html, text), to_name=name.strip())
    assert verifies(encode(SENDER, mail, SIGNERS["ed"]))


def test_no_line_of_a_signature_is_too_long() -> None:
    """RFC 5322: 998 at most, 78 recommended."""
    head = encode(SENDER, MAIL, SIGNERS["rsa"]).partition(b"\r\nDate:")[0]
    assert max(len(line) for line in head.split(b"\r\n")) <= 78


@pytest.mark.parametrize(
    ("key", "domain", "match"),
    [
        (b"geheim-4711", "example.com", "holds no private key"),
        (
            ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
            "example.com",
            "without a password",
        ),
        (pem(rsa.generate_private_key(65537, 1024)), "example.com", "2048 bits"),  # noqa: S505  that is the point
        (pem(ec.generate_private_key(ec.SECP256R1())), "example.com", "must hold an Ed25519 key"),
        (pem(ED25519), "example.com; x=1", "names of DNS"),
        (pem(ED25519), "", "names of DNS"),
    ],
    ids=["no key", "locked", "short", "other kind", "injection", "no domain"],
)
def test_what_cannot_sign_is_refused(key: bytes, domain: str, match: str) -> None:
    """At once, without repeating the key."""
    with pytest.raises(DeliveryError, match=match) as caught:
        Signer(domain=domain, selector="s", key=key)
    assert "geheim" not in str(caught.value)


def test_a_signer_keeps_its_key_to_itself() -> None:
    """In tracebacks stands the name of the record."""
    assert repr(SIGNERS["ed"]) == "Signer(ed._domainkey.example.com)"
