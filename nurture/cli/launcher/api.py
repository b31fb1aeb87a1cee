"""What do we ask of the Prefect server? Its HTTP interface with login and CSRF token; no Prefect import."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any

import httpx

from nurture.cli.launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNAUTHORISED = frozenset({401, 403})
PASSING = frozenset({403, 500, 503})
"""A CSRF token that is over, and a SQLite file that is busy."""
PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Seconds before another try; the last one again until PATIENCE is over."""
PATIENCE = 120.0
"""Seconds. A server that has just started answers long before it can write on a saturated machine."""


class PrefectApi:
    """A thin client; every method raises LauncherError when the server refuses or is gone."""

    def __init__(self, url: str, auth: str, timeout: float = 60.0) -> None:
        """Speak to the server at `url` (ends in /api) as `user:password`."""
        user, _, password = auth.partition(":")
        # Nothing of the caller's proxies: this is loopback.
        self._client = httpx.Client(base_url=url, auth=(user, password), timeout=timeout, trust_env=False)
        self._csrf: dict[str, str] = {}

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def ready(self) -> bool:
        """Tell whether the server answers and reaches its database."""
        try:
            return self._client.get("/ready").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def is_closed(self) -> bool:
        """Tell whether a stranger without login is refused."""
        answer = httpx.post(f"{self._client.base_url}flows/filter", json={}, trust_env=False, timeout=10)
        return answer.status_code in UNAUTHORISED

    def is_ours(self) -> bool:
        """Tell whether the server accepts our login: another installation's may have come first to the port."""
        return self._client.get("/admin/version").status_code not in UNAUTHORISED

    def get(self, path: str) -> Any:  # noqa: ANN401  JSON
        """Read."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401  JSON
        """Send a JSON body and give the answer."""
        return self._ask("POST", path, body)

    def put(self, path: str, body: object) -> Any:  # noqa: ANN401  JSON
        """Replace."""
        return self._ask("PUT", path, body)

    def patch(self, path: str, body: object) -> Any:  # noqa: ANN401  JSON
        """Change a part."""
        return self._ask("PATCH", path, body)

    def emit(self, name: str, resource: str, payload: Mapping[str, object], *, at: str) -> None:
        """Emit one event; `at` is ISO 8601."""
        made = {"id": str(uuid.uuid4()), "event": name, "occurred": at, "payload": dict(payload)}
        self.post("/events", [{**made, "resource": {"prefect.resource.id": resource}}])

    def _ask(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401  JSON
        deadline, pauses = time.monotonic() + PATIENCE, iter(PAUSES)
        try:
            answer = self._once(method, path, body)
            while answer.status_code in PASSING and time.monotonic() < deadline:
                if answer.status_code == httpx.codes.FORBIDDEN:
                    self._csrf = {}
                time.sleep(next(pauses, PAUSES[-1]))
                answer = self._once(method, path, body)
        except httpx.HTTPError as error:
            raise LauncherError(f"the Prefect server does not answer ({type(error).__name__} at {path})") from error
        if answer.is_error:
            asked = f"{answer.request.method} {answer.request.url.path}"
            raise LauncherError(f"the Prefect server refused {asked}: status {answer.status_code}")
        return answer.json() if answer.content else None

    def _once(self, method: str, path: str, body: object) -> httpx.Response:
        """Ask once; where the token that a change needs is refused, that refusal is the answer."""
        if method != "GET" and not self._csrf:
            client = secrets.token_hex(16)
            given = self._client.get("/csrf-token", params={"client": client})
            if given.is_error:
                return given
            self._csrf = {"Prefect-Csrf-Token": given.json()["token"], "Prefect-Csrf-Client": client}
        return self._client.request(method, path, json=body, headers={} if method == "GET" else self._csrf)
