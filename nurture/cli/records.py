"""`nurture records`: the record of processing activities, as it is configured."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  Typer reads it when it runs
from typing import Annotated

import typer

from nurture.cli.output import fail, note, print_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("records")(records)


def records(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; default: print it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the record of processing activities from settings and policies, German and English.

    It is the one that GDPR asks for in Art. 30.

    Example: nurture records -o records.md.
    """
    from nurture.leads.rights import processing
    from nurture.settings import Settings

    told = processing.record(Settings())
    if json:
        print_json(told)
        return
    text = processing.markdown(told)
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{out.name} cannot be written: {error.strerror}")
    note(f"written: {out}")
