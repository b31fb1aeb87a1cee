"""How do the public pages run? One uvicorn process, without its own access log, which would hold tokens."""

from __future__ import annotations

import gc
import logging
import sys
from typing import TYPE_CHECKING

import uvicorn

from nurture.clock import SystemClock
from nurture.leads import wordings
from nurture.store.workspace import open_workspace
from nurture.web import ready
from nurture.web.app import create_app
from nurture.web.wake import Wake

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import ASGIApp

    from nurture.settings import Settings
    from nurture.store.workspace import Workspace

MOST_CONNECTIONS = 512
KEEP_ALIVE_SECONDS = 5
LONGEST_HEADER_BLOCK = 16 * 1_024
SHUTDOWN_SECONDS = 10
GARBAGE_LOOK = 20_000
"""Objects made and not freed before the collector looks; Python's 700 is about two requests."""
LOG_FORMAT = "%(asctime)s %(name)s %(message)s"


def configuration(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """Give how uvicorn is run, here and in the tests."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        workers=1,  # the caps of enquiries are counted in this process
        access_log=False,
        log_config=None,
        # Forwarded headers are read by evidence.py alone, by its own rule.
        proxy_headers=False,
        server_header=False,
        date_header=True,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=LONGEST_HEADER_BLOCK,
        ws="none",
        http="h11",
    )


def settle() -> None:
    """Take what is loaded out of the garbage collector's sight, and let it look less often.

    It would walk through all modules again and again: a quarter of what a click costs. What requests leave behind is
    freed by counting references; cycles are few, and still found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_LOOK, 20, 50)


def serve(settings: Settings) -> None:
    """Serve the public pages until stopped; logs one line per answer on stderr, without tokens.

    Raises SettingsError where mail could not leave or events not come in.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    # httpx names the address of every request at INFO; ours is of no use in the log.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Alembic tells of each of its own parts that it loads.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with open_workspace(settings) as workspace:
        ready.require(settings, workspace.keyring)
        prepare(workspace, at=SystemClock().now())
        app = create_app(workspace, SystemClock(), wake=Wake.from_environment())
        settle()
        uvicorn.Server(configuration(app, host=settings.web_host, port=settings.web_port)).run()


def prepare(workspace: Workspace, *, at: datetime) -> None:
    """Publish the wordings of policies/consent.yaml that are new, so that the sign-up form can show them.

    Raises WordingError for a file that cannot be used, ConsentError for a published wording that was edited.
    """
    with workspace.store.write() as conn:
        wordings.publish(conn, workspace.settings, at=at)
