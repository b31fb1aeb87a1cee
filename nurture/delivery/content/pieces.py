"""What do all mails of one request share, and what differs? Literal text with numbered holes, and a value for each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Form = Callable[[Sequence[str]], str]

Piece = str | int
"""Literal text, or the number of a hole."""


@dataclass(frozen=True)
class Content:
    """Subject, both parts and headers of a mail.

    A value is escaped for one part only, so that HTML, text and subject share no hole but those of tokens, which are
    letters and digits.
    """

    subject: tuple[Piece, ...]
    html: tuple[Piece, ...]
    text: tuple[Piece, ...]
    headers: tuple[tuple[str, tuple[Piece, ...]], ...] = ()
    """Further ones, such as List-Unsubscribe."""

    def __repr__(self) -> str:
        """Say nothing of the text: what was written for one person holds all there is to know."""
        return f"Content({self.sha256[:12]})"

    @classmethod
    def whole(cls, subject: str, html: str, text: str, headers: Mapping[str, str] | None = None) -> Content:
        """Give a mail written for one person alone: no holes, no values."""
        named = tuple((name, (value,)) for name, value in (headers or {}).items())
        return cls(tuple(filter(None, (subject,))), tuple(filter(None, (html,))), tuple(filter(None, (text,))), named)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the three parts with their holes, hexadecimal."""
        listed = [self.subject, self.html, self.text]
        return hashlib.sha256(json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def holes(self) -> int:
        """How many values does it take?"""
        parts = (self.subject, self.html, self.text, *(pieces for _, pieces in self.headers))
        return max([piece for part in parts for piece in part if isinstance(piece, int)], default=-1) + 1

    @cached_property
    def subject_for(self) -> Form:
        """Writes the subject with these values in its holes."""
        return form(self.subject)

    @cached_property
    def html_for(self) -> Form:
        """Writes the HTML part with these values in its holes."""
        return form(self.html)

    @cached_property
    def text_for(self) -> Form:
        """Writes the text part with these values in its holes."""
        return form(self.text)

    @cached_property
    def header_forms(self) -> Mapping[str, Form]:
        """Write each header with these values in its holes."""
        return {name: form(pieces) for name, pieces in self.headers}

    @cached_property
    def all_headers_for(self) -> Form:
        """Writes names and values of all headers as one text, to look at them at once."""
        return form([piece for name, pieces in self.headers for piece in (name, *pieces)])


def form(pieces: Sequence[Piece]) -> Form:
    """Give what joins pieces, each hole by its value."""
    holes = [piece for piece in pieces if isinstance(piece, int)]
    if not holes:
        whole = "".join(map(str, pieces))
        return lambda _: whole
    text = "".join([piece.replace("%", "%%") if isinstance(piece, str) else "%s" for piece in pieces])
    chosen = itemgetter(*holes)
    return lambda values: text % chosen(values)
