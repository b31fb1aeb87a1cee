"""What can an auditor type? Recompute the ledger and replay every authorisation."""

from __future__ import annotations

from typing import Annotated

import typer

from nurture.cli.output import Exit, note, print_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add `nurture audit ...`."""
    verbs = typer.Typer(help="The consent ledger: is it whole, and does it carry every mail?", no_args_is_help=True)
    verbs.callback()(_verbs)
    verbs.command("verify")(verify)
    app.add_typer(verbs, name="audit")


def _verbs() -> None:
    """Keep `verify` a verb of its own although it is the only one so far."""


def verify(json: Json = False) -> None:
    """Recompute the whole ledger and check every authorised mail. Exit 0 when all holds, 1 when not.

    Example: nurture audit verify --json.
    """
    from consent import ledger, replay
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        tree = ledger.verify(connection)
        # What a changed ledger says about authorisations means nothing.
        sends = replay.replay(connection) if tree.ok else None
    fine = tree.ok and sends is not None and sends.ok
    breaches = sends.listed if sends else ()
    if json:
        print_json(
            {
                "size": tree.size,
                "root": tree.root,
                "verified": fine,
                "problem": tree.problem,
                "authorisations": sends.authorisations if sends else None,
                "breaches": sends.breaches if sends else None,
                "listed": [
                    {"seq": one.seq, "message": one.message_id, "subject": one.subject, "fault": str(one.fault)}
                    for one in breaches
                ],
            }
        )
    else:
        print(f"entries         {tree.size}")
        print(f"root            {tree.root}")
        print(f"tree            {tree.problem or 'whole'}")
        print(f"authorisations  {_judgement(sends)}")
        for one in breaches:
            print(f"  entry {one.seq}, message {one.message_id}: {one.fault}")
    if not fine:
        note("nurture: the ledger does not hold; stop sending (nurture stop) and keep a copy of the database as it is")
        raise typer.Exit(int(Exit.ERROR))


def _judgement(sends: object) -> str:
    from consent.replay import Replay

    if not isinstance(sends, Replay):
        return "not checked: the ledger was changed"
    return f"{sends.authorisations} checked, {sends.breaches} without a consent that carries them"
