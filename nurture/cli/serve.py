"""`nurture serve`: the public pages alone, for whoever runs Prefect elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(rich_help_panel=None)(serve)


def serve(
    port: Annotated[int | None, typer.Option(help="Port instead of the setting web_port.", min=0, max=65535)] = None,
) -> None:
    """Serve the public pages: sign-up, confirmation, unsubscribe, links, webhooks.

    Alone it sends no mail, confirmations neither: 'nurture up' or a Prefect worker does.
    """
    from nurture.cli.launcher import LauncherError, ports
    from nurture.cli.output import fail, note
    from nurture.settings import Settings
    from nurture.web.server import serve as run

    settings = Settings()
    if port is not None:
        settings = settings.model_copy(update={"web_port": port})
    try:
        if settings.web_port:
            ports.require_for_pages(settings.web_port, settings.web_host)
    except LauncherError as error:
        fail(str(error))
    note(f"nurture: public pages on http://{settings.web_host}:{settings.web_port} (Ctrl-C stops)")
    run(settings)
