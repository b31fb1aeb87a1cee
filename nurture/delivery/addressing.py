"""How is somebody addressed in a mail? By a name only where it reads like one.

Anybody can type anything into a form about somebody else, and our mails are signed: what stands in a
greeting, in the To line or in a sentence of a template must not be able to say something of its own.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_NAME = 40
LONGEST_COMPANY = 60
"""Characters."""
BESIDE_LETTERS = frozenset(" .'\u2019-")
"""U+2019 is the apostrophe that phones write."""
IN_COMPANIES = BESIDE_LETTERS | frozenset("&+,()0123456789")
FIELDS = (
    ("first_name", BESIDE_LETTERS, LONGEST_NAME),
    ("last_name", BESIDE_LETTERS, LONGEST_NAME),
    ("salutation", BESIDE_LETTERS, LONGEST_NAME),
    ("company", IN_COMPANIES, LONGEST_COMPANY),
)
"""What a mail may say of its reader, and what may stand in it."""
LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
HOST = re.compile(r"\.[^\W\d_]{2}")
"""A dot within a word, as in evil.example: mail programs make a link of it. `J.R. Muster` has none."""


def lead(details: Mapping[str, str]) -> dict[str, str]:
    """Give what a mail may say of its reader: `lead.first_name` and so on; empty for what is unknown or odd."""
    said = {}
    for name, beside, longest in FIELDS:
        value = details.get(name, "")
        # Most names are letters alone.
        said[name] = value if value.isalpha() and len(value) <= longest else _plain(value.strip(), beside, longest)
    return said


def display_name(said: Mapping[str, str]) -> str:
    """Give the name for To from what `lead` gave; none at all when nothing known reads like one."""
    first, last = said["first_name"], said["last_name"]
    return f"{first} {last}" if first and last else first or last


def _plain(text: str, beside: frozenset[str], longest: int) -> str:
    """Give back a text of letters and a few signs that is not too long and no address of the web; else empty."""
    if len(text) > longest:
        return ""
    # To look at each character would cost more than the mail.
    if not USUAL[beside].fullmatch(text) and any(_odd(one, beside) for one in text):
        return ""
    return "" if "." in text and (HOST.search(text) or "www." in text.lower()) else text


def _odd(character: str, beside: frozenset[str]) -> bool:
    return unicodedata.category(character)[0] not in "LM" and character not in beside


USUAL = {beside: re.compile(f"[{LATIN}{re.escape(''.join(beside))}]*") for beside in (BESIDE_LETTERS, IN_COMPANIES)}
"""What is not odd in most of Europe."""
