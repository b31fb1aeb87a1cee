"""How do the blocks of a document look without paper? As a plain HTML page that prints well, and as text."""

from __future__ import annotations

import html
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

from nurture.store.pdf import Block, Exact, Facts, Heading, Rows, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WIDTH = 100
NAME_WIDTH = 28
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}h1{font-size:1.6rem}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}"
    "h3{font-size:1rem;margin:1rem 0 .3rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;"
    "border-left:3px solid #999;margin:.4rem 0;padding:.5rem .8rem;font:13px/1.45 ui-monospace,monospace}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ddd;padding:.25rem .6rem .25rem 0;overflow-wrap:anywhere}th{width:16rem;font-weight:600}"
    "@media print{body{margin:0;font-size:11px}pre{font-size:9px}}"
)


def page(title: str, blocks: Iterable[Block], *, language: str) -> str:
    """Give one HTML page: no script, nothing loaded from anywhere."""
    body = "\n".join(part for block in blocks for part in _html(block))
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main><h1>{html.escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def _html(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"<h{level + 1}>{html.escape(text)}</h{level + 1}>"
        case Text(text):
            yield "<p>" + html.escape(text).replace("\n", "<br>") + "</p>"
        case Exact(text):
            # A line break straight behind the tag would be dropped.
            yield f"<pre>\n{html.escape(text)}</pre>"
        case Facts(rows):
            cells = "".join(
                f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
                for name, value in rows
            )
            yield f"<table>{cells}</table>"
        case Rows(columns, rows):
            head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
            cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            yield f"<table><tr>{head}</tr>{cells}</table>"


def plain(title: str, blocks: Iterable[Block]) -> str:
    """Give the document as text."""
    lines = [title, "=" * len(title)]
    for block in blocks:
        lines += _text(block)
    return "\n".join(lines) + "\n"


def _text(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield from ("", text, ("=" if level == 1 else "-") * len(text))
        case Text(text):
            for line in text.split("\n"):
                yield from textwrap.wrap(line, WIDTH) or [""]
        case Exact(text):
            # To the letter: not wrapped, so that it can be copied and hashed.
            yield text
        case Facts(rows):
            for name, value in rows:
                yield f"{name:<{NAME_WIDTH}}  {value}"
        case Rows(columns, rows):
            yield from _side_by_side([columns, *rows])


def _side_by_side(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Set cells in columns, each as wide as its widest cell but no wider than its share; wrap what is longer."""
    share = WIDTH // len(rows[0])
    widths = [min(share, max(map(len, column))) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)
            for cell, width in zip(row, widths, strict=True)
        ]
        for line in zip_longest(*cells, fillvalue=""):
            yield "  ".join(f"{part:<{width}}" for part, width in zip(line, widths, strict=True)).rstrip()
