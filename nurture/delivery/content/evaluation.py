"""Which parts of a mail are the same for everybody? Jinja renders those, with placeholders for the holes between."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from nurture.delivery.content import plaintext
from nurture.delivery.content.context import MARKETING
from nurture.delivery.content.holes import (
    PERSONAL,
    PUBLIC_ID,
    CannotSplitError,
    Code,
    Translator,
    constant,
    join,
    read,
)
from nurture.delivery.content.language import HTML, Sandbox, Track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nurture.delivery.content.pieces import Piece

ADDRESSES = frozenset({"unsubscribe_url", "preferences_url", "open_pixel_url"})
"""Names of the context whose values hold a token."""
GAP = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class Hole:
    """What differs from person to person."""

    code: Code
    part: str
    node: nodes.Node | None
    """The syntax it was; none for a part of a token."""
    mend: Callable[[str], str] | None = None
    """Applied to the value of a paragraph."""


@dataclass(frozen=True)
class Evaluation:
    """Renders the parts of a mail with a placeholder for each hole."""

    translator: Translator
    mark: str
    """Begins each placeholder, and occurs nowhere else."""
    holes: list[Hole] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)
    """Which hole is which, by its identity."""

    @cached_property
    def tokens(self) -> Mapping[str, Hole]:
        """The parts of tokens by their placeholders: letters and digits, so that all parts of a mail may share them."""
        parts = enumerate(self.translator.addresses.parts, start=PUBLIC_ID)
        return {part: Hole(read(place, len(part)), "html", None) for place, part in parts}

    def render(self, source: str, language: Sandbox) -> tuple[str, Mapping[str, Hole]]:
        """Render a part with placeholders, and tell what each stands for."""
        part = "html" if language is HTML else "text"
        translator = replace(self.translator, escaped=language is HTML)
        tree = language.parse(source)
        splitter = _Splitter(translator, self.mark)
        splitter.visit(tree)
        tree.set_environment(language)
        track = Track(translator.index, translator.addresses.link)
        rendered = language.from_string(tree).render({**translator.known, "track": track})
        found = {placeholder: Hole(code, part, node) for placeholder, node, code in splitter.found}
        return rendered, {**found, **self.tokens}

    def tidied(self, rendered: str, found: Mapping[str, Hole]) -> tuple[str, Mapping[str, Hole]]:
        """Mend a text part: at once where it is the same for all, per person the paragraphs that say something of one.

        A token does not make a paragraph personal: all have the same length, so that lines break at the same place.
        """
        personal = {placeholder for placeholder, hole in found.items() if hole.node is not None}
        mended: dict[str, Hole] = {placeholder: found[placeholder] for placeholder in found.keys() - personal}
        paragraphs = [
            (paragraph, any(placeholder in paragraph for placeholder in personal)) for paragraph in GAP.split(rendered)
        ]
        steady = [number for number, (paragraph, varies) in enumerate(paragraphs) if not varies and paragraph.strip()]
        if not any(varies for _, varies in paragraphs):
            return plaintext.render_tidy(rendered), found
        if not steady:
            placeholder = f"{self.mark}p0x"
            return placeholder, {placeholder: self._paragraph(rendered, found, after="\n", always=True)}
        written = []
        for number, (paragraph, varies) in enumerate(paragraphs):
            before, after = ("", "\n\n") if number < steady[0] else ("\n\n" if number > steady[0] else "", "")
            text = plaintext.tidy(paragraph)
            if varies:
                text = f"{self.mark}p{number}x"
                mended[text] = self._paragraph(paragraph, found, before, after)
                written.append(text)
            elif text:
                written.append(before + text)
        return "".join([*written, "\n"]), mended

    def _paragraph(
        self, text: str, found: Mapping[str, Hole], before: str = "", after: str = "", *, always: bool = False
    ) -> Hole:
        parts = [constant(piece) if isinstance(piece, str) else piece.code for piece in split(text, found)]
        blame = next((piece.node for piece in split(text, found) if not isinstance(piece, str) and piece.node), None)

        def mend(written: str) -> str:
            body = plaintext.tidy(written)
            return before + body + after if body or always else ""

        return Hole(join(parts), "text", blame, mend)

    def pieces(self, rendered: str, found: Mapping[str, Hole]) -> tuple[Piece, ...]:
        """Number the holes of a part; each is one hole however often it occurs."""
        pieces: list[Piece] = []
        for piece in split(rendered, found):
            if isinstance(piece, str):
                pieces.append(piece)
                continue
            number = self._numbers.setdefault(id(piece), len(self.holes))
            if number == len(self.holes):
                self.holes.append(piece)
            pieces.append(number)
        return tuple(pieces)


def split(rendered: str, found: Mapping[str, Hole]) -> Iterator[str | Hole]:
    """Give literal text and what stands between."""
    pattern = re.compile("|".join(map(re.escape, found)))
    end = 0
    for match in pattern.finditer(rendered):
        if match.start() > end:
            yield rendered[end : match.start()]
        yield found[match[0]]
        end = match.end()
    if end < len(rendered):
        yield rendered[end:]


class _Splitter(NodeTransformer):
    """Puts a placeholder for each expression and condition that says something of a person."""

    def __init__(self, translator: Translator, mark: str) -> None:
        self._translator = translator
        self._mark = mark
        self._loops: list[str] = []
        self.found: list[tuple[str, nodes.Node, Code]] = []

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802  Jinja's name
        """Swap what is personal; look over what Jinja keeps."""
        node.nodes = [self._hole(part, self._translator.output) if _personal(part) else part for part in node.nodes]
        for part in node.nodes:
            self._refuse_compared_tokens(part)
        return node

    def visit_If(self, node: nodes.If) -> nodes.Node:  # noqa: N802  Jinja's name
        """Swap a condition on a person as a whole; look into any other."""
        tests = [branch.test for branch in (node, *node.elif_)]
        if any(map(_personal, tests)):
            hole = self._hole(node, lambda statement: self._translator.block([statement]))
            return nodes.Output([hole], lineno=node.lineno)
        for test in tests:
            self._refuse_compared_tokens(test)
        return self.generic_visit(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  Jinja's name
        """Keep a loop over what is the same for all."""
        target = node.target.name if isinstance(node.target, nodes.Name) else ""
        if target in MARKETING:
            raise CannotSplitError(f"a loop gives {target} another meaning", node)
        if _names(node.iter) & (PERSONAL | ADDRESSES):
            raise CannotSplitError("a loop runs over personal data", node)
        self._loops.append(target)
        changed = self.generic_visit(node)
        self._loops.pop()
        return changed

    def _hole(self, node: nodes.Node, translate: Callable[[nodes.Node], Code]) -> nodes.TemplateData:
        if _names(node) & set(self._loops):
            raise CannotSplitError("what a loop says depends on the person", node)
        placeholder = next((name for name, known, _ in self.found if known == node), "")
        if not placeholder:
            placeholder = f"{self._mark}h{len(self.found)}x"
            self.found.append((placeholder, node, translate(node)))
        return nodes.TemplateData(placeholder, lineno=node.lineno)

    def _refuse_compared_tokens(self, node: nodes.Node) -> None:
        """Refuse what a token's letters decide; whether an address is there at all is the same for everybody."""
        for compared in [node, *node.find_all(nodes.Compare)]:
            if isinstance(compared, nodes.Compare) and (
                _names(compared) & ADDRESSES or next(compared.find_all(nodes.Call), None)
            ):
                raise CannotSplitError("an address of the message is compared", compared)


def _names(node: nodes.Node) -> set[str]:
    own = {node.name} if isinstance(node, nodes.Name) else set()
    return own | {name.name for name in node.find_all(nodes.Name)}


def _personal(node: nodes.Node) -> bool:
    return bool(_names(node) & PERSONAL)
