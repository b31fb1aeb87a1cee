"""How does a person use our pages? A browser without scripts: it reads forms, fills them, presses buttons."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx


@dataclass
class Form:
    """A form on a page: where it goes and what it holds. `boxes` are unticked."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
            self._open = True
        elif tag in {"input", "textarea", "button"} and self._open and given.get("name"):
            form, kind = self.forms[-1], given.get("type", "text")
            if kind in {"checkbox", "radio"} and "checked" not in dict(attrs):
                form.boxes.setdefault(given["name"], given.get("value", "on"))
            elif tag != "button":
                form.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False


class Visitor:
    """One person at one address of the documentation ranges."""

    def __init__(self, client: httpx.Client, ip: str, agent: str) -> None:
        """Visit through a shared client; `ip` reaches the pages as a proxy would state it."""
        self.client = client
        self.headers = {"X-Forwarded-For": ip, "User-Agent": agent, "Accept-Language": "de"}

    def read(self, url: str) -> tuple[httpx.Response, list[Form]]:
        """Open a page and see its forms."""
        answer = self.client.get(url, headers=self.headers)
        reader = _Reader()
        reader.feed(answer.text)
        return answer, reader.forms

    def send(self, page: httpx.Response, form: Form, values: Mapping[str, str]) -> httpx.Response:
        """Press the button of a form."""
        target = urljoin(str(page.url), form.action or str(page.url))
        return self.client.request("POST", target, data={**form.fields, **values}, headers=self.headers)
