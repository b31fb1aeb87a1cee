"""Which addresses stand in a mail? Unguessable, bound to their purpose, without personal data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consent import tokens
from nurture.delivery.content.addresses import Addresses

if TYPE_CHECKING:
    from consent.keys import Keyring


def addresses(public_url: str, keyring: Keyring, public_id: str, *, tracked: bool) -> Addresses:
    """Give the addresses of one message."""
    return Addresses(public_url, tracked, tokens.issue_for_mail(keyring, public_id))
