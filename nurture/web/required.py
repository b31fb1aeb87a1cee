"""Does the sign-up form ask for no more than the law lets it? The address alone may be mandatory (R36).

The page is a file that people edit (templates/pages/subscribe.html): it is rendered and read here, so
that a second mandatory field is found when the pages start and by `nurture check`, not by a regulator.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

from consent.entries import NEWSLETTER, TRACKING
from nurture import NurtureError
from nurture.web.words import LANGUAGES

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


def _shown(pages: Pages, language: str) -> str:
    """Give the page as a reader gets it: with a box for each consent, the main one first."""
    offers = [{"purpose": purpose, "body": "", "version": 1, "sha256": ""} for purpose in (NEWSLETTER, TRACKING)]
    page = pages.answer(
        PAGE,
        language,
        offers=offers,
        required=NEWSLETTER,
        wording="",
        stamp="",
        address="",
        sure="",
        source="",
        ticked=set(),
        problems={},
    )
    return bytes(page.body).decode()


def check(pages: Pages) -> None:
    """See that the sign-up form's only mandatory field is the address; raises FormError for any other."""
    more = [name for language in LANGUAGES for name in mandatory(_shown(pages, language)) if name != ALLOWED]
    if more:
        raise FormError(
            f"templates/pages/{PAGE}.html: {more[0]} is mandatory; at a newsletter sign-up only the address may be "
            "(ask for more later, see policies/profiling.yaml)"
        )
