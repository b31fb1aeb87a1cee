"""Does each bundled mail lead to the privacy notice where there is one (Art. 13 GDPR)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nurture.delivery.content import sample
from nurture.delivery.content.library import Urls

if TYPE_CHECKING:
    from nurture.delivery.content.library import Library

NOTICE = "https://musterwerk.example/datenschutz"
WORDS = {"de": "Datenschutzhinweise", "en": "Privacy notice"}


@pytest.mark.parametrize(("address", "times"), [(NOTICE, 1), (None, 0)])
def test_every_mail_leads_to_the_notice_once(library: Library, address: str | None, times: int) -> None:
    """In both parts; without a notice not even its word is there."""
    mails = list(map(library.mail, library.keys()))
    assert len(mails) > 10
    for mail in mails:
        shown = mail.render(sample.context(mail) | {"privacy_url": address}, Urls())
        word = WORDS[mail.language]
        assert [shown.text.count(NOTICE), shown.html.count(f'href="{NOTICE}"')] == [times] * 2, mail.key
        assert [shown.text.count(word), shown.html.count(word)] == [times] * 2, mail.key
