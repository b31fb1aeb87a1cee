"""How is the state of the whole ledger written on a piece of paper? Checkpoints and proofs as C2SP spells them.

A checkpoint is a signed note of origin, number of entries and root (tlog-checkpoint). A proof says that one entry
stands in the tree of a checkpoint (tlog-proof). Texts only: no database, no key.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from consent import ConsentError, notes
from consent.merkle import HASH_BYTES

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
LONGEST_PROOF = 64
"""Hashes; a tree of 2^64 entries needs no more."""


class FormatError(ConsentError):
    """A text is no checkpoint or no proof; the message says what is missing."""


@dataclass(frozen=True)
class TreeHead:
    """What a checkpoint says."""

    origin: str
    """Name of this one ledger; also the name of the key that signs."""
    size: int
    root: bytes

    def __str__(self) -> str:
        """Spell it as the text of a note."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> TreeHead:
        """Read the text of a note; raises FormatError. Extension lines are passed over."""
        lines = text.split("\n")
        if len(lines) < 4 or not notes.is_name(lines[0]):  # noqa: PLR2004  three lines and the last newline
            raise FormatError("a checkpoint has three lines: origin, number of entries, root")
        return cls(lines[0], _number(lines[1]), _hash(lines[2]))


@dataclass(frozen=True)
class Proof:
    """What a .tlog-proof file says."""

    index: int
    """Number of the entry."""
    hashes: tuple[bytes, ...]
    """From the entry's neighbour up to the root's child."""
    note: str
    """The checkpoint, as it was signed."""

    def __str__(self) -> str:
        """Spell it as a file."""
        listed = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.hashes)
        return f"{PROOF_HEADER}\nindex {self.index}\n{listed}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read a file; raises FormatError. Extra data is passed over: nothing vouches for it."""
        head, gap, note = text.partition("\n\n")
        lines = head.split("\n")
        if len(lines) > 1 and lines[1].startswith("extra "):
            del lines[1]
        if not gap or len(lines) < 2 or lines[0] != PROOF_HEADER or not lines[1].startswith("index "):  # noqa: PLR2004  header, index
            raise FormatError(f"a proof begins with {PROOF_HEADER} and the entry's index, then a checkpoint")
        if len(lines) - 2 > LONGEST_PROOF:
            raise FormatError("a proof holds more hashes than any tree needs")
        return cls(_number(lines[1].removeprefix("index ")), tuple(_hash(line) for line in lines[2:]), note)


def _number(text: str) -> int:
    """Read a decimal number in its one spelling."""
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or str(int(text)) != text:  # noqa: PLR2004  2^64
        raise FormatError("a number of entries is no plain decimal number")
    return int(text)


def _hash(text: str) -> bytes:
    """Read a hash in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("a hash is no base64 of 32 bytes") from None
    if len(data) != HASH_BYTES or base64.b64encode(data).decode() != text:
        raise FormatError("a hash is no base64 of 32 bytes")
    return data
