"""How does a short text carry a signature that anybody can check? Signed notes (C2SP signed-note, Ed25519).

A note is a text, an empty line, and lines "— <name> <base64 of key id and signature>". A key is told apart by
name and a 4-byte id; a public key travels as "<name>+<id>+<base64>" (a verifier key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent import ConsentError

if TYPE_CHECKING:
    from collections.abc import Sequence

ED25519 = b"\x01"
"""Signature type of the only kind of key that is used here."""
DASH = "\u2014 "
ID_BYTES = 4
LONGEST = 1_000_000
"""Bytes of a note that are read at most."""
MOST_SIGNATURES = 100


class NoteError(ConsentError):
    """A note is malformed, or no known key signed it; the message says which."""


class UnknownKeyError(NoteError):
    """A well-formed note that none of the given keys signed."""


@dataclass(frozen=True)
class Verifier:
    """A public key with its name."""

    name: str
    key: bytes
    """32 bytes, RFC 8032."""

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart; no proof of anything."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:ID_BYTES]

    def __str__(self) -> str:
        """Spell the key as one line."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read what `str` gives; raises NoteError."""
        # The base64 may hold a plus sign; name and id may not.
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        key = _base64(encoded)
        if not is_name(name) or key[:1] != ED25519 or len(key) != 1 + 32:
            raise NoteError("this is no verifier key for Ed25519; expected name+id+base64")
        made = cls(name, key[1:])
        if key_id != made.key_id.hex():
            raise NoteError("the id of the verifier key does not belong to it; was it cut or mistyped?")
        return made


def is_name(name: str) -> bool:
    """Tell whether a text may name a key: not empty, no space, no plus sign."""
    return bool(name) and "+" not in name and not any(char.isspace() or ord(char) < 0x20 for char in name)  # noqa: PLR2004  controls


def verifier(name: str, private: Ed25519PrivateKey) -> Verifier:
    """Give the public half of a key."""
    return Verifier(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def sign(text: str, name: str, private: Ed25519PrivateKey) -> str:
    """Sign a text that ends in a newline; give the whole note."""
    if not text.endswith("\n") or not is_name(name):
        raise NoteError("a note's text ends in a newline, and a key's name has neither spaces nor a plus sign")
    signature = private.sign(text.encode())
    line = base64.b64encode(verifier(name, private).key_id + signature).decode()
    return f"{text}\n{DASH}{name} {line}\n"


def open_note(note: str, verifiers: Sequence[Verifier]) -> str:
    """Give the text of a note that at least one of these keys signed.

    Raises UnknownKeyError when none of them did, NoteError for a malformed note or a signature of a known key
    that does not hold.
    """
    text, signatures = split(note)
    known = {(one.name, one.key_id): one for one in verifiers}
    good = False
    for name, key_id, signature in signatures:
        one = known.get((name, key_id))
        if one is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(one.key).verify(signature, text.encode())
        except InvalidSignature:
            raise NoteError(f"the signature of {name} does not hold") from None
        good = True
    if not good:
        raise UnknownKeyError("none of the given keys signed this note")
    return text


def split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Cut a note into its text and (name, key id, signature) of each line, none of them checked; raises NoteError."""
    if len(note) > LONGEST or any(ord(char) < 0x20 and char != "\n" for char in note):  # noqa: PLR2004  controls
        raise NoteError("the note is too long or holds control characters")
    text, gap, rest = note.rpartition("\n\n")
    if not gap or not rest.endswith("\n"):
        raise NoteError("the note has no signatures behind an empty line")
    lines = rest[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteError(f"the note has more than {MOST_SIGNATURES} signatures")
    found = []
    for line in lines:
        name, _, encoded = line.removeprefix(DASH).partition(" ")
        data = _base64(encoded)
        if not line.startswith(DASH) or not is_name(name) or len(data) <= ID_BYTES:
            raise NoteError("a line below the note's empty line is no signature")
        found.append((name, data[:ID_BYTES], data[ID_BYTES:]))
    return text + "\n", found


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("a key or signature is no base64") from None
    # One spelling only: spare bits in the last character would let a changed note pass.
    if base64.b64encode(data).decode() != text:
        raise NoteError("a key or signature is no base64")
    return data
