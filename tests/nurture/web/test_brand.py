"""The company's own look, and a sign-up form that its editors cannot make ask for too much."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from consent import opt_in
from nurture.settings import PROJECT, Settings, SettingsError
from nurture.web.app import create_app
from nurture.web.brand import STATIC
from nurture.web.guard import CSP
from nurture.web.pages import Pages
from nurture.web.required import FormError
from tests.nurture.web.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nurture.clock import VirtualClock
    from nurture.store.workspace import Workspace

SHEET = ":root { --accent: #7a1fa2; }\n"
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>\n'


@pytest.fixture
def branded(tmp_path: Path) -> Settings:
    """An installation with a sheet and a logo."""
    (tmp_path / "firma.css").write_text(SHEET)
    (tmp_path / "Firma.SVG").write_text(LOGO)
    return Settings(home=tmp_path, brand_css=tmp_path / "firma.css", brand_logo=tmp_path / "Firma.SVG")


@pytest.mark.parametrize(("path", "times"), [("/subscribe", 2), ("/request/demo_request", 2), ("/", 1)])
def test_pages_lead_to_the_privacy_notice(
    ready: Workspace, clock: VirtualClock, visitor: Visitor, path: str, times: int
) -> None:
    """Art. 13 GDPR: at the end of each page, and beside the button where data is given; nothing without one."""
    settings = ready.settings.model_copy(update={"privacy_url": "https://firma.example/datenschutz"})
    told = Visitor(create_app(type(ready)(settings, ready.store, ready.keyring), clock, answer_floor=0), clock)
    link = '<a href="https://firma.example/datenschutz">Datenschutzhinweise</a>'
    assert told.get(f"{path}?lang=de").text.count(link) == times
    assert "Datenschutzhinweise" not in visitor.get(f"{path}?lang=de").text
    told.close()


def test_the_page_to_confirm_leads_to_the_privacy_notice(ready: Workspace, clock: VirtualClock) -> None:
    settings = ready.settings.model_copy(update={"privacy_url": "/datenschutz"})
    told = Visitor(create_app(type(ready)(settings, ready.store, ready.keyring), clock, answer_floor=0), clock)
    told.sign_up("kim@firma.example")
    with ready.store.read() as conn:
        token = opt_in.token(conn, ready.keyring, 1)
    assert told.get(f"/confirm/{token}").text.count('<a href="/datenschutz">') == 2
    told.close()


def test_the_brand_sheet_comes_after_ours(branded: Settings, ready: Workspace, clock: VirtualClock) -> None:
    settings = branded.model_copy(update={"database_url": ready.settings.database})
    visitor = Visitor(create_app(type(ready)(settings, ready.store, ready.keyring), clock, answer_floor=0), clock)
    page = visitor.get("/subscribe")
    assert page.text.index("/static/site.css?v=") < page.text.index("/static/brand.css?v=")
    assert 'alt="Musterwerk"' in page.text
    sheet, logo = visitor.get("/static/brand.css"), visitor.get("/static/logo.svg")
    assert (sheet.text, sheet.headers["content-type"]) == (SHEET, "text/css; charset=utf-8")
    assert (logo.text, logo.headers["content-type"]) == (LOGO, "image/svg+xml")
    assert logo.headers["content-security-policy"] == CSP
    visitor.close()


def test_without_a_brand_there_is_no_brand_file(visitor: Visitor) -> None:
    assert [visitor.get(f"/static/{name}").status_code for name in ("brand.css", "logo.svg", "logo.png")] == [404] * 3
    assert "brand.css" not in visitor.get("/subscribe").text


@pytest.mark.parametrize("sheet", [
    "@import 'x.css';", "body { background: url(https://evil.example/x.png) }",
    "a { background: url( '//evil.example' ) }",
    "a { background: URL(data:image/png;base64,AA) }",
])  # fmt: skip
def test_a_sheet_that_loads_from_elsewhere_is_refused(branded: Settings, tmp_path: Path, sheet: str) -> None:
    (tmp_path / "firma.css").write_text(sheet)
    with pytest.raises(SettingsError, match="loads something"):
        Pages(branded)


def _remove(settings: Settings) -> Settings:
    (settings.home / "firma.css").unlink()
    return settings


def _enlarge(settings: Settings) -> Settings:
    (settings.home / "firma.css").write_bytes(b" " * 300_000)
    return settings


def _another_kind(settings: Settings) -> Settings:
    return settings.model_copy(update={"brand_logo": settings.home / "logo.gif"})


@pytest.mark.parametrize(("change", "complaint"), [
    (_remove, "brand_css cannot be read"), (_enlarge, "larger than 200 KiB"), (_another_kind, "neither .svg nor .png"),
])  # fmt: skip
def test_an_unusable_file_is_named_at_start(
    branded: Settings, change: Callable[[Settings], Settings], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Pages(change(branded))


# --- the form --------------------------------------------------------------------------------


@pytest.mark.requirement(94)
@pytest.mark.parametrize("field", [
    '<input name="birthday" required>', '<input name="birthday" aria-required="true">',
    '<select name="birthday" required></select>', '<textarea name="birthday" required></textarea>',
])  # fmt: skip
def test_a_second_mandatory_field_does_not_start(tmp_path: Path, field: str) -> None:
    shutil.copytree(PROJECT / "templates" / "pages", tmp_path / "templates" / "pages")
    shutil.copytree(PROJECT / "policies", tmp_path / "policies")
    page = tmp_path / "templates" / "pages" / "subscribe.html"
    page.write_text(page.read_text("utf-8").replace("<fieldset>", f"{field}\n<fieldset>", 1), "utf-8")
    with pytest.raises(FormError, match="birthday is mandatory"):
        Pages(Settings(home=tmp_path, project=tmp_path))


@pytest.mark.parametrize("condition", ["offer.purpose != required", "lang == 'en'", "loop.first"])
def test_a_forced_consent_does_not_start(tmp_path: Path, condition: str) -> None:
    """A box that has to be ticked is no consent, in whichever language and for whichever purpose."""
    shutil.copytree(PROJECT / "templates" / "pages", tmp_path / "templates" / "pages")
    shutil.copytree(PROJECT / "policies", tmp_path / "policies")
    page = tmp_path / "templates" / "pages" / "subscribe.html"
    forced = f'<input type="checkbox"{{% if {condition} %}} required{{% endif %}}'
    page.write_text(page.read_text("utf-8").replace('<input type="checkbox"', forced, 1), "utf-8")
    with pytest.raises(FormError, match="box:"):
        Pages(Settings(home=tmp_path, project=tmp_path))


def test_the_shipped_form_passes(tmp_path: Path) -> None:
    assert Pages(Settings(home=tmp_path)).styles[0].startswith("/static/site.css?v=")


def test_the_guide_names_only_properties_that_exist() -> None:
    named = set(re.findall(r"--[a-z][a-z-]+", (PROJECT / "docs" / "how-to" / "pages.md").read_text("utf-8")))
    held = set(re.findall(r"^\s*(--[a-z-]+):", (STATIC / "site.css").read_text("utf-8"), re.MULTILINE))
    assert named
    assert named <= held


def test_both_schemes_set_the_same_colours() -> None:
    """A colour that only one scheme sets would stay as it is in the other."""
    light, dark = (STATIC / "site.css").read_text("utf-8").split("prefers-color-scheme: dark", 1)
    names = [set(re.findall(r"(--[a-z-]+):", part.partition("\n  }\n}")[0])) for part in (light, dark)]
    assert names[0] - names[1] == {"--radius", "--text"}
    assert names[1] <= names[0]
