"""What does nurture do? The whole product on a bundled example, offline, in under a minute."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from nurture.cli.output import fail, note, print_json


def register(app: typer.Typer) -> None:
    """Add `nurture demo`."""
    app.command()(demo)


def demo(
    home: Annotated[Path | None, typer.Option(help="Keep the workspace in this new folder, for exploring.")] = None,
    language: Annotated[str, typer.Option(help="Language of the report: de or en.")] = "de",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Nurture a few hundred made-up leads for thirty virtual days, offline, and show what came out.

    Example: nurture demo --home /tmp/demo, afterwards NURTURE_HOME=/tmp/demo nurture explain 42
    """
    from nurture.cli.demo import report, summary
    from nurture.cli.launcher import LauncherError

    if language not in {"de", "en"}:
        fail("--language is de or en", 64)
    if home is not None and home.exists() and any(home.iterdir()):
        fail(f"{home} is not empty; name a new folder", 64)
    folder = (home or Path(tempfile.mkdtemp(prefix="nurture-demo-"))).resolve()
    try:
        run(folder)
    except LauncherError as error:
        fail(str(error))
    written = report.write(folder, language)
    figures = summary.read(folder)
    if json:
        print_json({**figures.as_json(), "home": str(folder), "report": str(written)})
    else:
        summary.show(figures, folder, written)
    if not figures.ledger["verified"]:
        fail("the consent ledger does not verify")


def run(folder: Path) -> None:
    """Run the thirty days with a progress bar on stderr; plain lines where stderr is no terminal."""
    import os
    import socket
    import sys

    # One line for each of some hundred task runs would bury the progress; failures still show.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from nurture.cli.launcher import prefect_server

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("starting Prefect", total=1.0)
        said = ""

        def tell(what: str, share: float) -> None:
            nonlocal said
            progress.update(bar, description=what, completed=share)
            if progress.disable and what.split(maxsplit=1)[0] != said:
                said = what.split(maxsplit=1)[0]
                note(f"demo: {what} ...")

        # The server starts while this process imports what it needs and takes over the lists.
        with prefect_server(folder, wait=False) as server:
            from nurture.cli.demo.play import perform

            perform(folder, port, server, tell)
        progress.update(bar, completed=1.0, description="done")
