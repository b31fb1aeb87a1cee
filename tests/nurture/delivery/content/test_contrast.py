"""Can every word be read, light and dark? Asked of a real browser, where there is one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from nurture.delivery.content import sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nurture.delivery.content.library import Library

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip

POOR = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parts(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.getClientRects().length) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const [a, b] = [light(parts(style.color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${text.data.trim().slice(0, 40)}`);
  }
  return poor;
}"""
"""Gives the texts whose contrast is below WCAG 2 AA: 4.5, or 3 for large type."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine: contrast is not looked at")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read(library: Library, browser: Any, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 700, "height": 900})
    poor = {}
    for mail in library.mails.values():
        page.set_content(sample.render(mail).html)
        if found := page.evaluate(POOR):
            poor[mail.key] = found
    page.close()
    assert poor == {}


@pytest.mark.parametrize("width", [390, 700])
def test_nothing_is_wider_than_the_window(library: Library, browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    wide = []
    for mail in library.mails.values():
        page.set_content(sample.render(mail).html)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(mail.key)
    page.close()
    assert wide == []


def test_dark_colours_are_really_measured(library: Library, browser: Any) -> None:
    """The trap: a background on the section's class alone does not reach its inner table."""
    html = sample.render(next(iter(library.mails.values()))).html
    page = browser.new_page(color_scheme="dark")
    page.set_content(html.replace(".card, .card > table {", ".card {"))
    found = page.evaluate(POOR)
    page.close()
    assert found
