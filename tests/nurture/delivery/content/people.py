"""One person's mail, written both ways: by the full render and from the skeleton."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from consent.tokens import ID_LENGTH, IN_MAILS, MAC_LENGTH_IN_MAILS
from nurture.delivery.content import sample
from nurture.delivery.content.addresses import Addresses
from nurture.delivery.content.library import Mail, Rendered, Urls
from nurture.delivery.content.skeleton import Frame, Obstacle, Skeleton, skeleton

if TYPE_CHECKING:
    from collections.abc import Mapping

SITE = "https://nurture.example"
SENDER = tuple({**sample.SENDER, "imprint": 'Vera & "Beispiel" <HRB>'}.items())

PEOPLE: tuple[Mapping[str, str], ...] = (
    sample.FULL,
    sample.BARE,
    {"first_name": "Änne", "last_name": "Groß-O'Neill", "company": "Müller & Söhne"},
    {"first_name": "'", "last_name": '"', "salutation": ">", "company": "<"},
    {"salutation": '<b onload="x">', "last_name": "</td>{{ lead.company }}{% if", "company": "%s {0} \\1 \\g<0>"},
    {"first_name": " ", "last_name": "two\n\n\nparagraphs\x0b\u2028\r", "company": "a\tb  c \xa0"},
    {"last_name": "x" * 80, "salutation": "y" * 75, "company": "word " * 60},
    {"first_name": "very " * 79, "last_name": "long", "company": "&" * 4000},
    {"company": "z" * 4001},
)


def frame(*, tracked: bool, privacy: str | None = None, customer: bool = False) -> Frame:
    """Give what the mails of a batch share."""
    return Frame(SITE, tracked, SENDER, privacy, customer=customer)


def split(mail: Mail, shared: Frame) -> Skeleton:
    """Give the skeleton of a mail that must have one."""
    made = skeleton(mail, shared)
    assert not isinstance(made, Obstacle), made
    return made


def parts_of(lead: Mapping[str, str]) -> tuple[str, ...]:
    """Give the parts of one message's tokens: the id, and a MAC for each purpose."""
    seed = repr(sorted(lead.items()))
    lengths = {"id": ID_LENGTH, **dict.fromkeys(IN_MAILS, MAC_LENGTH_IN_MAILS)}
    return tuple(hashlib.sha256(f"{name}{seed}".encode()).hexdigest()[:length] for name, length in lengths.items())


def in_full(mail: Mail, shared: Frame, lead: Mapping[str, str]) -> Rendered | type[Exception]:
    """Give what the full render writes, or the error that it raises."""
    addresses = Addresses(shared.public_url, shared.tracked, parts_of(lead))
    context = {
        "lead": dict(lead),
        "sender": dict(shared.sender),
        "unsubscribe_url": addresses.unsubscribe,
        "preferences_url": addresses.preferences,
        "open_pixel_url": addresses.pixel,
        "existing_customer": "yes" if shared.customer else None,
        "privacy_url": shared.privacy_url,
    }
    try:
        return mail.render(context, Urls(addresses.link))
    except Exception as error:  # noqa: BLE001  whatever it is, the skeleton must raise the same
        return type(error)


def in_parts(mail: Mail, shared: Frame, lead: Mapping[str, str]) -> Rendered | type[Exception]:
    """Give what the skeleton and this person's values make, or the error."""
    made = split(mail, shared)
    try:
        values = made.values(lead, parts_of(lead))
    except Exception as error:  # noqa: BLE001  as above
        return type(error)
    content = made.content
    return Rendered(content.subject_for(values), content.html_for(values), content.text_for(values))
