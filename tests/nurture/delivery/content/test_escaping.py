"""What can a hostile name do to a mail? Nothing, in any part."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from nurture.delivery.content import RenderError, sample
from nurture.delivery.content.context import UnsafeHeaderError, header_text, web_address
from nurture.delivery.content.language import HTML, TEXT
from nurture.delivery.content.library import Library, Mail, MailKey, Rendered, Urls

if TYPE_CHECKING:
    from tests.nurture.delivery.content.desk import Desk

HOSTILE = "<b>Eve</b>&\"'{{7*7}}"
ESCAPED = "&lt;b&gt;Eve&lt;/b&gt;&amp;&#34;&#39;{{7*7}}"


def render(mail: Mail, **lead: str) -> Rendered:
    return mail.render(sample.context(mail, lead), Urls())


@pytest.fixture
def greeting(library: Library) -> Mail:
    return library.mail(MailKey("welcome", "hello", "cold", "de"))


def test_html_part_escapes_a_name(greeting: Mail) -> None:
    html = render(greeting, first_name="Eve", last_name=HOSTILE).html
    assert ESCAPED in html
    assert "<b>Eve" not in html


def test_text_part_shows_a_name_as_it_is(greeting: Mail) -> None:
    assert f"Guten Tag Eve {HOSTILE}," in render(greeting, first_name="Eve", last_name=HOSTILE).text


def test_subject_is_not_escaped(desk: Desk) -> None:
    desk.write(subject="For {{ lead.company }}")
    assert render(desk.mail(), company="Müller & Söhne").subject == "For Müller & Söhne"


@pytest.mark.parametrize("name", ["mail.html.j2", "mail.j2", "mail.txt", "mail.mjml", "mail.html"])
def test_escaping_never_depends_on_a_name(name: str) -> None:
    value = {"lead": {"first_name": "<b>"}}
    code = "{{ lead.first_name }}"
    compiled = [each.from_string(code) for each in (HTML, TEXT)]
    for template in compiled:
        template.name = name
    assert [template.render(value) for template in compiled] == ["&lt;b&gt;", "<b>"]


@pytest.mark.parametrize("character", ["\r\n", "\n", "\x00", "\u2028", "\u202e", "\u200b", "\x7f"])
def test_control_character_in_subject_is_refused(desk: Desk, character: str) -> None:
    desk.write(subject="For {{ lead.company }}")
    with pytest.raises(UnsafeHeaderError):
        render(desk.mail(), company=f"A{character}Bcc: everyone")


def test_refusal_does_not_quote_the_value(desk: Desk) -> None:
    desk.write(subject="For {{ lead.company }}")
    with pytest.raises(UnsafeHeaderError) as refused:
        render(desk.mail(), company="Secret\nName")
    assert "Secret" not in str(refused.value)


@pytest.mark.parametrize("subject", ["", "   ", "x" * 201])
def test_empty_or_endless_subject_is_refused(subject: str) -> None:
    with pytest.raises(UnsafeHeaderError):
        header_text(subject)


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://a b", "http:\\\\evil", "https://x\n",
     "vbscript:x", "file:///etc/passwd", "https:///path", 'https://x"onclick=', ""],
)  # fmt: skip
def test_strange_address_is_refused(address: str) -> None:
    with pytest.raises(RenderError):
        web_address(address)


@pytest.mark.parametrize(
    "address", ["https://a.example/x?y=1&z=2#f", "http://127.0.0.1:8321/c/abc/0", "mailto:a@b.example"]
)
def test_proper_address_is_kept(address: str) -> None:
    assert web_address(address) == address


def test_unsubscribe_address_is_checked(greeting: Mail) -> None:
    context = sample.context(greeting) | {"unsubscribe_url": "javascript:alert(1)"}
    with pytest.raises(RenderError, match="neither http"):
        greeting.render(context, Urls())


def test_link_addresses_are_checked(greeting: Mail) -> None:
    with pytest.raises(RenderError):
        greeting.render(sample.context(greeting), Urls(lambda _index, _url: "javascript:alert(1)"))


def test_missing_context_is_an_error(greeting: Mail) -> None:
    context = sample.context(greeting)
    del context["unsubscribe_url"]
    with pytest.raises(RenderError, match="welcome/hello/cold/de: the context lacks unsubscribe_url"):
        greeting.render(context, Urls())


def test_values_are_not_templates(greeting: Mail) -> None:
    assert "49" not in render(greeting, first_name="{{7*7}}", last_name="{% raw %}").text


def test_undeclared_context_does_not_arrive(desk: Desk) -> None:
    lead = {"first_name": "Kim", "address": "secret@x.example"}
    mail = desk.mail()
    assert "secret" not in str(mail.render(sample.context(mail, lead) | {"token": "secret"}, Urls()))


def test_times_are_written_in_the_reader_zone(library: Library) -> None:
    mail = library.mail(MailKey("opt_in", "confirm", "neutral", "de"))
    context = sample.context(mail) | {"requested_at": datetime(2026, 7, 1, 22, 30, tzinfo=UTC)}
    assert "2. Juli 2026 um 00:30 Uhr (MESZ)" in mail.render(context, Urls()).text
