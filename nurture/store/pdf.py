"""How does a document become a printable PDF? Blocks in, bytes out; the same blocks give the same bytes.

Knows paper and fonts only, nothing of what it prints. Text is data: no mark-up in it has any meaning.
"""

from __future__ import annotations

import io
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FONTS = Path(__file__).resolve().parent / "fonts"
REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"
MARGIN = 18 * mm
FACT_SHARE = 0.3
"""Part of the width that the names of facts take."""
LEAST_BELOW = 30 * mm
PAGE_WORDS = {"de": "Seite {n} von {of}", "en": "Page {n} of {of}"}
BODY = ParagraphStyle("body", fontName=REGULAR, fontSize=8, leading=11)
STRONG = ParagraphStyle("strong", parent=BODY, fontName=BOLD)
EXACT = ParagraphStyle(
    "exact", parent=BODY, fontSize=7, leading=9.5, leftIndent=3 * mm, textColor=colors.HexColor(0x202020)
)
TITLE = ParagraphStyle("title", parent=STRONG, fontSize=16, leading=21, spaceAfter=4 * mm)
SECTION = ParagraphStyle("section", parent=STRONG, fontSize=12, leading=16, spaceBefore=6 * mm, spaceAfter=2 * mm)
PART = ParagraphStyle("part", parent=STRONG, fontSize=9.5, leading=13, spaceBefore=4 * mm, spaceAfter=1.5 * mm)
HEADINGS = {1: SECTION, 2: PART}
LINE = colors.HexColor(0xC8C8C8)
SHADE = colors.HexColor(0xF0F0F0)
PADDING = 3
GRID = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), PADDING),
        ("RIGHTPADDING", (0, 0), (-1, -1), PADDING),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
)
HEADED = TableStyle([("BACKGROUND", (0, 0), (-1, 0), SHADE)], parent=GRID)


@dataclass(frozen=True)
class Heading:
    """A title inside the document: level 1 or 2."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Text:
    """A paragraph; its line breaks stay."""

    text: str


@dataclass(frozen=True)
class Exact:
    """Something quoted to the letter, such as a wording or a leaf."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values, one pair a line."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Rows:
    """A table; its head is repeated on each page."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float] = field(default=())
    """Shares of the width, one a column; empty for equal ones."""


Block = Heading | Text | Exact | Facts | Rows


def write(
    title: str,
    blocks: Iterable[Block],
    *,
    language: str = "de",
    footer: str = "",
    scales: Sequence[float] = (1.0,),
) -> bytes:
    """Give the PDF of a document: A4, page numbers "n of m" and `footer` below, in German or English.

    A scale below 1 shrinks everything. The first of `scales` holds with which all of it fits on one page; where it
    fits with none of them, the first. Nothing is left out without a trace: a character that the font lacks stands as
    its number, [U+4E2D].
    """
    whole = list(blocks)
    made = []
    for scale in scales:
        data, pages = _written(title, whole, language, footer, scale)
        if pages == 1:
            return data
        made.append(data)
    return made[0]


def _written(title: str, blocks: Iterable[Block], language: str, footer: str, scale: float) -> tuple[bytes, int]:
    """Lay a document out; give it, and on how many pages."""
    _load_fonts()
    target = io.BytesIO()
    # Invariant: no time of making and no random id, so that two runs can be compared.
    paper = SimpleDocTemplate(
        target,
        pagesize=(A4[0] / scale, A4[1] / scale),
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=title,
        author="",
        lang=language,
        invariant=1,
    )
    story = [Paragraph(_inline(title), TITLE)]
    for block in blocks:
        story += _flow(block, A4[0] / scale - 2 * MARGIN)
    words = PAGE_WORDS[language]

    def canvas(*args: Any, **kwargs: Any) -> Canvas:  # noqa: ANN401  reportlab hands over what it likes
        return _Numbered(*args, words=words, footer=legible(footer), scale=scale, **kwargs)

    paper.build(story, canvasmaker=canvas)
    return target.getvalue(), paper.page


def legible(text: str) -> str:
    """Give text as the page can show it: controls as spaces, what the font lacks as [U+4E2D]."""
    return "".join(_shown(character) for character in unicodedata.normalize("NFC", text))


def _shown(character: str) -> str:
    if character == "\n":
        return character
    if unicodedata.category(character) in {"Cc", "Zl", "Zp"}:
        return " "
    return character if ord(character) in _glyphs() else f"[U+{ord(character):04X}]"


def _inline(text: str) -> str:
    """Turn data into what Paragraph reads: it would take angle brackets for mark-up."""
    return escape(legible(text)).replace("\n", "<br/>")


def _flow(block: Block, width: float) -> list[Any]:
    match block:
        case Heading(text, level):
            # No title at the foot of a page without anything below it.
            return [CondPageBreak(LEAST_BELOW), Paragraph(_inline(text), HEADINGS[level])]
        case Text(text):
            return [Paragraph(_inline(text), BODY), Spacer(1, 2 * mm)]
        case Exact(text):
            return [Paragraph(_inline(text), EXACT), Spacer(1, 2 * mm)]
        case Facts(rows):
            cells = [[Paragraph(_inline(name), BODY), Paragraph(_inline(value), BODY)] for name, value in rows]
            return _table(cells, [FACT_SHARE, 1 - FACT_SHARE], GRID, heads=0, width=width)
        case Rows(columns, rows, widths):
            head = [Paragraph(_inline(name), STRONG) for name in columns]
            cells = [head, *([Paragraph(_inline(value), BODY) for value in row] for row in rows)]
            shares = _no_broken_head(columns, widths or [1.0] * len(columns), width)
            return _table(cells, shares, HEADED, heads=1, width=width)


def _no_broken_head(columns: Sequence[str], shares: Sequence[float], width: float) -> Sequence[float]:
    """Widen columns whose head has a word that would not fit on a line, and take it from the others.

    Where all together are too wide the shares stay, and words break.
    """
    needs = [max((_width(word) for word in legible(name).split()), default=0) + 2 * PADDING for name in columns]
    fixed: set[int] = set()
    while True:
        rest = width - sum(needs[place] for place in fixed)
        free = [place for place in range(len(columns)) if place not in fixed]
        if not free or rest <= 0:
            return shares
        unit = rest / sum(shares[place] for place in free)
        tight = {place for place in free if shares[place] * unit < needs[place]}
        if not tight:
            return [needs[place] if place in fixed else shares[place] * unit for place in range(len(columns))]
        fixed |= tight


def _width(word: str) -> float:
    # A hair more: the layout adds up the same widths in another order.
    return float(pdfmetrics.stringWidth(word, STRONG.fontName, STRONG.fontSize)) + 0.1


def _table(
    cells: list[list[Paragraph]], shares: Sequence[float], style: TableStyle, *, heads: int, width: float
) -> list[Any]:
    if not cells:
        return []
    whole = sum(shares)
    widths = [width * share / whole for share in shares]
    # A cell may be longer than a page: then its row is split.
    return [LongTable(cells, colWidths=widths, repeatRows=heads, splitInRow=1, style=style), Spacer(1, 2 * mm)]


@cache
def _load_fonts() -> None:
    pdfmetrics.registerFont(TTFont(REGULAR, str(FONTS / f"{REGULAR}.ttf")))
    pdfmetrics.registerFont(TTFont(BOLD, str(FONTS / f"{BOLD}.ttf")))


@cache
def _glyphs() -> frozenset[int]:
    """Which characters can both fonts show?"""
    _load_fonts()
    return frozenset.intersection(*(frozenset(pdfmetrics.getFont(name).face.charToGlyph) for name in (REGULAR, BOLD)))


class _Numbered(Canvas):  # type: ignore[misc]  # reportlab has no types
    """Writes the foot of each page when the number of pages is known."""

    def __init__(self, *args: Any, words: str, footer: str, scale: float, **kwargs: Any) -> None:  # noqa: ANN401
        self._scale = scale
        super().__init__(*args, **kwargs)
        self._words, self._footer = words, footer
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  reportlab's name
        """Put the page aside."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Finish every page, then the file."""
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self.setFont(REGULAR, 7)
            self.drawString(MARGIN, MARGIN / 2, self._footer)
            self.drawRightString(
                A4[0] / self._scale - MARGIN, MARGIN / 2, self._words.format(n=number, of=len(self._pages))
            )
            if self._scale != 1:
                # Laid out on a larger page, printed on this one.
                self.setPageSize(A4)
                self._code.insert(0, f"{self._scale} 0 0 {self._scale} 0 0 cm")
            super().showPage()
        super().save()
