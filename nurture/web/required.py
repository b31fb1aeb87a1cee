"""Does the sign-up form ask for no more than the law lets it? The address alone may be mandatory (R36).

The page is a file that people edit (templates/pages/subscribe.html): it is rendered and read here, so
that a second mandatory field is found when the pages start and by `nurture check`, not by a regulator.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

from nurture import NurtureError

if TYPE_CHECKING:
    from nurture.web.pages import Pages

ALLOWED = "address"
PAGE = "subscribe"


class FormError(NurtureError):
    """A form asks for more than it may; the message names page and field."""


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"input", "select", "textarea"} and ("required" in given or given.get("aria-required") == "true"):
            self.found.append(given.get("name") or "a field without a name")


def mandatory(page: str) -> list[str]:
    """Give the names of the fields of a page that have to be filled in."""
    reader = _Fields()
    reader.feed(page)
    return reader.found


def check(pages: Pages) -> None:
    """See that the sign-up form's only mandatory field is the address; raises FormError for any other."""
    page = pages.answer(
        PAGE,
        "de",
        offers=[],
        required="",
        wording="",
        stamp="",
        address="",
        sure="",
        source="",
        ticked=set(),
        problems={},
    )
    more = [name for name in mandatory(bytes(page.body).decode()) if name != ALLOWED]
    if more:
        raise FormError(
            f"templates/pages/{PAGE}.html: {more[0]} is mandatory; at a newsletter sign-up only the address may be "
            "(ask for more later, see policies/profiling.yaml)"
        )
