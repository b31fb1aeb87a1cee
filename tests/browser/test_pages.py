"""The public pages in a real Chromium: as a person uses them, on a phone, by keyboard, without scripts, and by axe."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from consent.states import standings
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page, ViewportSize

    from tests.browser.conftest import Site

GUIDE = PROJECT / "docs" / "how-to" / "pages.md"

pytestmark = pytest.mark.xdist_group("browser")

PHONE: ViewportSize = {"width": 390, "height": 844}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SEEN_IN_COLOUR = ["color-contrast", "link-in-text-block"]
"""Rules whose answer depends on the colour scheme; all others are asked once."""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A phone."""
    context = chromium.new_context(locale="de-DE", viewport=PHONE)
    made = context.new_page()
    made.set_default_timeout(10_000)
    yield made
    assert context.cookies() == []
    context.close()


# --- as a person -----------------------------------------------------------------------------


@pytest.mark.requirement(26)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts on", "scripts off"])
def test_the_way_in_and_out(chromium: Browser, site: Site, *, scripts: bool) -> None:
    """Sign up, read the mail, confirm, answer a question, choose, pause, leave."""
    context = chromium.new_context(locale="de-DE", java_script_enabled=scripts, viewport=PHONE)
    page = context.new_page()
    said, sent = list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: sent.append(request.url))

    page.goto(f"{site.url}/")
    page.get_by_role("link", name="Zum Newsletter anmelden").click()
    page.get_by_label("E-Mail-Adresse").fill("anna@firma.example")
    page.get_by_label("Produkt-Newsletter").check()
    page.get_by_label("Messung von Öffnungen").check()
    page.get_by_role("button", name="Anmelden").click()
    assert "Postfach" in page.inner_text("h1")

    [mail] = site.deliver()
    link = _confirm_link(site, mail)
    page.goto(link)
    page.get_by_role("button", name="Anmeldung bestätigen").click()
    assert "Vielen Dank" in page.inner_text("h1")
    page.get_by_label("Nachname").fill("Beispiel")
    page.get_by_role("button", name="Antworten").click()
    page.get_by_role("link", name="Zu Ihren Einstellungen").click()

    page.get_by_label("Höchstens eine E-Mail pro Woche").check()
    page.get_by_role("button", name="Speichern").click()
    assert page.get_by_label("Höchstens eine E-Mail pro Woche").is_checked()
    page.get_by_role("button", name="60 Tage").click()
    assert "Pause bis 22. Januar 2027" in page.inner_text("main")
    page.get_by_role("button", name="Pause beenden").click()
    page.get_by_role("button", name="Ausschalten: Messung").click()
    assert "Gespeichert" in page.inner_text("main")

    subject = site.only_subject()
    page.goto(site.url + site.link("/u/", "unsubscribe", subject))
    page.get_by_role("button", name="Jetzt abmelden").click()
    assert "Sie sind abgemeldet" in page.inner_text("h1")

    assert context.cookies() == []
    context.close()
    assert said == []
    assert all(url.startswith(site.url) for url in sent)
    with site.ws.store.read() as conn:
        states = {one.purpose: str(one.state) for one in standings(conn, subject)}
    assert states == {"newsletter.product": "withdrawn", "email.tracking": "withdrawn"}


def _confirm_link(site: Site, mail: str) -> str:
    found = re.search(rf"{re.escape(site.url)}/confirm/[a-z2-7]+", mail)
    assert found is not None
    return found[0]


def test_somebody_else_entered_my_address(page: Page, site: Site) -> None:
    page.goto(site.url + site.ask("anna@firma.example"))
    page.get_by_role("button", name="Das war ich nicht").click()
    assert "gelöscht" in page.inner_text("h1")


def test_erasure_asks_once_and_is_taken_down(page: Page, site: Site) -> None:
    page.goto(site.url + site.link("/d/", "data", site.join("anna@firma.example")))
    page.get_by_role("button", name="Löschung beantragen").click()
    page.get_by_role("button", name="Ja, alles löschen").click()
    assert "eingegangen" in page.inner_text("h1")


# --- by keyboard -------------------------------------------------------------------------------


def test_sign_up_and_confirm_by_keyboard_alone(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/subscribe")
    for wanted in ("skip", "brand", "language"):
        page.keyboard.press("Tab")
        assert wanted in page.evaluate("document.activeElement.className")
    page.keyboard.press("Tab")
    page.keyboard.type("anna@firma.example")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    _tab_to(page, "Anmelden")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Postfach")
    [mail] = site.deliver()
    page.goto(_confirm_link(site, mail))
    _tab_to(page, "Anmeldung bestätigen")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Vielen Dank")


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until a control of that name has the focus; each stop on the way is to be seen."""
    for _ in range(30):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => { const it = document.activeElement, look = getComputedStyle(it);
            return {name: it.innerText || it.value || '', outline: look.outlineStyle !== 'none'
                    && parseFloat(look.outlineWidth) >= 2}; }"""
        )
        assert seen["outline"], f"no visible focus before {name}"
        if name in seen["name"]:
            return
    pytest.fail(f"{name} cannot be reached")


# --- every page --------------------------------------------------------------------------------


def _open(path: str) -> Callable[[Page, Site], None]:
    return lambda page, site: _go(page, site, path)


def _go(page: Page, site: Site, path: str) -> None:
    page.goto(site.url + path)


def _press(page: Page, button: Locator) -> None:
    """Send a form: the click alone returns before the page that answers is there."""
    with page.expect_navigation():
        button.click()


def _personal(prefix: str, purpose: str, *buttons: str) -> Callable[[Page, Site], None]:
    def way(page: Page, site: Site) -> None:
        _go(page, site, site.link(prefix, purpose, site.join("anna@firma.example")))
        for name in buttons:
            _press(page, page.get_by_role("button", name=name).first)

    return way


def _subscribe(address: str, *, tick: bool) -> Callable[[Page, Site], None]:
    def way(page: Page, site: Site) -> None:
        _go(page, site, "/subscribe")
        page.fill("#address", address)
        if tick:
            page.check("#box-1")
        _press(page, page.get_by_role("button", name="Anmelden"))

    return way


def _confirm(*buttons: str, before: timedelta = timedelta(0)) -> Callable[[Page, Site], None]:
    def way(page: Page, site: Site) -> None:
        _go(page, site, site.ask("anna@firma.example", before=before))
        for name in buttons:
            _press(page, page.get_by_role("button", name=name))

    return way


PAGES: dict[str, Callable[[Page, Site], None]] = {
    "home": _open("/"),
    "subscribe": _open("/subscribe"),
    "subscribe with errors": _subscribe("anna@", tick=False),
    "check your mail": _subscribe("new@firma.example", tick=True),
    "confirm": _confirm(),
    "confirmed": _confirm("Anmeldung bestätigen"),
    "not me": _confirm("Das war ich nicht"),
    "lapsed": _confirm(before=timedelta(days=8)),
    "preferences": _personal("/p/", "preferences"),
    "preferences, saved": _personal("/p/", "preferences", "Speichern"),
    "preferences, paused": _personal("/p/", "preferences", "30 Tage"),
    "preferences, nothing left": _personal("/p/", "preferences", "Alle Einwilligungen widerrufen"),
    "told": _personal("/p/", "preferences", "Möchte ich nicht sagen"),
    "unsubscribe": _personal("/u/", "unsubscribe"),
    "unsubscribed": _personal("/u/", "unsubscribe", "Jetzt abmelden"),
    "my data": _personal("/d/", "data"),
    "my data, asked": _personal("/d/", "data", "Kopie anfordern"),
    "erase": _personal("/d/", "data", "Löschung beantragen"),
    "enquiry": _open("/request/demo_request"),
    "imprint": _open("/imprint"),
    "wrong address": _open("/nowhere"),
}


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, from the package that ships it."""
    found = find_spec("axe_playwright_python")
    assert found is not None
    assert found.origin is not None
    return (Path(found.origin).parent / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_and_fits_a_phone(page: Page, site: Site, axe: str, name: str) -> None:
    """Nothing found by axe in light or dark, nothing to scroll sideways at 390 and 320 px, large targets."""
    PAGES[name](page, site)
    page.evaluate(axe)
    found = _axe(page, {"type": "tag", "values": WCAG})
    page.emulate_media(color_scheme="dark")
    found += _axe(page, {"type": "rule", "values": SEEN_IN_COLOUR})
    assert found == []
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """() => [...document.querySelectorAll('main button, main summary, main .button')]
           .filter(it => it.getClientRects().length && it.getBoundingClientRect().height < 44)
           .map(it => it.innerText)"""
    )
    assert small == []


def test_axe_would_find_something(page: Page, site: Site, axe: str) -> None:
    """The net holds: a pale text is found in the scheme that shows it, and only there."""
    page.goto(f"{site.url}/")
    page.evaluate(axe)
    page.evaluate("document.querySelector('.lead').style.color = 'light-dark(#dddddd, #ffffff)'")
    light = _axe(page, {"type": "tag", "values": WCAG})
    page.emulate_media(color_scheme="dark")
    assert [found.partition(":")[0] for found in light] == ["color-contrast"]
    assert _axe(page, {"type": "rule", "values": SEEN_IN_COLOUR}) == []


def _axe(page: Page, only: dict[str, Any]) -> list[str]:
    done = page.evaluate("only => axe.run({runOnly: only})", only)
    # What axe cannot judge ("incomplete") counts as a finding too.
    return [
        f"{one['id']}: {node['html'][:120]}" for one in done["violations"] + done["incomplete"] for node in one["nodes"]
    ]


def test_the_brand_of_the_guide_is_readable(page: Page, site: Site, axe: str) -> None:
    """The example sheet of docs/how-to/pages.md keeps its contrast in both schemes."""
    sheet = re.search(r"^```css\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert sheet is not None
    PAGES["preferences, paused"](page, site)
    page.evaluate(
        "css => { const sheet = new CSSStyleSheet(); sheet.replaceSync(css); document.adoptedStyleSheets = [sheet]; }",
        sheet[1],
    )
    assert page.evaluate("getComputedStyle(document.querySelector('.button')).backgroundColor") == "rgb(122, 31, 162)"
    page.evaluate(axe)
    found = _axe(page, {"type": "rule", "values": SEEN_IN_COLOUR})
    page.emulate_media(color_scheme="dark")
    assert found + _axe(page, {"type": "rule", "values": SEEN_IN_COLOUR}) == []


def test_paper_shows_what_counts(page: Page, site: Site) -> None:
    page.goto(site.url + site.ask("anna@firma.example"))
    page.emulate_media(media="print")
    assert page.locator("blockquote.wording").first.is_visible()
    assert not page.locator("main button").first.is_visible()
    assert not page.locator(".foot").is_hidden()
