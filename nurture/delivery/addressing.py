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
NAMES = ("first_name", "last_name", "salutation")
BESIDE_LETTERS = frozenset(" .'\u2019-")
"""U+2019 is the apostrophe that phones write."""
IN_COMPANIES = BESIDE_LETTERS | frozenset("&+,()0123456789")
HOST = re.compile(r"\.[^\W\d_]{2}")
"""A dot within a word, as in evil.example: mail programs make a link of it. `J.R. Muster` has none."""


def lead(details: Mapping[str, str]) -> dict[str, str]:
    """Give what a mail may say of its reader: `lead.first_name` and so on; empty for what is unknown or odd."""
    said = {name: _plain(details.get(name, ""), BESIDE_LETTERS, LONGEST_NAME) for name in NAMES}
    return {**said, "company": _plain(details.get("company", ""), IN_COMPANIES, LONGEST_COMPANY)}


def display_name(said: Mapping[str, str]) -> str:
    """Give the name for To from what `lead` gave; none at all when nothing known reads like one."""
    return " ".join(filter(None, (said["first_name"], said["last_name"])))


def _plain(value: str, beside: frozenset[str], longest: int) -> str:
    """Give back a value of letters and a few signs that is not too long and no address of the web; else empty."""
    text = value.strip()
    if text.isalpha() and len(text) <= longest:
        return text  # most names are letters alone; to look at each of them would cost more than the mail
    odd = any(unicodedata.category(one)[0] not in "LM" and one not in beside for one in text)
    return "" if odd or len(text) > longest or HOST.search(text) or "www." in text.lower() else text
