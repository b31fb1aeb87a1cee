"""How does the command line speak? Results on stdout, everything else on stderr, never personal data."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


PIPE_WIDTH = 180


class Exit(int, Enum):
    """What a verb's end means to a script."""

    FINE = 0
    ERROR = 1
    CHANGES = 2
    """`plan` found changes."""
    BLOCKED = 3
    """Consent or policy forbids it."""
    CHECK_FAILED = 4
    USAGE = 64


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_json(value: object) -> None:
    """Print one JSON document, readable and in stable order of keys."""
    print(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """Say something that is not the result (stderr)."""
    print(text, file=sys.stderr, flush=True)


def fail(message: str, code: int = Exit.ERROR) -> NoReturn:
    """Stop the verb: what, where, remedy; no personal data."""
    note(f"nurture: {message}")
    raise typer.Exit(int(code))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table on stdout, plain where stdout is no terminal."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    # In a pipe there is no width to respect, and a shortened id is of no use.
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(shown)


def moment(text: str | None) -> datetime:
    """Read a time argument (ISO 8601; without a zone it is UTC); without one give the present, UTC."""
    from datetime import UTC

    from nurture.clock import now

    if text is None:
        return now()
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no time; write 2026-11-23T09:00+01:00 or 2026-11-23", Exit.USAGE)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def happened(text: str | None) -> datetime:
    """Read the time of what is written down as done; a time to come is refused.

    An entry of tomorrow would outlast every later word of the person, and bar the address until then.
    """
    from nurture.clock import now

    read = moment(text)
    if text is not None and read > now():
        fail(f"{text} lies ahead; give the time it happened (without a zone it is UTC)", Exit.USAGE)
    return read
