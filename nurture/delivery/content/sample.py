"""For whom are mails shown when nobody is meant? Made-up people, full and bare."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nurture.delivery.content.library import Mail, MessageClass, Rendered, Urls
from nurture.delivery.content.skeleton import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping

SENDER: Mapping[str, str] = {
    "name": "Musterwerk",
    "address": "post@musterwerk.example",
    "company": "Musterwerk GmbH",
    "postal_address": "Beispielweg 1, 10115 Berlin",
    "imprint": "Geschäftsführung: Vera Beispiel, HRB 000000 B",
}
FULL: Mapping[str, str] = {
    "first_name": "Kim",
    "last_name": "Weber",
    "salutation": "Frau",
    "company": "Beispiel Pumpen GmbH",
}
BARE: Mapping[str, str] = {}
"""Somebody who gave nothing but an address."""
WORDING = {
    "de": "Ich möchte Fachwissen und Neuigkeiten zu Produkten der Musterwerk GmbH per E-Mail erhalten. "
    "Diese Einwilligung kann ich jederzeit widerrufen.",
    "en": "I would like to receive know-how and product news of Musterwerk GmbH by e-mail. "
    "I can withdraw this consent at any time.",
}
SITE = "https://musterwerk.example"


def context(mail: Mail, lead: Mapping[str, str] = FULL, sender: Mapping[str, str] = SENDER) -> dict[str, object]:
    """Give everything that a mail may want to know, made up."""
    if mail.message_class is MessageClass.CONFIRMATION:
        return {
            "sender": dict(sender),
            "confirm_url": f"{SITE}/confirm/example",
            "decline_url": f"{SITE}/confirm/example#decline",
            "requested_at": datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
            "source": "Website",
            "texts": [WORDING.get(mail.language, WORDING["en"])],
            "privacy_url": None,
        }
    return {
        "lead": dict(lead),
        "sender": dict(sender),
        "unsubscribe_url": f"{SITE}/u/example",
        "preferences_url": f"{SITE}/p/example",
        "open_pixel_url": None,
        "existing_customer": None,
        "privacy_url": None,
    }


def frame(*, tracked: bool) -> Frame:
    """Give everything that the mails of a made-up batch share."""
    return Frame(SITE, tracked, tuple(SENDER.items()), f"{SITE}/privacy")


def render(mail: Mail, lead: Mapping[str, str] = FULL) -> Rendered:
    """Render a mail for a made-up person, without tracking."""
    return mail.render(context(mail, lead), Urls())
