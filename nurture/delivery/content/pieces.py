"""What do all mails of one request share, and what differs? Literal text with numbered holes, and a value for each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Piece = str | int
"""Literal text, or the number of a hole."""


@dataclass(frozen=True)
class Content:
    """Subject and both parts of a mail. HTML and text share no hole: a value is escaped for one of them only."""

    subject: tuple[Piece, ...]
    html: tuple[Piece, ...]
    text: tuple[Piece, ...]

    def __repr__(self) -> str:
        """Say nothing of the text: what was written for one person holds all there is to know."""
        return f"Content({self.sha256[:12]})"

    @classmethod
    def whole(cls, subject: str, html: str, text: str) -> Content:
        """Give a mail written for one person alone: no holes, no values."""
        return cls(tuple(filter(None, (subject,))), tuple(filter(None, (html,))), tuple(filter(None, (text,))))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the three parts with their holes, hexadecimal."""
        listed = [self.subject, self.html, self.text]
        return hashlib.sha256(json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def holes(self) -> int:
        """How many values does it take?"""
        numbers = [piece for part in (self.subject, self.html, self.text) for piece in part if isinstance(piece, int)]
        return max(numbers, default=-1) + 1

    def subject_for(self, values: Sequence[str]) -> str:
        """Write the subject with these values in its holes."""
        return fill(self.subject, values)

    def html_for(self, values: Sequence[str]) -> str:
        """Write the HTML part with these values in its holes."""
        return fill(self.html, values)

    def text_for(self, values: Sequence[str]) -> str:
        """Write the text part with these values in its holes."""
        return fill(self.text, values)


def fill(pieces: Sequence[Piece], values: Sequence[str]) -> str:
    """Join pieces, each hole by its value."""
    return "".join([piece if isinstance(piece, str) else values[piece] for piece in pieces])
