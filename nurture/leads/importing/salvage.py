"""Whose address is it, in a cell that cannot be written to but belongs to somebody who said no?

For barring only. Mail goes to no address that is not clean as it stands; a no is not lost for a bracket.
"""

from __future__ import annotations

import re
import unicodedata

from consent.addresses import Address, InvalidAddress
from nurture.leads import hygiene
from nurture.leads.importing.columns import normal

LONGEST = 2000
"""Characters of a cell that are looked at."""
_NAMED = re.compile(r"<([^<>]*)>")
_AROUND = " \t=<>()[]{}\"'`.,;:\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a"
_BETWEEN = re.compile(r"[\s;,|]+")
_NOBODY = {"", "na", "nv", "ka", "none", "null", "keine", "unbekannt", "unknown"}


def addresses(cell: str) -> tuple[Address, ...] | None:
    """Give the addresses of a cell, nothing where it names nobody, None where it cannot be told whom it names.

    Understood are invisible characters, quotation marks, brackets, `mailto:`, a trailing full stop or semicolon,
    `Vera Beispiel <vera@firma.example>` and several addresses in one cell.
    """
    text = "".join(_seen(character) for character in unicodedata.normalize("NFKC", cell[: LONGEST + 1])).strip()
    if normal(text) in _NOBODY and text.isascii() and "@" not in text:
        return ()
    parts = _NAMED.findall(text) or _BETWEEN.split(text)
    found = [_address(part) for part in parts if part.strip(_AROUND)]
    whole = [one for one in found if one is not None]
    # An address outside the brackets would be somebody else, whom this would lose.
    if not whole or len(whole) < len(found) or text.count("@") != len(whole) or len(text) > LONGEST:
        return None
    return tuple(whole)


def _seen(character: str) -> str:
    """Leave out what cannot be seen; a line break or tab parts words."""
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs"} else character


def _address(part: str) -> Address | None:
    text = part.strip(_AROUND)
    if text.lower().startswith("mailto:"):
        text = text[len("mailto:") :].partition("?")[0].strip(_AROUND)
    try:
        return Address.of(hygiene.check(text))
    except (hygiene.BadAddress, InvalidAddress):
        return None
