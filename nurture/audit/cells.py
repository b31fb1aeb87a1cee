"""How does text reach a spreadsheet without becoming a formula? RFC 4180, every cell quoted, every start looked at.

A spreadsheet may cut a line where we did not: at a semicolon, a tab, a line break inside quotes. So each
piece between those is judged, as the spreadsheet would see it: without leading space, invisible characters
and quotes, full width turned narrow. What would start a formula gets an apostrophe in front.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

from consent import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

BOM = "\ufeff"
"""First character of each file: without it Excel reads UTF-8 as something else."""
CUTS = re.compile(r"([;\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029])")
STARTERS = frozenset("=+-@\u2212")
HARMLESS = re.compile(r"-?\d+([.,]\d+)?|\+[1-9][0-9 ]{5,20}")
"""A plain number, a telephone number: an apostrophe would only spoil them."""


def safe(text: str) -> str:
    """Disarm a text, in each piece that a spreadsheet could take for a cell."""
    return "".join(f"'{piece}" if _starts_formula(piece) else piece for piece in CUTS.split(text))


def _starts_formula(piece: str) -> bool:
    if HARMLESS.fullmatch(piece):
        return False
    for character in piece:
        if character.isspace() or character == '"' or unicodedata.category(character) in {"Cf", "Cc"}:
            continue
        return unicodedata.normalize("NFKC", character)[:1] in STARTERS
    return False


def row(values: Iterable[object], *, separator: str = ",") -> str:
    """Write one line, ended by CR LF. Times become UTC text, None an empty cell, True and False yes and no."""
    return separator.join(f'"{safe(_text(value)).replace(chr(34), chr(34) * 2)}"' for value in values) + "\r\n"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return canonical.utc_text(value) if isinstance(value, datetime) else str(value)
