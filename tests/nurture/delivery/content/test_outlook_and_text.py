"""Does a mail hold together where HTML is old or absent?"""

from __future__ import annotations

import re

import pytest

from nurture.delivery.content import outlook, sample
from nurture.delivery.content.library import Library, Mail, Urls
from tests.nurture.delivery.content.desk import BODY, Desk


def test_every_shipped_mail_is_balanced_in_outlook(library: Library) -> None:
    for mail in library.mails.values():
        for lead in (sample.FULL, sample.BARE):
            assert outlook.unbalanced(sample.render(mail, lead).html) == []


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "two", "three"]])
def test_loop_stays_balanced_at_any_length(library: Library, texts: list[str]) -> None:
    mail = next(mail for mail in library.mails.values() if mail.key.startswith("opt_in"))
    assert outlook.unbalanced(mail.render(sample.context(mail) | {"texts": texts}, Urls()).html) == []


@pytest.mark.parametrize("shell", ["{}", "<mj-wrapper>{}</mj-wrapper>"])
@pytest.mark.parametrize("lead", [sample.FULL, sample.BARE], ids=["shown", "hidden"])
def test_conditional_section_is_balanced(desk: Desk, shell: str, lead: dict[str, str]) -> None:
    section = "{% if lead.company %}<mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section>{% endif %}"
    desk.write(body=BODY.replace("<mj-section>", shell.format(section * 2) + "<mj-section>", 1))
    assert outlook.unbalanced(sample.render(desk.mail(), lead).html) == []


def test_half_a_conditional_table_is_noticed() -> None:
    html = "<div><!--[if mso | IE]><table><tr><td><![endif]--><p>x</p></div>"
    assert outlook.unbalanced(html) == [
        "in the view of outlook: </div> closes <td>",
        "in the view of outlook: <div> is never closed",
        "in the view of outlook: <table> is never closed",
        "in the view of outlook: <tr> is never closed",
        "in the view of outlook: <td> is never closed",
    ]


def text_of(desk: Desk, here: str) -> str:
    desk.write(here)
    return sample.render(desk.mail()).text.split("\n\nGuide:")[0]


@pytest.mark.parametrize(
    ("here", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<br/>two", "one\ntwo"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("a &amp; b &lt;c&gt; d&nbsp;e", "a & b <c> d e"),
        ("<strong>bold</strong> and <em>not</em>", "bold and not"),
        ('see <a href="{{ preferences_url|url }}">here</a>.', "see here <https://musterwerk.example/p/example>."),
        ("{% if lead.company %}at {{ lead.company }}{% else %}nowhere{% endif %}", "at Beispiel Pumpen GmbH"),
        ("word " * 20, f"{' '.join(['word'] * 15)}\n{' '.join(['word'] * 5)}"),
    ],
)
def test_text_part_reads_like_text(desk: Desk, here: str, text: str) -> None:
    assert text_of(desk, here) == text


def test_button_becomes_label_and_address(desk: Desk) -> None:
    assert "Guide:\nhttps://musterwerk.example/guide\n" in sample.render(desk.mail()).text


def test_text_part_of_the_author_is_preferred(desk: Desk) -> None:
    text = "Own words. {{ unsubscribe_url }}\n{{ sender.company }}, {{ sender.postal_address }}, {{ sender.imprint }}\n"
    (desk.templates / "course" / "first" / "cold" / "body.en.txt").write_text(text)
    assert sample.render(desk.mail()).text.startswith("Own words. https://musterwerk.example/u/example")


def test_text_part_without_unsubscribe_is_refused(desk: Desk) -> None:
    text = "{{ sender.company }}, {{ sender.postal_address }}, {{ sender.imprint }}\n"
    (desk.templates / "course" / "first" / "cold" / "body.en.txt").write_text(text)
    assert desk.rules() == ["unsubscribe"]


def test_no_text_part_has_gaps_or_leftovers(library: Library) -> None:
    for mail in library.mails.values():
        for lead in (sample.FULL, sample.BARE):
            text = sample.render(mail, lead).text
            assert re.search(r"\n{3}|[{}]|<!--|None| ,|<[a-z/]+>", text) is None


def test_preview_text_is_hidden_without_tiny_type(library: Library) -> None:
    html = next(iter(library.mails.values())).compiled.html
    hidden = html.split("<body", 1)[1].split("<div", 2)[1]
    assert "display:none" in hidden
    assert "font-size" not in hidden
    assert "color" not in hidden


def test_html_is_smaller_than_what_webmail_cuts(library: Library) -> None:
    largest: Mail = max(library.mails.values(), key=lambda mail: len(mail.compiled.html))
    assert len(largest.compiled.html.encode()) < 40_000
