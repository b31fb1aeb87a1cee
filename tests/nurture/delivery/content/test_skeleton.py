"""Is what skeleton and values make, byte for byte, what the full render writes?"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from nurture.delivery.content import RenderError, sample
from nurture.delivery.content.addresses import Addresses
from nurture.delivery.content.context import UnsafeHeaderError
from nurture.delivery.content.library import Library, MessageClass
from nurture.delivery.content.review import one_by_one
from nurture.delivery.content.skeleton import skeleton
from nurture.delivery.headers import list_unsubscribe
from nurture.settings import PROJECT
from tests.nurture.delivery.content.desk import LINE
from tests.nurture.delivery.content.people import PEOPLE, SITE, frame, in_full, in_parts, parts_of, split

if TYPE_CHECKING:
    from nurture.delivery.content.library import MailKey
    from tests.nurture.delivery.content.desk import Desk

MARKETING = [
    key
    for key, mail in Library.load(PROJECT / "templates").mails.items()
    if mail.message_class is not MessageClass.CONFIRMATION
]


@pytest.mark.parametrize("key", MARKETING, ids=str)
def test_every_shipped_mail_is_the_same_both_ways(library: Library, key: MailKey) -> None:
    """Whoever reads it, tracked or not, customer or not, with or without a privacy notice."""
    mail = library.mail(key)
    for tracked, customer, privacy in product((True, False), (True, False), (None, f"{SITE}/privacy?a=1&b=2")):
        shared = frame(tracked=tracked, privacy=privacy, customer=customer)
        for lead in PEOPLE:
            assert in_parts(mail, shared, lead) == in_full(mail, shared, lead)


def test_html_and_text_share_only_what_is_the_same_in_both(library: Library) -> None:
    """A value is escaped for one of them only, but for the parts of tokens: letters and digits."""
    for key in MARKETING:
        made = split(library.mail(key), frame(tracked=True))
        html, text = (
            {piece for piece in part if isinstance(piece, int)} for part in (made.content.html, made.content.text)
        )
        values = made.values(sample.FULL, parts_of(sample.FULL))
        assert {values[hole] for hole in html & text} <= set(parts_of(sample.FULL))
        assert all(one.isascii() and one.isalnum() for one in parts_of(sample.FULL))


def test_no_part_of_a_token_is_told_twice(library: Library) -> None:
    """Neither for each of the parts and headers nor for each of the tokens that begin with it."""
    for key in MARKETING:
        values = split(library.mail(key), frame(tracked=True)).values(PEOPLE[0], parts_of(PEOPLE[0]))
        assert [values.count(part) for part in parts_of(PEOPLE[0])] == [1] * 5


def test_headers_hold_the_token_of_the_message(library: Library) -> None:
    """As `list_unsubscribe` writes them, byte for byte."""
    shared = replace(frame(tracked=True), mailbox="weg@musterwerk.example")
    made = split(library.mail(MARKETING[0]), shared)
    addresses = Addresses(SITE, tracked=True, parts=parts_of(sample.FULL))
    values = made.values(sample.FULL, addresses.parts)
    written = {name: write(values) for name, write in made.content.header_forms.items()}
    assert written == list_unsubscribe(addresses.unsubscribe, addresses.token("unsubscribe"), "weg@musterwerk.example")


def test_links_cost_one_hole_however_many_they_are(library: Library) -> None:
    """Only the token differs, and a message has one token for all its links."""
    made = split(library.mail(MARKETING[0]), frame(tracked=True))
    values = made.values(sample.FULL, parts_of(sample.FULL))
    click = parts_of(sample.FULL)[1]
    assert made.content.html_for(values).count(click) > values.count(click) == 1


@pytest.mark.parametrize(
    ("here", "reason"),
    [
        ("{% for each in preferences_url %}{{ each }}{% endfor %}", "a loop runs over personal data"),
        ("{% for each in sender %}{{ lead.company or each }}{% endfor %}", "what a loop says depends on the person"),
        ("{% for lead in sender %}{{ lead }}{% endfor %}", "a loop gives lead another meaning"),
        ("{% if lead.company %}{% for each in sender %}x{% endfor %}{% endif %}", "a loop stands within a condition"),
        ('{{ "a" if lead.company }}', "a conditional expression has no else"),
        ('{% if preferences_url == "x" %}a{% endif %}', "an address of the message is compared"),
        ("{{ lead.company == preferences_url }}", "an address of the message is compared"),
        ("{{ lead }}", "lead is used as a whole"),
        ("{% if lead.company %}" + "word " * 2000 + "{% endif %}", "may take"),
    ],
)
def test_check_says_which_mail_goes_one_by_one_and_where(desk: Desk, here: str, reason: str) -> None:
    """Reason, file and line, as a note and no finding: the mail is sent all the same."""
    desk.write(here)
    assert desk.rules() == []
    (said,) = one_by_one(Library.load(desk.templates))
    assert (said.file, said.line, said.rule) == ("course/first/cold/body.en.mjml", LINE, "one_by_one")
    assert reason in said.message


def test_a_mail_with_a_personal_text_part_is_blamed_in_its_own_file(desk: Desk) -> None:
    """The text part that an author wrote has its own lines."""
    desk.write()
    body = "{{ sender.company }} {{ sender.postal_address }} {{ sender.imprint }}\n{{ unsubscribe_url }}\n{{ lead }}\n"
    (desk.templates / "course/first/cold/body.en.txt").write_text(body, "utf-8")
    (said,) = one_by_one(Library.load(desk.templates))
    assert (said.file, said.line) == ("course/first/cold/body.en.txt", 3)


def test_all_our_mails_share_their_requests(library: Library) -> None:
    """None of the shipped mails is sent one by one."""
    assert one_by_one(library) == []


def test_a_hostile_subject_is_refused_for_this_person_alone(desk: Desk) -> None:
    """A line break in a name would begin a new header."""
    desk.write(subject="For {{ lead.company }}")
    made = split(desk.mail(), frame(tracked=False))
    with pytest.raises(UnsafeHeaderError, match="course/first/cold/en"):
        made.values({"company": "A\nBcc: somebody@x.example"}, parts_of({}))
    assert "For A" in made.content.subject_for(made.values({"company": "A"}, parts_of({})))


def test_an_error_names_no_value(desk: Desk) -> None:
    """The mail is named, the person is not."""
    desk.write('<a href="{{ lead.company|url }}">x</a>')
    made = split(desk.mail(), frame(tracked=False))
    with pytest.raises(RenderError) as raised:
        made.values({"company": "javascript:secret"}, parts_of({}))
    assert "course/first/cold/en" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_tokens_of_another_length_are_refused(library: Library) -> None:
    """Lines of the text part would break elsewhere."""
    made = split(library.mail(MARKETING[0]), frame(tracked=True))
    with pytest.raises(ValueError, match="length"):
        made.values(sample.FULL, ("a",) * 5)


def test_the_same_mail_and_frame_are_evaluated_once(library: Library) -> None:
    """Template executions count contents, not people."""
    mail = library.mail(MARKETING[0])
    assert split(mail, frame(tracked=True)) is split(mail, frame(tracked=True))


def test_contents_are_told_apart_by_their_hash(library: Library) -> None:
    """Tracked and untracked, another sender's notice, another mail: each has a hash of its own, the same every time."""
    contents = [
        split(library.mail(key), frame(tracked=tracked, privacy=privacy)).content
        for key, tracked, privacy in product(MARKETING, (True, False), (None, SITE))
    ]
    assert len({content.sha256 for content in contents}) == len(contents)
    skeleton.cache_clear()
    assert split(library.mail(MARKETING[0]), frame(tracked=True)).content.sha256 == contents[0].sha256
