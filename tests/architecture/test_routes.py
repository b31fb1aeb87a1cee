"""Is every route of the edge listed as public with its reason, or else behind a log-in?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from nurture.clock import SystemClock
from nurture.web.app import create_app
from nurture.web.routes import PUBLIC

if TYPE_CHECKING:
    from nurture.store.workspace import Workspace

# The public paths once more, by hand: opening a new one takes a change here, seen in review.
EXPECTED = {
    "/": {"GET"},
    "/subscribe": {"GET", "POST"},
    "/api/opt-in": {"GET", "POST"},
    "/api/withdraw": {"POST"},
    "/api/openapi.json": {"GET"},
    "/confirm/{token}": {"GET", "POST"},
    "/decline/{token}": {"POST"},
    "/u/{token}": {"GET", "POST"},
    "/p/{token}": {"GET", "POST"},
    "/q/{token}": {"POST"},
    "/d/{token}": {"GET", "POST"},
    "/c/{token}/{index}": {"GET"},
    "/o/{token}.gif": {"GET"},
    "/hooks/sendgrid": {"POST"},
    "/request/{form}": {"GET", "POST"},
    "/imprint": {"GET"},
    "/health": {"GET"},
    "/static/{name}": {"GET"},
}
AUTHENTICATED: frozenset[str] = frozenset()
"""Paths behind a log-in; there are none yet."""


def test_every_route_is_public_by_decision(workspace: Workspace) -> None:
    """Nothing is reachable that is in neither list: no schema, no docs, no mount."""
    app = create_app(workspace, SystemClock())
    assert isinstance(app, Starlette)
    found = {}
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is no plain route"
        found[route.path] = set(route.methods or ()) - {"HEAD"}
    assert {path: methods for path, methods in found.items() if path not in AUTHENTICATED} == EXPECTED


def test_every_public_route_says_why() -> None:
    """The reason stands beside the path."""
    assert all(len(public.why) > 10 for public in PUBLIC)


def test_reading_and_acting_are_told_apart() -> None:
    """What changes consent has a POST handler of its own; GET shares none of them."""
    assert not {public.get for public in PUBLIC if public.get} & {public.post for public in PUBLIC if public.post}
