"""A reader without a browser: fetches pages, fills in forms, presses buttons; in process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.applications import Starlette

    from nurture.clock import VirtualClock

HOST = "http://edge.test"


@dataclass
class Form:
    """One form of a page."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, bool] = field(default_factory=dict)
    """Check boxes and whether they came ticked."""
    buttons: int = 0


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in given.items()]
        if tag == "form":
            self.found.append(Form(given.get("method", "get"), given.get("action", "")))
        elif tag == "button":
            self.found[-1].buttons += 1
        elif tag in {"input", "textarea"} and given.get("type") == "checkbox":
            self.found[-1].boxes[given["name"]] = "checked" in given
        elif tag in {"input", "textarea"}:
            self.found[-1].fields[given["name"]] = given.get("value", "")


def parse(page: str) -> _Forms:
    """Read a page."""
    parser = _Forms()
    parser.feed(page)
    return parser


def forms(page: str) -> list[Form]:
    """Give the forms of a page."""
    return parse(page).found


class Visitor:
    """Talks to the application from one address, without cookies."""

    def __init__(self, app: Starlette, clock: VirtualClock, ip: str = "203.0.113.7") -> None:
        """Stand at `ip`."""
        self.app = app
        self.clock = clock
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(ip, 4711))
        self._client = httpx.AsyncClient(transport=transport, base_url=HOST)

    def close(self) -> None:
        """End the loop."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    def call(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send one request."""
        return self._runner.run(self._client.request(method, path, **how))

    def get(self, path: str, **how: Any) -> httpx.Response:
        """Open a page."""
        return self.call("GET", path, **how)

    def post(self, path: str, fields: Mapping[str, str] | None = None, **how: Any) -> httpx.Response:
        """Send a form."""
        return self.call("POST", path, data=dict(fields or {}), **how)

    def together(self, method: str, path: str, times: int, **how: Any) -> list[httpx.Response]:
        """Send the same request many times at once."""

        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(self._client.request(method, path, **how) for _ in range(times)))

        return self._runner.run(all_of_them())

    def together_at(self, paths: Sequence[str]) -> list[httpx.Response]:
        """Open many pages at once."""

        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(self._client.get(path) for path in paths))

        return self._runner.run(all_of_them())

    def together_with(self, path: str, posts: Sequence[tuple[bytes, dict[str, str]]]) -> list[httpx.Response]:
        """Post bodies with their headers all at once."""

        async def all_of_them() -> list[httpx.Response]:
            sent = (self._client.post(path, content=body, headers=headers) for body, headers in posts)
            return await asyncio.gather(*sent)

        return self._runner.run(all_of_them())

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))

    def sign_up(
        self, address: str, *, ticked: tuple[str, ...] = ("newsletter.product",), **extra: str
    ) -> httpx.Response:
        """Fill in the sign-up form as a person would."""
        [form] = forms(self.get("/subscribe?lang=de").text)
        self.wait(5)
        boxes = {f"box:{purpose}": "yes" for purpose in ticked}
        return self.post(form.action, form.fields | {"address": address} | boxes | extra)
