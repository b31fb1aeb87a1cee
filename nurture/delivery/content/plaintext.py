"""How does a mail read without HTML? A walk over the MJML tree writes it, once, at build."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

WIDTH = 76
GAPS = re.compile(r"\n{3,}")
RULE = "-" * 40
BULLET = "- "
SILENT = frozenset({"mj-head", "mj-image", "mj-raw", "mj-spacer", "mj-style", "mj-navbar", "mj-social"})
BLOCKS = frozenset({"p", "div", "h1", "h2", "h3", "ul", "ol", "li", "table", "tr", "blockquote"})


def write(root: Element) -> str:
    """Write the text part; block tokens stay, as comments of their own."""
    paragraphs = [part for element in root for part in _component(element)]
    return "\n\n".join(part for part in paragraphs if part.strip()) + "\n"


def render_tidy(text: str) -> str:
    """Mend what conditions left in a rendered text: gaps of more than one empty line, and lines that are too long."""
    return tidy(text) + "\n"


def tidy(text: str) -> str:
    r"""Mend some paragraphs, without a line break at the end.

    What an empty line parts is mended apart: `tidy(a + "\n\n" + b)` is `tidy(a)` and `tidy(b)` with an empty line
    between them if neither is empty. So only the paragraphs that say something of a person are mended per person.
    """
    if len(text) <= WIDTH and text.isprintable():
        return text.rstrip()  # one short line, as most paragraphs with a name in them are
    lines = [line.rstrip() if len(line) <= WIDTH else _fill(line) for line in text.splitlines()]
    if len(lines) == 1:
        return lines[0]
    return GAPS.sub("\n\n", "\n".join(lines)).strip("\n")


def _component(element: Element) -> Iterator[str]:
    if not isinstance(element.tag, str):
        yield f"<!--{element.text}-->"
    elif element.tag in SILENT or "no-text" in element.get("css-class", "").split():
        return
    elif element.tag == "mj-text":
        yield from _paragraphs(_inline(element))
    elif element.tag == "mj-button":
        yield f"{_squeeze(_inline(element))}:\n{element.get('href', '')}"
    elif element.tag == "mj-divider":
        yield RULE
    elif element.tag == "mj-table":
        yield _table(element)
    else:
        for child in element:
            yield from _component(child)


def _table(table: Element) -> str:
    parts: list[str] = []
    for row in table:
        if not isinstance(row.tag, str):
            parts.append(f"<!--{row.text}-->")
            continue
        cells = [_inline(cell) for cell in row]
        parts.append((_numbered(cells) or _fill(" | ".join(filter(None, map(_squeeze, cells))), "  ")) + "\n")
    return "".join(parts).rstrip("\n")


def _numbered(cells: list[str]) -> str:
    """Write a row that begins with its number like an item of a list; give nothing for other rows."""
    if len(cells) != 2 or not cells[0].strip().isdigit():  # noqa: PLR2004  number and text
        return ""
    head, *rest = (_squeeze(line) for line in cells[1].split("\n"))
    mark = f"{cells[0].strip()}. "
    indent = " " * len(mark)
    return "\n".join([_fill(mark + head, indent), *(_fill(indent + line, indent) for line in rest)])


def _inline(element: Element) -> str:
    """Text of an element; a NUL marks a paragraph's edge, a line break a `<br/>`."""
    parts = [_flat(element.text)]
    for child in element:
        if not isinstance(child.tag, str):
            parts.append(f"<!--{child.text}-->")
        elif child.tag == "br":
            parts.append("\n")
        elif child.tag == "a":
            parts.append(_link(child))
        elif child.tag == "li":
            parts.append(f"\0{BULLET}{_inline(child).strip()}\0")
        elif child.tag in BLOCKS:
            parts.append(f"\0{_inline(child)}\0")
        else:
            parts.append(_inline(child))
        parts.append(_flat(child.tail))
    return "".join(parts)


def _link(anchor: Element) -> str:
    label, address = _squeeze(_inline(anchor)), anchor.get("href", "")
    return address if not label or label == address else f"{label} <{address}>"


def _flat(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\0", " ")).strip()


def _paragraphs(text: str) -> Iterator[str]:
    bullets: list[str] = []
    for paragraph in text.split("\0"):
        if not paragraph.strip():
            continue
        if paragraph.startswith(BULLET):
            bullets.append(_wrapped(paragraph, indent="  "))
            continue
        if bullets:
            yield "\n".join(bullets)
            bullets = []
        yield _wrapped(paragraph)
    if bullets:
        yield "\n".join(bullets)


def _wrapped(paragraph: str, indent: str = "") -> str:
    lines = [_squeeze(line) for line in paragraph.strip("\n ").split("\n")]
    if "<!--" in paragraph:
        # Only one branch of a condition is shown, so its length is unknown and it stays in one line.
        return "\n".join(line for line in lines if line)
    return "\n".join(_fill(line, indent) for line in lines if line)


def _fill(line: str, indent: str = "") -> str:
    """Break a long line at spaces; addresses stay whole. Written by hand, as it runs for each person."""
    lines = []
    before, room, at = "", WIDTH, 0
    begin = len(line) - len(line.lstrip(" "))
    while len(line) - at > room:
        cut = line.rfind(" ", begin, at + room + 1)
        if cut < 0:
            cut = line.find(" ", max(begin, at + room))
            if cut < 0:
                break
        lines.append(before + line[at:cut].rstrip())
        while cut < len(line) and line[cut] == " ":
            cut += 1
        before, room, at, begin = indent, WIDTH - len(indent), cut, cut
    if rest := line[at:].rstrip():
        lines.append(before + rest)
    return "\n".join(lines)
