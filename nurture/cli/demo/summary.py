"""What does the demo say at its end?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.cli.demo import figures
from nurture.cli.output import table
from nurture.settings import Settings
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.cli.demo.figures import Figures


def read(home: Path) -> Figures:
    """Read the figures of a demo's workspace."""
    with open_workspace(Settings(home=home)) as workspace, workspace.store.read() as connection:
        return figures.read(connection)


def show(found: Figures, home: Path, report: Path) -> None:
    """Print the summary for people."""
    table(
        "Thirty days of nurturing", ["", "leads"], [(name.replace("_", " "), number) for name, number in found.funnel]
    )
    table("Temperatures now", list(found.temperatures), [list(found.temperatures.values())])
    table("Mails by template", ["step", "temperature", "accepted"], found.mails)
    table("Not sent, and why", ["reason", "mails"], list(found.withheld.items()) or [("nothing", 0)])
    table("Handovers", ["state", "number"], list(found.handover_states.items()) or [("none", 0)])
    ledger = found.ledger
    print()
    print(f"imported {found.imported} leads, {found.not_mailable} of them without a proven consent (never mailed)")
    print(f"confirmed {found.confirmed} double opt-ins; {found.accepted} mails accepted, {found.in_doubt} in doubt")
    print(f"consent ledger: {ledger['size']} entries, head {str(ledger['root'])[:16]}..., "
          f"{'verified' if ledger['verified'] else 'NOT VERIFIED'}")  # fmt: skip
    print()
    print(f"report:  {report}")
    print(f"explore: NURTURE_HOME={home} .venv/bin/nurture explain 1")
