"""How does Prefect hear that there is work? By a hint over plain HTTP after the commit; it may get lost.

The rows are what counts: a scheduled sweep finds what a hint missed. So a hint never delays an
answer, never fails it and never raises. It holds a name and a count, nothing else (I8).
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections import Counter
from uuid import uuid4

import httpx

from nurture.clock import SystemClock

log = logging.getLogger("nurture.web.wake")

EVENTS_RECEIVED = "nurture.events.received"
CONSENT_CONFIRMED = "nurture.consent.confirmed"
CONSENT_WITHDRAWN = "nurture.consent.withdrawn"

QUIET_SECONDS = 5.0
"""A run costs Prefect 2 to 3 CPU seconds, so a burst of webhooks must be one hint."""
TIMEOUT_SECONDS = 2.0


class Wake:
    """Posts events to a Prefect server, at most once per quiet time."""

    def __init__(self, url: str, auth: str = "", *, quiet: float = QUIET_SECONDS) -> None:
        """Post to the API at `url` (empty: never) with the basic auth string `user:password`."""
        self.url = url.rstrip("/")
        user, _, password = auth.partition(":")
        self._auth = httpx.BasicAuth(user, password) if auth else None
        self._client = f"nurture-web-{secrets.token_hex(8)}"
        self._quiet = quiet
        self._last: float | None = None
        self._waiting: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_environment(cls) -> Wake:
        """Read PREFECT_API_URL and PREFECT_API_AUTH_STRING as Prefect itself does."""
        return cls(os.environ.get("PREFECT_API_URL", ""), os.environ.get("PREFECT_API_AUTH_STRING", ""))

    def hint(self, name: str = EVENTS_RECEIVED) -> None:
        """Say that rows were committed; returns at once. Call it on the event loop."""
        if not self.url:
            return
        self._waiting[name] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def close(self) -> None:
        """Post what still waits, once, without the quiet time."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
        if self._waiting:
            await self._post()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if self._last is not None:
                await asyncio.sleep(max(0.0, self._last + self._quiet - loop.time()))
            self._last = loop.time()
            await self._post()

    async def _post(self) -> None:
        counts, self._waiting = self._waiting, Counter()
        events = [event(name, count) for name, count in counts.items()]
        try:
            async with httpx.AsyncClient(
                auth=self._auth, timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False
            ) as client:
                answer = await client.post(f"{self.url}/events", json=events)
                if answer.status_code == httpx.codes.FORBIDDEN:
                    answer = await client.post(f"{self.url}/events", json=events, headers=await self._token(client))
            if not answer.is_success:
                log.info("hint not taken: status %s", answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            log.info("hint lost: %s", type(error).__name__)

    async def _token(self, client: httpx.AsyncClient) -> dict[str, str]:
        """Fetch what a server with CSRF protection asks of every writer."""
        answer = await client.get(f"{self.url}/csrf-token", params={"client": self._client})
        return {"Prefect-Csrf-Token": str(answer.json()["token"]), "Prefect-Csrf-Client": self._client}


def event(name: str, count: int) -> dict[str, object]:
    """Form one Prefect event. Its time is the machine's: Prefect ignores events from its past."""
    return {
        "id": str(uuid4()),
        "occurred": SystemClock().now().isoformat(),
        "event": name,
        "resource": {"prefect.resource.id": "nurture.web"},
        "payload": {"count": count},
    }
