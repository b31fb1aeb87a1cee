"""How does Jinja survive the MJML compiler? Tags are swapped for tokens before and put back after.

Block tags (`{% if %}`) become XML comments that hold a token, expressions (`{{ name }}`) become
words, and inside attributes both become words. So the compiler sees well-formed XML, keeps block
tags where they stand between table rows, and escapes nothing. Restoring fails if a token is lost.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurture.delivery.content import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nurture.delivery.content.source import Source

_INSIDE = r"""(?:"[^"]*"|'[^']*'|[^"'])*?"""
TAG = re.compile(
    rf"(?P<block>\{{%{_INSIDE}%\}})|(?P<expression>\{{\{{{_INSIDE}\}}\}})|(?P<comment>\{{\#.*?\#\}})", re.DOTALL
)
ATTRIBUTES = frozenset({"href", "alt", "title", "aria-label"})
"""Attributes that may hold an expression; nothing of a person belongs in styles, widths or handlers."""


@dataclass(frozen=True)
class Tag:
    """One Jinja tag of a template."""

    token: str
    text: str
    line: int
    block: bool
    attribute: str | None
    """Name of the attribute it stands in, if any."""


@dataclass(frozen=True)
class Protected:
    """A template whose Jinja tags are tokens; well-formed MJML for any engine."""

    source: Source
    text: str
    tags: tuple[Tag, ...]
    pattern: re.Pattern[str]

    def restore(self, compiled: str) -> str:
        """Put the tags back into what an engine made of `text`.

        Raises RefusedError with file and line if a tag is gone, or if block tags outside of attributes
        are not all there exactly once and in their order.
        """
        by_token = {tag.token: tag for tag in self.tags}
        seen = [found[1] or found[2] for found in self.pattern.finditer(compiled)]
        missing = [tag for tag in self.tags if tag.token not in set(seen)]
        if missing:
            raise RefusedError(
                [self.source.finding(tag.line, "lost", f"{tag.text} was lost by the compiler") for tag in missing]
            )
        free = [tag.token for tag in self.tags if tag.block and tag.attribute is None]
        if [token for token in seen if token in set(free)] != free:
            raise self.source.refuse(self.tags[0].line, "order", "the compiler moved or repeated a block tag")
        return self.pattern.sub(lambda found: by_token[found[1] or found[2]].text, compiled)

    def put_back(self, text: str) -> str:
        """Put tags back into a text that holds some of them, without a check (used for the text part)."""
        by_token = {tag.token: tag for tag in self.tags}
        return self.pattern.sub(lambda found: by_token[found[1] or found[2]].text, text)


def protect(source: Source) -> Protected:
    """Swap every Jinja tag for a token, keeping line numbers; Jinja's comments vanish.

    Raises RefusedError for a tag that is not closed or stands where a token cannot.
    """
    salt = hashlib.sha256(source.text.encode()).hexdigest()[:6]
    text = source.text
    place = _Place()
    parts: list[str] = []
    tags: list[Tag] = []
    line, end = 1, 0
    for found in _tags(source, text):
        between = text[end : found.start()]
        parts.append(between)
        place.advance(between)
        line += between.count("\n")
        end = found.end()
        newlines = found[0].count("\n")
        if found["comment"] is not None:
            parts.append("\n" * newlines)
        else:
            tag = Tag(f"nj{salt}x{len(tags)}x", found[0], line, found["block"] is not None, place.attribute)
            _refuse_misplaced(source, tag, place)
            tags.append(tag)
            # Line breaks inside a tag are put behind its token, so that XML errors name the right line.
            bare = tag.attribute is not None or not tag.block
            parts.append((tag.token if bare else f"<!--{tag.token}-->") + ("" if tag.attribute else "\n" * newlines))
        line += newlines
    parts.append(text[end:])
    pattern = re.compile(rf"<!--\s*(nj{salt}x\d+x)\s*-->|(nj{salt}x\d+x)")
    return Protected(source, "".join(parts), tuple(tags), pattern)


def _tags(source: Source, text: str) -> Iterator[re.Match[str]]:
    end = 0
    for found in TAG.finditer(text):
        yield found
        _refuse_stray(source, text, end, found.start())
        end = found.end()
    _refuse_stray(source, text, end, len(text))


def _refuse_stray(source: Source, text: str, start: int, end: int) -> None:
    stray = re.search(r"\{[{%#]", text[start:end])
    if stray is not None:
        raise source.refuse(text.count("\n", 0, start + stray.start()) + 1, "syntax", f"{stray[0]} has no other half")


def _refuse_misplaced(source: Source, tag: Tag, place: _Place) -> None:
    if place.in_tag and tag.attribute is None:
        raise source.refuse(tag.line, "attribute", f"{tag.text} must stand inside a quoted attribute value")
    if tag.attribute is not None and tag.attribute not in ATTRIBUTES:
        raise source.refuse(
            tag.line, "attribute", f"{tag.text} may not stand in {tag.attribute}=; only in href, alt, title"
        )


_NEXT = {mode: re.compile(what) for mode, what in {"text": "<", "tag": "[\"'>]", '"': '"', "'": "'"}.items()}
"""The character that ends each mode of `_Place`."""


class _Place:
    """Where in the XML are we: in text, in a tag, or in which attribute's value?"""

    def __init__(self) -> None:
        self.in_tag = False
        self.quote = ""
        self.attribute: str | None = None
        self._before = ""

    def advance(self, text: str) -> None:
        """Move over text without Jinja; jumps from one character that matters to the next."""
        at = 0
        while at < len(text):
            stop = _NEXT[self._mode()].search(text, at)
            if stop is None:
                self._before += text[at:] if self.in_tag and not self.quote else ""
                return
            self._meet(text[at : stop.start()], stop[0])
            at = stop.end()

    def _mode(self) -> str:
        return self.quote or ("tag" if self.in_tag else "text")

    def _meet(self, passed: str, character: str) -> None:
        if self.quote:
            self.quote, self.attribute, self._before = "", None, ""
        elif not self.in_tag:
            self.in_tag, self._before = True, ""
        elif character == ">":
            self.in_tag = False
        else:
            names = (self._before + passed).rstrip("= \n\t").split()
            self.quote, self.attribute = character, names[-1].lower() if names else ""
