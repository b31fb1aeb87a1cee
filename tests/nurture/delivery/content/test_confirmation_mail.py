"""Is the mail that asks for confirmation neutral? It must be no advertising and watch nobody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from nurture.delivery.content import sample
from nurture.delivery.content.library import CONFIRM_STEP, Library, Mail, MailKey, Urls

if TYPE_CHECKING:
    from tests.nurture.delivery.content.desk import Desk

BUTTON = '<mj-button href="{{ confirm_url|url }}"'


@pytest.fixture(params=["de", "en"])
def mail(request: pytest.FixtureRequest, library: Library) -> Mail:
    return library.mail(MailKey(*CONFIRM_STEP, request.param))


@pytest.mark.requirement(95)
def test_it_states_what_was_asked_when_and_where(mail: Mail) -> None:
    text = " ".join(sample.render(mail).text.split())
    for said in ("2026", "09:00", "Website", sample.WORDING[mail.language], sample.SENDER["imprint"]):
        assert said in text


def test_it_links_to_nothing_but_its_two_answers(mail: Mail) -> None:
    shown = sample.render(mail)
    assert set(re.findall(r'href="([^"]+)"', shown.html)) == {
        f"{sample.SITE}/confirm/example",
        f"{sample.SITE}/confirm/example#decline",
    }


def test_it_holds_no_picture_and_no_pixel(mail: Mail) -> None:
    shown = mail.render(sample.context(mail) | {"open_pixel_url": "https://t.example/o/x.gif"}, Urls())
    assert "<img" not in shown.html
    assert "t.example" not in shown.html


def test_it_has_no_countable_links(mail: Mail) -> None:
    assert mail.links == ()


def test_its_lead_in_fits_one_consent_and_several(mail: Mail) -> None:
    """Two wordings below "this consent:" would leave open which of them is meant."""
    text = " ".join(sample.render(mail).text.split())
    said = {"de": "willigen Sie in Folgendes ein:", "en": "you consent to the following:"}[mail.language]
    assert f"{said} {sample.WORDING[mail.language]}" in text


def test_it_names_no_product(mail: Mail) -> None:
    assert "Monitor" not in sample.render(mail).html


def test_every_wording_is_shown_escaped(mail: Mail) -> None:
    shown = mail.render(sample.context(mail) | {"texts": ["I <agree>.", "I also agree."]}, Urls())
    assert "I &lt;agree&gt;." in shown.html
    assert "I also agree." in shown.html


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (BUTTON, '<mj-button href="https://musterwerk.example/"', "host"),
        ("<mj-divider", '<mj-image alt="" width="10px" src="https://musterwerk.example/x.png"/><mj-divider', "locked"),
        ("<mj-divider", '<mj-button href="{{ decline_url|url }}">x</mj-button><mj-divider', "locked"),
        ("<mj-divider", '<mj-text>{{ track("x", "https://musterwerk.example/") }}</mj-text><mj-divider', "call"),
        ("{{ source }}", "", "locked"),
        ("{{ requested_at }}", "", "locked"),
        ("{{ sender.imprint }}", "", "imprint"),
        ("{{ source }}", "{{ lead.first_name }}", "variable"),
    ],
)
def test_it_cannot_be_made_anything_else(desk: Desk, old: str, new: str, rule: str) -> None:
    body = desk.templates.joinpath(*CONFIRM_STEP, "body.de.mjml")
    body.write_text(body.read_text("utf-8").replace(old, new, 1), "utf-8")
    assert rule in desk.rules()
    assert not Library.load(desk.templates).has(MailKey(*CONFIRM_STEP, "de"))
