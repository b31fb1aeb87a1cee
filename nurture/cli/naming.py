"""Who types, and why, as the ledger may hold it? A short name or role, and one word."""

from __future__ import annotations

import getpass
import re
from typing import Annotated

import typer

from nurture.cli.output import Exit, fail

SHORT = re.compile(r"[a-z0-9_.-]{1,32}")
By = Annotated[
    str,
    typer.Option(
        "--by",
        help="Who does it: a short name or role of a-z, 0-9, '.', '_' and '-', kept in lower case; "
        "default is your login name.",
    ),
]


def short(by: str) -> str:
    """Give the short name or role of who types: what was said, else the login name. Ends with usage for a sentence."""
    if not by:
        # A login name is what it is: its letters stay, and what may not enter the ledger is left out.
        return re.sub(r"[^a-z0-9_.-]", "_", _login().lower())[:32] or "unknown"
    if not SHORT.fullmatch(by.lower()):
        fail("--by is a short name or role, such as vera or dpo; no full name, no e-mail address", Exit.USAGE)
    return by.lower()


def _login() -> str:
    """Give the login name: as the environment says, else as the system knows the account; empty where neither does."""
    try:
        return getpass.getuser().strip()
    except (KeyError, OSError, ImportError):
        # An account without a name, as in a container that runs under a bare number.
        return ""


def operator(by: str) -> str:
    """Name who types as an actor."""
    return f"operator:{short(by)}"


def reason(text: str) -> str:
    """Give a reason for the ledger; ends with usage for more than a word."""
    from consent import naming

    if not naming.REASON.fullmatch(text):
        fail("--reason is one word for the ledger, such as request: lower-case letters, _ and -", Exit.USAGE)
    return text
