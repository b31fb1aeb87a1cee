"""How does a link name a message or a request without anyone guessing, forging or reusing it?

A token is an id followed by 16 bytes of MAC bound to one purpose: a click token is no unsubscribe
token. It is compared as the one text that `issue` would give, so no second spelling is accepted.

A mail holds four of them. They are cut from one MAC of 64 bytes, so that signing a mail costs one MAC and
not one for each of its links; knowing one of the parts tells nothing of the others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consent.keys import Keyring

ID_LENGTH = 26
"""Characters of a random id: 128 bits in lower-case base32."""
IN_MAILS = ("click", "open", "unsubscribe", "preferences")
"""Purposes of the tokens that a mail holds, in the order of their parts."""
MAC_LENGTH = 26
MAC_LENGTH_IN_MAILS = 32
"""Hexadecimal: spelling base32 costs more than the MAC."""
ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
ANY_FIVE_BITS = ALPHABET * 8
LAST_THREE_BITS = ALPHABET[::4] * 32
"""What the last character of 128 bits can be: its two lowest bits are padding."""


def random_id() -> str:
    """Give 128 random bits as 26 characters a-z2-7; says nothing about anybody."""
    return _base32(os.urandom(16))


def random_ids(count: int) -> list[str]:
    """Give so many ids as of random_id, drawn at once: for those who need thousands."""
    # 25 characters of 5 bits and one of 3; a random byte modulo 32 or 8 is as even as the byte.
    head, tail = os.urandom(25 * count).translate(ANY_FIVE_BITS).decode(), os.urandom(count).translate(LAST_THREE_BITS)
    return [head[25 * n : 25 * n + 25] + last for n, last in enumerate(tail.decode())]


def issue(keyring: Keyring, purpose: str, public_id: str) -> str:
    """Give the URL-safe token that names `public_id` for one purpose, such as "click"."""
    return public_id + next(_spelt(keyring, purpose, public_id))


def parts_for_mail(keyring: Keyring, public_id: str) -> tuple[str, str, str, str, str]:
    """Give the id, then the MAC for each purpose of `IN_MAILS`: behind the id it is the token that `issue` gives."""
    mac = keyring.mail_mac(public_id)
    return public_id, mac[:32], mac[32:64], mac[64:96], mac[96:]


def _spelt(keyring: Keyring, purpose: str, public_id: str) -> Iterator[str]:
    """Give the MAC behind the id under every version of the key, the newest first."""
    if purpose in IN_MAILS:
        start = IN_MAILS.index(purpose) * MAC_LENGTH_IN_MAILS
        return (mac[start : start + MAC_LENGTH_IN_MAILS] for mac in keyring.mail_macs(public_id))
    return (_base32(mac) for mac in keyring.macs(f"token:{purpose}", public_id.encode()))


def read(keyring: Keyring, purpose: str, token: str) -> str | None:
    """Give the id in a token, or None unless it is exactly what `issue` gave for this purpose.

    Takes the same time for every token of the same length.
    """
    public_id = token[: -(MAC_LENGTH_IN_MAILS if purpose in IN_MAILS else MAC_LENGTH)]
    if not public_id or not token.isascii():
        return None
    # Every version is compared, whichever fits: the time tells nothing.
    good = False
    for mac in _spelt(keyring, purpose, public_id):
        good |= hmac.compare_digest((public_id + mac).encode(), token.encode())
    return public_id if good else None


def fingerprint(token: str) -> bytes:
    """Give the SHA-256 that stands for a token in the database; the token itself does not."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _base32(data: bytes) -> str:
    """Spell bytes in lower-case base32 without padding."""
    return base64.b32encode(data).decode().rstrip("=").lower()
