"""What can be typed when a person asks? Take their record out, restrict, erase, merge; who waits for an answer."""

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003  Typer reads it when it runs
from typing import Annotated

import typer

from nurture.cli.output import moment, print_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LeadNumber = Annotated[int, typer.Argument(metavar="LEAD", help="Its number.")]
At = Annotated[str | None, typer.Option(help="Time it happened, ISO 8601; default is now.")]
By = Annotated[str, typer.Option("--by", help="Who does it; default is your login name. No e-mail address.")]
LONGEST_ACTOR = 64


def add_verbs(verbs: typer.Typer) -> None:
    """Add the verbs of `nurture lead` that serve a person's rights."""
    verbs.command("export")(export)


def export(
    lead: LeadNumber,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder; default: exports in the home folder.")
    ] = None,
    by: By = "",
    at: At = None,
    json: Json = False,
) -> None:
    """Write everything stored about a person: one JSON file and one PDF that agree (GDPR Art. 15, 20).

    The export itself is entered in the ledger. Example: nurture lead export 42 -o /media/stick.
    """
    from nurture.leads.rights import exporting, group
    from nurture.store.workspace import open_workspace

    when = moment(at)
    with open_workspace() as workspace:
        with workspace.store.write() as connection:
            subject = group.subject_of(connection, lead)
            record = exporting.access(connection, workspace, subject, route="cli", actor=actor(by), at=when)
        files = exporting.write(record, out or workspace.home / exporting.FOLDER, f"lead-{lead}-{when:%Y%m%d-%H%M%S}")
    if json:
        print_json({"lead": lead, "json": files.json, "pdf": files.pdf})
        return
    print(f"{files.json}\n{files.pdf}")


def actor(by: str) -> str:
    """Name who acts, as the ledger may hold it."""
    return f"operator:{by or os.environ.get('USER', 'unknown')}"[:LONGEST_ACTOR]
