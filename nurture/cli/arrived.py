"""Did a mail arrive as it must? `nurture check-headers` looks at one that was delivered."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003  Typer reads it when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from nurture.cli.output import Exit, fail, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BYTES = 1 << 20
"""Enough for the headers of any mail."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check-headers")(check_headers)


def check_headers(
    mail: Annotated[Path, typer.Argument(metavar="FILE", help="The mail as it arrived (source, .eml); - for stdin.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell whether a delivered mail lets its receiver unsubscribe by one click (RFC 8058); exit 4 on findings.

    Send yourself a mail by the provider you use, save its source from the mailbox, and look at that: only there shows
    whether both headers are covered by a DKIM signature of your domain.

    Example: nurture check-headers arrived.eml.
    """
    from nurture.delivery import arrived

    try:
        raw = sys.stdin.buffer.read(MOST_BYTES) if str(mail) == "-" else _head(mail)
    except OSError as error:
        fail(f"{mail} cannot be read: {error.strerror}")
    found: Sequence[str] = arrived.findings(raw)
    if json:
        print_json({"findings": list(found)})
    else:
        print(*(found or ["both headers are there, as RFC 8058 asks, and signed"]), sep="\n")
    if found:
        raise typer.Exit(int(Exit.CHECK_FAILED))


def _head(mail: Path) -> bytes:
    with mail.open("rb") as file:
        return file.read(MOST_BYTES)
