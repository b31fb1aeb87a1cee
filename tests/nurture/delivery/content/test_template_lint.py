"""Which templates does the build refuse, and does it say where and why?"""

from __future__ import annotations

import pytest

from tests.nurture.delivery.content.desk import BODY, Desk

A_LINK = '<a href="{{ track("KEY", "https://musterwerk.example/x") }}">x</a>'


def test_sound_mail_has_no_findings(desk: Desk) -> None:
    assert desk.rules() == []


@pytest.mark.parametrize(
    ("here", "rule"),
    [
        ("<script>x</script>", "banned"),
        ("<form>x</form>", "banned"),
        ("<img src='https://musterwerk.example/p.png'/>", "banned"),
        ("<p onclick='x'>x</p>", "banned"),
        ("<a href='https://musterwerk.example/x'>x</a>", "link"),
        ("<a href='{{ preferences_url }}'>x</a>", "link"),
        ("<a href='javascript:x'>x</a>", "link"),
        ('<a href="{{ track("x", "https://tracker.example/x") }}">x</a>', "host"),
        ('<a href="{{ track("x", "https://musterwerk.example.evil.example/") }}">x</a>', "host"),
        ("{{ lead.first_name", "jinja"),
        ("{% if lead.first_name %}x", "jinja"),
        ("{{ lead.shoe_size }}", "variable"),
        ("{{ weather }}", "variable"),
        ("<p>x", "xml"),
        ("<![CDATA[x]]>", "xml"),
        ("Last chance: only today!", "urgency"),
        ("Nur noch 3 Tage!", "urgency"),
        ('<a href="{{ unsubscribe_url|url }}">again</a>', "unsubscribe"),
    ],
)
def test_it_is_refused_by_its_rule(desk: Desk, here: str, rule: str) -> None:
    desk.write(here)
    assert desk.rules() == [rule]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('lang="en"', 'lang="de"', "lang"),
        ("<mj-title>Title</mj-title>", "", "head"),
        ("<mj-preview>Preview</mj-preview>", "", "head"),
        ("<mj-section>", "<mj-carousel></mj-carousel><mj-section>", "banned"),
        ("<mj-section>", "<mj-html-attributes></mj-html-attributes><mj-section>", "banned"),
        ("<mj-section>", '<mj-hero mode="fixed-height"></mj-hero><mj-section>', "banned"),
        ("<mj-section>", "<mj-raw><p>x</p></mj-raw><mj-section>", "banned"),
        ("<mj-text>", '<mj-image width="10px" src="https://musterwerk.example/a.png"/><mj-text>', "alt"),
        ("<mj-text>", '<mj-image alt="a" src="https://musterwerk.example/a.png"/><mj-text>', "width"),
        ("<mj-text>", '<mj-image alt="" width="10px" src="//cdn.example/a.png"/><mj-text>', "host"),
        ('path="_base/head.mjml"', 'path="../../etc/passwd"', "include"),
        ('path="_base/head.mjml"', 'path="_base/none.mjml"', "file"),
        ("<mjml", "<!DOCTYPE x [<!ENTITY y 'z'>]><mjml", "xml"),
    ],
)
def test_structure_is_refused_by_its_rule(desk: Desk, old: str, new: str, rule: str) -> None:
    desk.write(body=BODY.replace(old, new, 1))
    assert desk.rules() == [rule]


@pytest.mark.requirement(88)
@pytest.mark.parametrize("sold", ["product", "direct"])
def test_cold_mail_must_not_sell(desk: Desk, sold: str) -> None:
    desk.write(notes=f"classes: {{cold: {sold}}}")
    assert desk.rules() == ["class"]


@pytest.mark.requirement(88)
def test_cold_mail_must_not_link_to_offers(desk: Desk) -> None:
    desk.write(A_LINK.replace("KEY", "pricing"))
    assert desk.rules() == ["class"]


@pytest.mark.requirement(101)
def test_follow_up_needs_something_of_value(desk: Desk) -> None:
    desk.write(notes="classes: {cold: follow_up}")
    assert desk.rules() == ["follow_up"]


@pytest.mark.requirement(101)
def test_follow_up_with_asset_is_fine(desk: Desk) -> None:
    desk.write(notes="classes: {cold: follow_up}\nasset: guide")
    assert desk.rules() == []


@pytest.mark.requirement(102)
def test_required_field_must_be_used(desk: Desk) -> None:
    desk.write(notes="requires: [lead.company]")
    assert desk.rules() == ["required"]


@pytest.mark.requirement(102)
def test_urgency_with_dated_fact_is_fine(desk: Desk) -> None:
    desk.write("Only 3 seats left", notes="dated_fact: the room of 2026-12-03 has 20 seats")
    assert desk.rules() == []


def test_mail_without_footer_lacks_imprint_and_unsubscribe(desk: Desk) -> None:
    desk.write(body=BODY.replace('<mj-include path="_base/footer.en.mjml" />', ""))
    assert desk.rules() == ["imprint", "imprint", "imprint", "unsubscribe"]


def test_default_font_would_call_a_foreign_host(desk: Desk) -> None:
    desk.write(body=BODY.replace("<mj-text>", '<mj-text font-family="Roboto">'))
    assert desk.rules() == ["host"]


def test_loop_around_columns_is_refused(desk: Desk) -> None:
    body = BODY.replace("<mj-column>", "{% if lead.company %}\n<mj-column>").replace(
        "</mj-column>", "</mj-column>\n{% endif %}"
    )
    desk.write(body=body)
    assert desk.rules() == ["columns", "columns"]


def test_finding_in_an_include_names_the_include(desk: Desk) -> None:
    footer = desk.templates / "_base" / "footer.en.mjml"
    footer.write_text(footer.read_text("utf-8").replace("{{ sender.imprint }}", "{{ sender.imprint }}{{ sender.fax }}"))
    assert desk.complaint().startswith("_base/footer.en.mjml:6: variable: sender.fax is unknown")


def test_unknown_key_in_notes_is_refused(desk: Desk) -> None:
    desk.write(notes="colour: red")
    assert desk.complaint().startswith("course/first/mail.yaml:1: yaml: colour")


def test_broken_notes_name_their_line(desk: Desk) -> None:
    desk.write(notes="about: x\ntone: {cold: [")
    assert desk.complaint().startswith("course/first/mail.yaml:2: yaml")


def test_subject_of_two_lines_is_refused(desk: Desk) -> None:
    desk.write(subject="One\nTwo")
    assert desk.rules() == ["subject"]


def test_template_that_is_not_utf8_is_refused(desk: Desk) -> None:
    (desk.templates / "course" / "first" / "cold" / "subject.en.txt").write_bytes(b"Gr\xfc\xdfe")
    assert desk.rules() == ["file"]
