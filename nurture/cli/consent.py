"""What can be typed about consent? Show where one person stands, end it, list the wordings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from nurture.cli.output import Exit, fail, moment, note, print_json, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LeadId = Annotated[int | None, typer.Argument(metavar="[LEAD]", help="Number of the lead.")]
Subject = Annotated[str, typer.Option("--subject", help="Random id of the person, in place of the lead's number.")]
At = Annotated[str | None, typer.Option(help="Time it happened, ISO 8601; default is now.")]
By = Annotated[str, typer.Option("--by", help="Who does it; default is your login name. No e-mail address.")]


def register(app: typer.Typer) -> None:
    """Add `nurture consent ...`."""
    verbs = typer.Typer(help="Who may be written to, for what, and since when.", no_args_is_help=True)
    verbs.command("show")(show)
    verbs.command("withdraw")(withdraw)
    verbs.command("texts")(texts)
    app.add_typer(verbs, name="consent")


def show(lead: LeadId = None, subject: Subject = "", json: Json = False) -> None:
    """Show where a person stands and every ledger entry about them. Example: nurture consent show 42."""
    from consent import ledger, states
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        person = _subject(connection, lead, subject)
        standings = states.standings(connection, person)
        entries = list(ledger.read(connection, subject=person))
    if json:
        print_json(
            {
                "subject": person,
                "consents": [{**vars(one), "state": str(one.state)} for one in standings],
                "entries": [vars(one) for one in entries],
            }
        )
        return
    table(
        f"subject {person}",
        ["purpose", "controller", "state", "since (UTC)", "last used", "entry"],
        [
            [one.purpose, one.controller, str(one.state), _short(one.since), _short(one.used_at), one.seq]
            for one in standings
        ],
    )
    table("", ["entry", "time (UTC)", "what"], [[one.seq, _short(one.at), one.type] for one in entries])
    if not entries:
        note("Nothing in the ledger about this person: never asked, never imported with proof.")


def withdraw(
    lead: LeadId = None,
    subject: Subject = "",
    purpose: Annotated[list[str] | None, typer.Option(help="Only this one (repeatable); default: all.")] = None,
    by: By = "",
    at: At = None,
) -> None:
    """End a person's consent at once, tracking included. Example: nurture consent withdraw 42."""
    from consent import withdrawal
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.write() as connection:
        done = withdrawal.withdraw(
            connection,
            subject=_subject(connection, lead, subject),
            controller=workspace.settings.controller,
            purposes=purpose,
            route="operator",
            actor=f"operator:{by or os.environ.get('USER', 'unknown')}",
            at=moment(at),
        )
    print(f"withdrawn, ledger entry {done[0]}" if done else "nothing to withdraw: it was withdrawn before")


def texts(json: Json = False) -> None:
    """List the wordings people agree to, with the hashes the ledger names. Example: nurture consent texts."""
    from consent import texts as wordings
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        listed = wordings.overview(connection)
    if json:
        print_json(listed)
        return
    for one in listed:
        print(
            f"{one['controller']}/{one['purpose']}/{one['language']} version {one['version']}, "
            f"published {one['published_at']:%Y-%m-%d}\n  sha256 {one['sha256']}\n  {one['body']}\n"
        )
    if not listed:
        note("No wording is published yet.")


def _subject(connection: Connection, lead_id: int | None, subject: str) -> str:
    from sqlalchemy import select

    from consent.schema import identity
    from nurture.store.tables import lead

    if (lead_id is None) == (not subject):
        fail("name one person: the number of the lead, or --subject", Exit.USAGE)
    if subject:
        found = connection.execute(select(identity.c.subject).where(identity.c.subject == subject))
    else:
        found = connection.execute(select(lead.c.subject).where(lead.c.id == lead_id))
    person: str | None = found.scalar_one_or_none()
    if person is None:
        fail("there is no such lead; imports, handovers and explain name them by number")
    return person


def _short(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
