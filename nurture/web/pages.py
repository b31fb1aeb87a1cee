"""How does a page come about? Jinja files from templates/pages, always escaped, compiled at start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from nurture.leads import wordings
from nurture.web import brand, required
from nurture.web.words import LANGUAGES, Words, choose

if TYPE_CHECKING:
    from starlette.requests import Request

    from nurture.settings import Settings


class Pages:
    """Renders the public pages of one installation."""

    def __init__(self, settings: Settings) -> None:
        """Compile every page now: the first reader should not wait, and a broken page should not start."""
        self.settings = settings
        # Escaping never depends on a file's name, and a missing value is an error, not a gap.
        self.environment = Environment(
            loader=FileSystemLoader(settings.templates / "pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        for name in self.environment.list_templates(extensions=["html"]):
            self.environment.get_template(name)
        purposes = wordings.load(settings.policies).purposes
        self.words = {language: Words(language, settings.tz, purposes) for language in LANGUAGES}
        self.files = brand.files(settings)
        sheets = [name for name in ("site.css", "brand.css") if name in self.files]
        self.styles = [self.files[name].path(name) for name in sheets]
        self.logo = next((one.path(name) for name, one in self.files.items() if name.startswith("logo.")), None)
        required.check(self)

    def language(self, request: Request, known: str | None = None) -> str:
        """Choose the language; `known` is that of the mail the reader comes from."""
        return choose(
            request.query_params.get("lang"),
            "" if known in LANGUAGES else request.headers.get("accept-language", ""),
            known if known in LANGUAGES else self.settings.language,
        )

    def answer(
        self, name: str, language: str, *, status: int = 200, switch: bool = False, **values: object
    ) -> HTMLResponse:
        """Render a page. `switch` offers the other language, for pages that GET alone shows."""
        words = self.words[language]
        other = next(one for one in LANGUAGES if one != language)
        body = self.environment.get_template(f"{name}.html").render(
            t=words,
            lang=language,
            other=other if switch else None,
            styles=self.styles,
            logo=self.logo,
            brand=self.settings.sender_name,
            company=self.settings.company,
            privacy=self.settings.privacy_url,
            **values,
        )
        return HTMLResponse(body, status, headers={"Content-Language": language, "Vary": "Accept-Language"})

    def notice(
        self,
        language: str,
        key: str,
        *,
        status: int = 200,
        mark: str = "done",
        link: tuple[str, str] | None = None,
        **values: str,
    ) -> HTMLResponse:
        """Render a page that says one thing: `<key>.title`, `<key>.lead` and perhaps a link (address, word key)."""
        words = self.words[language]
        values = {"brand": self.settings.sender_name, "company": self.settings.company, **values}
        return self.answer(
            "notice",
            language,
            status=status,
            title=words(f"{key}.title"),
            lead=words(f"{key}.lead", **values),
            mark=mark,
            link=link,
        )

    def wrong(self, language: str, status: int) -> HTMLResponse:
        """Render an error: what happened and what to do, nothing about our insides."""
        words = self.words[language]
        key = status if f"wrong.{status}" in _KNOWN else 400 if status < 500 else 500  # noqa: PLR2004  HTTP classes
        return self.answer(
            "notice",
            language,
            status=status,
            title=words(f"wrong.{key}"),
            lead=words(f"wrong.text.{key}"),
            mark="wrong",
            link=None,
        )


_KNOWN = frozenset(f"wrong.{status}" for status in (400, 403, 404, 405, 408, 413, 415, 500, 503))
