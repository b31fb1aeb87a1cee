"""How is personal data kept so that losing a key erases it? AES-256-GCM, bound to its place.

The associated data names table, column and row, so that a sealed value moved to another row, or
into another column, does not open. A leading byte names the form, so that keys can be rotated.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent import ConsentError

KEY_BYTES = 32
NONCE_BYTES = 12
FORM = b"\x01"
"""First byte of everything sealed: form 1 is nonce || ciphertext || tag."""
BODY = 1 + NONCE_BYTES
"""Where the ciphertext begins."""
SHORTEST = BODY + 16
"""Bytes of nothing, sealed: its tag has 16."""


class SealError(ConsentError):
    """A sealed value does not open: another key, another place, or changed bytes."""


def new_key() -> bytes:
    """Give 32 fresh random bytes."""
    return os.urandom(KEY_BYTES)


def place(table: str, column: str, row: object) -> bytes:
    """Name where a sealed value stands; goes in as associated data."""
    return f"{table}|{column}|{row}".encode()


class Sealer:
    """A 32-byte key ready for many values: setting the cipher up costs twice what sealing a name does."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """Set the cipher up."""
        self._cipher = AESGCM(key)

    def seal(self, plaintext: bytes, *, aad: bytes) -> bytes:
        """Seal bytes, bound to `aad`. Two calls never give the same bytes."""
        nonce = os.urandom(NONCE_BYTES)
        return FORM + nonce + self._cipher.encrypt(nonce, plaintext, aad)

    def unseal(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Open what `seal` made; raises SealError."""
        if sealed[:1] != FORM or len(sealed) < SHORTEST:
            raise SealError("a sealed value has an unknown form; is the database older or newer than this program?")
        try:
            return self._cipher.decrypt(sealed[1:BODY], sealed[BODY:], aad)
        except InvalidTag:
            raise SealError("a sealed value does not open; is keys.json the one this database was made with?") from None


def seal(key: bytes, plaintext: bytes, *, aad: bytes) -> bytes:
    """Seal bytes under a 32-byte key, bound to `aad`. Two calls never give the same bytes."""
    return Sealer(key).seal(plaintext, aad=aad)


def unseal(key: bytes, sealed: bytes, *, aad: bytes) -> bytes:
    """Open what `seal` made; raises SealError."""
    return Sealer(key).unseal(sealed, aad=aad)
