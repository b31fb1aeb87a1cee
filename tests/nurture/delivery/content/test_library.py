"""Which mails can be had, and what is known of each?"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from nurture.delivery.content import ContentError, RefusedError, sample
from nurture.delivery.content.library import CONFIRM_STEP, Library, Link, MailKey, MessageClass, Urls
from nurture.delivery.content.review import review
from nurture.sequences import definition
from tests.nurture.delivery.content.conftest import TEMPLATES
from tests.nurture.delivery.content.desk import KEY, Desk

if TYPE_CHECKING:
    from pathlib import Path


def test_shipped_mails_have_no_findings(library: Library) -> None:
    assert review(library) == []


@pytest.mark.requirement(86, 90)
def test_every_step_has_all_variants(library: Library) -> None:
    wanted = {
        MailKey(name, step.id, temperature, language)
        for name, sequence in definition.load(TEMPLATES).items()
        for step in sequence.steps
        if step.kind == "mail"
        for temperature in ("cold", "warm", "hot")
        for language in ("de", "en")
    }
    assert wanted | {MailKey(*CONFIRM_STEP, language) for language in ("de", "en")} == set(library.mails)


@pytest.mark.requirement(88, 89, 91)
def test_class_follows_temperature(library: Library) -> None:
    found = {
        (key.temperature, mail.message_class.value) for key, mail in library.mails.items() if key.sequence == "welcome"
    }
    assert found == {("cold", "educational"), ("warm", "product"), ("hot", "direct")}


@pytest.mark.requirement(99)
def test_sequence_for_the_silent_brings_something(library: Library) -> None:
    assert library.mail(MailKey("reengage", "worksheet", "cold", "de")).message_class is MessageClass.FOLLOW_UP


@pytest.mark.requirement(98)
def test_every_sequence_declares_its_goal() -> None:
    assert {name: sequence.goal is not None for name, sequence in definition.load(TEMPLATES).items()} == {
        "reengage": True,
        "welcome": True,
    }


def test_both_languages_have_the_same_links(library: Library) -> None:
    for key, mail in library.mails.items():
        other = library.mail(MailKey(key.sequence, key.step, key.temperature, "en"))
        assert [link.key for link in mail.links] == [link.key for link in other.links]


def test_links_are_numbered_in_order_of_first_use(library: Library) -> None:
    mail = library.mail(MailKey("welcome", "hello", "hot", "en"))
    site = "https://musterwerk.example/en"
    assert mail.links == (
        Link("case", f"{site}/references/beispiel-antriebstechnik"),
        Link("appointment", f"{site}/appointment"),
    )


@pytest.mark.parametrize("part", ["html", "text"])
def test_each_link_is_asked_for_by_its_number(library: Library, part: str) -> None:
    mail = library.mail(MailKey("welcome", "hello", "hot", "en"))
    shown = getattr(mail.render(sample.context(mail), Urls(lambda index, _: f"https://t.example/c/x/{index}")), part)
    assert "https://t.example/c/x/0" in shown
    assert "https://t.example/c/x/1" in shown
    assert "musterwerk.example/en" not in shown


def test_without_tracking_there_is_no_wrapped_link_and_no_pixel(library: Library) -> None:
    mail = library.mail(MailKey("welcome", "hello", "hot", "en"))
    shown = mail.render(sample.context(mail), Urls())
    assert mail.links[0].url in shown.html
    assert "<img" not in shown.html


def test_with_tracking_there_is_one_pixel(library: Library) -> None:
    mail = library.mail(MailKey("welcome", "hello", "hot", "en"))
    context = sample.context(mail) | {"open_pixel_url": "https://t.example/o/x.gif"}
    html = mail.render(context, Urls()).html
    assert html.count("<img") == html.count('<img src="https://t.example/o/x.gif" alt=""') == 1


@pytest.mark.parametrize(
    ("lead", "greeting"),
    [
        ({"salutation": "Frau", "last_name": "Weber"}, "Guten Tag Frau Weber,"),
        ({"salutation": "Frau", "first_name": "Kim"}, "Guten Tag,"),
        ({"first_name": "Kim", "last_name": "Weber"}, "Guten Tag Kim Weber,"),
        ({"last_name": "Weber", "salutation": None}, "Guten Tag,"),
        ({}, "Guten Tag,"),
    ],
)
def test_greeting_fits_what_is_known(library: Library, lead: dict[str, str], greeting: str) -> None:
    mail = library.mail(MailKey("welcome", "hello", "cold", "de"))
    assert f"\n{greeting}\n" in sample.render(mail, lead).text


def test_hash_changes_with_the_words(desk: Desk) -> None:
    before = desk.mail().sha256
    desk.write("Hello again")
    assert before != desk.mail().sha256


def test_hash_is_the_same_elsewhere(library: Library, tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "t")
    elsewhere = Library.load(tmp_path / "t")
    assert {key: mail.sha256 for key, mail in elsewhere.mails.items()} == {
        key: mail.sha256 for key, mail in library.mails.items()
    }


def test_broken_mail_does_not_stop_the_others(desk: Desk) -> None:
    desk.write("<p>")
    library = Library.load(desk.templates)
    assert not library.has(KEY)
    assert library.has(MailKey(*CONFIRM_STEP, "de"))


def test_broken_mail_cannot_be_had(desk: Desk) -> None:
    desk.write("<p>")
    with pytest.raises(RefusedError, match=r"course/first/cold/body\.en\.mjml:10: xml"):
        desk.mail()


def test_unknown_mail_is_named(library: Library) -> None:
    with pytest.raises(ContentError, match=r"there is no mail welcome/nowhere/cold/de"):
        library.mail(MailKey("welcome", "nowhere", "cold", "de"))


def test_folder_without_a_base_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"_base/library\.yaml is missing"):
        Library.load(tmp_path)


def test_missing_variant_is_found(desk: Desk) -> None:
    missing = {finding.file for finding in Library.load(desk.templates).findings if finding.rule == "missing"}
    assert "course/first/hot/body.de.mjml" in missing


def test_unchanged_files_are_compiled_once(desk: Desk) -> None:
    assert Library.load(desk.templates) is Library.load(desk.templates)


def test_compiling_everything_takes_little(library: Library, tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "t")
    started = time.process_time()
    Library.load(tmp_path / "t")
    assert time.process_time() - started < 3


def test_mail_key_reads_what_it_writes() -> None:
    assert MailKey.parse(str(KEY)) == KEY
