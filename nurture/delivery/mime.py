"""How does a message look on the wire? RFC 5322 with a text and an HTML part, in bytes.

What all mails of a request share is encoded once; for each mail only its values are. In quoted-printable a
soft line break on either side keeps a value's length from moving what stands around it. `EmailMessage` takes
a hundred times as long; a test reads the result back with the `email` package.
"""

from __future__ import annotations

import binascii
import re
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from nurture.delivery.content.pieces import Content, Piece
    from nurture.delivery.provider import Outgoing, Sender

    Sign = Callable[[Mapping[str, str], bytes], str]
    """Takes the headers and the body of a mail, gives a header line to stand above them."""

CONTINUES, CONTINUED = 0b11000000, 0b10000000
"""What tells a byte of UTF-8 within a character."""
WORD_BYTES = 42
"""Bytes in one encoded word: 56 characters of base64 and 12 around them stay below the 75 of RFC 2047."""
SOFT_BREAK = b"=\r\n"
SHORT = 75
"""Characters of a line that leave room for the sign of a soft break: 76 in all (RFC 2045)."""
PLAIN = re.compile("[ -<>-~]*")
"""What quoted-printable leaves as it is, but for a space at the end of a line."""
OVERLONG = re.compile(rb"^([^\n]{74,})(=20|=09)$", re.MULTILINE)
DOTS = re.compile(rb"^\.+", re.MULTILINE)
BOUNDARY = -1
"""The hole that the boundary fills."""
Encoded = tuple[bytes | int, ...]


def message_id(sender: Sender, public_id: str) -> str:
    """Give the Message-ID of a message: the same for each attempt, so that receivers drop a second copy."""
    return f"<{public_id}@{sender.domain}>"


def encode(sender: Sender, message: Outgoing, sign: Sign | None = None) -> bytes:
    """Give the whole mail, lines ended by CR LF, none of which begins with a dot.

    The message must have no fault (`fault_of`).
    """
    # Random, and `=_` never occurs in quoted-printable: no value can end a part.
    boundary = f"=_{message.public_id}"
    headers = {
        "Date": _date(message.at),
        "From": mailbox(sender.name, sender.address),
        "To": mailbox(message.to_name, message.to_address),
        "Subject": words(message.subject, used=len("Subject: ")),
        "Message-ID": message_id(sender, message.public_id),
        **message.headers,
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="{boundary}"',
    }
    body = _body(message.content, message.values, boundary.encode("ascii"))
    head = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) + "\r\n"
    return ((sign(headers, body) if sign else "") + head).encode("ascii") + body


@lru_cache(maxsize=16)
def _date(at: datetime) -> str:
    return format_datetime(at)


def _body(content: Content, values: Sequence[str], boundary: bytes) -> bytes:
    """Give both parts between their boundaries."""
    # What was written for one person alone is not kept: it is theirs, and nobody gets it again.
    pieces = _skeleton(content) if content.holes else None
    if pieces is None or any("\r" in value for value in values):
        # It may belong to a line feed beyond the edge of its piece: seen only where both stand in one text.
        pieces, values = _encoded((content.text_for(values),), (content.html_for(values),)), ()
    filled = [*map(_quoted, values), boundary]
    return b"".join([piece if isinstance(piece, bytes) else filled[piece] for piece in pieces])


@lru_cache(maxsize=64)
def _skeleton(content: Content) -> Encoded | None:
    """Give the encoded parts of a content, with its holes; None where a line's end may be torn by a hole."""
    torn = any(isinstance(piece, str) and piece.endswith("\r") for piece in (*content.text, *content.html))
    return None if torn else _encoded(content.text, content.html)


def _encoded(text: Sequence[Piece], html: Sequence[Piece]) -> Encoded:
    pieces: list[bytes | int] = []
    for kind, part in (("plain", text), ("html", html)):
        head = f"\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        pieces += [b"--", BOUNDARY, head.encode("ascii"), *_isolated(part), b"\r\n"]
    return tuple(_joined([*pieces, b"--", BOUNDARY, b"--\r\n"]))


def _isolated(pieces: Sequence[Piece]) -> Iterator[bytes | int]:
    """Encode the literal pieces, with a soft line break wherever one ends."""
    for number, piece in enumerate(pieces):
        if number:
            yield SOFT_BREAK
        yield piece if isinstance(piece, int) else _quoted(piece)


def _joined(pieces: Sequence[bytes | int]) -> Iterator[bytes | int]:
    """Put neighbours together, so that a mail is joined of as few pieces as can be."""
    literal = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            literal += piece
            continue
        yield literal
        yield piece
        literal = b""
    yield literal


def _quoted(text: str) -> bytes:
    """Give text in quoted-printable, no line longer than `SHORT`, unless a soft break ends it: one may follow the last.

    It begins a line. No line begins with a dot: what goes out by SMTP need not be looked through for one that ends it.
    """
    if len(text) <= SHORT and text[:1] != "." and text[-1:] != " " and PLAIN.fullmatch(text):
        return text.encode("ascii")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    quoted = binascii.b2a_qp(text.encode("utf-8"), istext=True)
    if b"=20\n" in quoted or b"=09\n" in quoted:
        # It encodes white space before a line's end without looking how long the line becomes.
        quoted = OVERLONG.sub(rb"\1=\n\2", quoted)
    if len(quoted) - quoted.rfind(b"\n") - 1 > SHORT:
        # Its last line may be as long as a line with a soft break. None parts an encoded byte.
        last = 3 if quoted[-3:-2] == b"=" else 1
        quoted = quoted[:-last] + b"=\n" + quoted[-last:]
    if b"\n." in quoted or quoted[:1] == b".":
        quoted = DOTS.sub(lambda dots: b"=2E=\n" * len(dots[0]), quoted)
    return quoted.replace(b"\n", b"\r\n")


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
    return "\r\n ".join(f"=?utf-8?b?{binascii.b2a_base64(chunk, newline=False).decode()}?=" for chunk in _chunks(text))


def _chunks(text: str) -> Iterator[bytes]:
    """Cut text into what an encoded word may hold, no character in two."""
    whole = text.encode("utf-8")
    while len(whole) > WORD_BYTES:
        end = WORD_BYTES
        while whole[end] & CONTINUES == CONTINUED:
            end -= 1
        yield whole[:end]
        whole = whole[end:]
    yield whole
