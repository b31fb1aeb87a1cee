"""What can be typed to start it all? `nurture up`."""

from __future__ import annotations

from typing import Annotated

import typer

from nurture.cli.output import fail, note, print_json, table

Check = Annotated[bool, typer.Option("--check", help="Start, verify that everything is in place, stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")]


def register(app: typer.Typer) -> None:
    """Add `nurture up`."""
    app.command("up")(up)


def up(check: Check = False, json: Json = False) -> None:
    """Start the local Prefect server, a worker and the web app; Ctrl-C stops all."""
    from nurture.cli.launcher import LauncherError
    from nurture.cli.launcher.supervisor import stop_on_signals, watch
    from nurture.cli.launcher.supervisor import up as running_up
    from nurture.cli.version import VERSION
    from nurture.settings import Settings
    from nurture.store.workspace import open_workspace
    from nurture.web import ready

    settings = Settings()
    # The tables are made once, here, before several children would try at the same time.
    with open_workspace(settings) as workspace:
        ready.require(settings, workspace.keyring)
    try:
        with stop_on_signals(), running_up(settings, version=VERSION, say=note) as running:
            if json:
                print_json({"addresses": running.addresses, "seconds": running.seconds})
            else:
                table("", ["", "address"], running.addresses.items())
            if check:
                note("check: everything is in place")
                return
            note("running; Ctrl-C stops all")
            watch(running)
    except KeyboardInterrupt:
        note("stopped")
    except LauncherError as error:
        fail(str(error))
