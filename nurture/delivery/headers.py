"""Which text may stand in a mail header? One rule for every provider."""

from __future__ import annotations

import re
import unicodedata

from nurture.delivery.errors import DeliveryError

LONGEST = 200
FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that could end a header, reverse its reading direction, or not be encoded at all."""


ADDRESS = re.compile(r"[!#-'*+\-./0-9=?A-Z^-~]+@[!#-'*+\-./0-9=?A-Z^-~]+")
"""Printable ASCII without what an unquoted address cannot hold: space, quotes, brackets, comma, colon, backslash."""
LONGEST_ADDRESS = 254
"""RFC 5321."""


class UnsafeHeaderError(DeliveryError):
    """A header value holds control characters or is too long."""


def header_text(value: str, *, longest: int = LONGEST) -> str:
    """Give back a value that may stand in a header, or raise UnsafeHeaderError (which does not repeat the value).

    `longest` counts characters.
    """
    if len(value) > longest:
        raise UnsafeHeaderError(f"a header value has {len(value)} characters; at most {longest} are allowed")
    # What Python calls printable holds none of them; asking for each character would cost more than writing the mail.
    if not value.isprintable() and any(unicodedata.category(character) in FORBIDDEN for character in value):
        raise UnsafeHeaderError("a header value holds control characters; remove line breaks and invisible characters")
    return value


def is_single_address(value: str) -> bool:
    """Is this exactly one plain ASCII address, with nothing that a parser could read as a second one?"""
    return len(value) <= LONGEST_ADDRESS and ADDRESS.fullmatch(value) is not None


def list_unsubscribe(url: str, token: str, mailbox: str = "") -> dict[str, str]:
    """Give the two headers of RFC 8058: one https address, and a mailbox where there is one.

    The mail program writes the token into the subject; behind a plus sign of the address it would not fit.
    """
    also = f", <mailto:{mailbox}?subject=unsubscribe%20{token}>" if mailbox else ""
    return {"List-Unsubscribe": f"<{url}>{also}", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
