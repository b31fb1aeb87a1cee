"""How does a message look on the wire? RFC 5322 with a text and an HTML part, in bytes.

Written by hand because `EmailMessage` takes 3 to 5 ms a mail, this a tenth of one; a test reads
the result back with the `email` package.
"""

from __future__ import annotations

import binascii
import hashlib
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nurture.delivery.provider import Outgoing, Sender

WORD_BYTES = 42
"""Bytes in one encoded word: 56 characters of base64 and 12 around them stay below the 75 of RFC 2047."""


def message_id(sender: Sender, public_id: str) -> str:
    """Give the Message-ID of a message: the same for each attempt, so that receivers drop a second copy."""
    return f"<{public_id}@{sender.domain}>"


def encode(sender: Sender, message: Outgoing) -> bytes:
    """Give the whole mail, lines ended by CR LF. The message must have no fault (`fault_of`)."""
    boundary = f"=_{hashlib.sha256(message.public_id.encode()).hexdigest()[:32]}"
    headers = {
        "Date": format_datetime(message.at),
        "From": mailbox(sender.name, sender.address),
        "To": mailbox(message.to_name, message.to_address),
        "Subject": words(message.subject, used=len("Subject: ")),
        "Message-ID": message_id(sender, message.public_id),
        **message.headers,
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="{boundary}"',
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")
    cut = f"--{boundary}".encode("ascii")
    parts = [cut + b"\r\n" + _part("plain", message.text), cut + b"\r\n" + _part("html", message.html)]
    return head + b"\r\n" + b"".join(parts) + cut + b"--\r\n"


def _part(kind: str, text: str) -> bytes:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8")
    body = binascii.b2a_qp(lines, istext=True).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode("ascii") + body + b"\r\n"


def mailbox(name: str, address: str) -> str:
    """Give `name <address>`, the name quoted or encoded as it needs."""
    if not name:
        return address
    if not name.isascii() or "=?" in name:
        return f"{words(name, used=10, always=True)} <{address}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


def words(text: str, *, used: int, always: bool = False) -> str:
    """Give header text, as encoded words (RFC 2047) where it is not plain ASCII or too long for one line."""
    if not always and text.isascii() and "=?" not in text and len(text) + used <= 78:  # noqa: PLR2004  RFC 5322
        return text
    chunks, chunk = [], b""
    for character in text:
        raw = character.encode("utf-8")
        if len(chunk) + len(raw) > WORD_BYTES:
            chunks.append(chunk)
            chunk = b""
        chunk += raw
    chunks.append(chunk)
    return "\r\n ".join(f"=?utf-8?b?{binascii.b2a_base64(chunk, newline=False).decode()}?=" for chunk in chunks)
