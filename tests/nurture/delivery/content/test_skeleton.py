"""Is what skeleton and values make, byte for byte, what the full render writes?"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from nurture.delivery.content import sample
from nurture.delivery.content.library import Library, MessageClass
from nurture.settings import PROJECT
from tests.nurture.delivery.content.people import PEOPLE, SITE, frame, in_full, in_parts, split, tokens_of

if TYPE_CHECKING:
    from nurture.delivery.content.library import MailKey

MARKETING = [
    key
    for key, mail in Library.load(PROJECT / "templates").mails.items()
    if mail.message_class is not MessageClass.CONFIRMATION
]


@pytest.mark.parametrize("key", MARKETING, ids=str)
def test_every_shipped_mail_is_the_same_both_ways(library: Library, key: MailKey) -> None:
    """Whoever reads it, tracked or not, customer or not, with or without a privacy notice."""
    mail = library.mail(key)
    for tracked, privacy in product((True, False), (None, f"{SITE}/privacy?a=1&b=2")):
        shared = frame(tracked=tracked, privacy=privacy)
        for lead, customer in product(PEOPLE, (True, False)):
            assert in_parts(mail, shared, lead, customer=customer) == in_full(mail, shared, lead, customer=customer)


def test_html_and_text_share_no_hole(library: Library) -> None:
    """A value is escaped for one of them only."""
    for key in MARKETING:
        content = split(library.mail(key), frame(tracked=True)).content
        parts = [{piece for piece in part if isinstance(piece, int)} for part in (content.html, content.text)]
        assert parts[0].isdisjoint(parts[1])


def test_links_cost_one_hole_however_many_they_are(library: Library) -> None:
    """Only the token differs, and a message has one token for all its links."""
    made = split(library.mail(MARKETING[0]), frame(tracked=True))
    values = made.values(sample.FULL, tokens_of(sample.FULL), customer=False)
    click = tokens_of(sample.FULL)[0]
    assert made.content.html_for(values).count(click) > values.count(click) - 1 == 1
