"""Which addresses stand in a mail? Unguessable, bound to their purpose, without personal data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from consent import tokens

if TYPE_CHECKING:
    from consent.keys import Keyring


@dataclass(frozen=True)
class Links:
    """Makes the addresses of one message; untracked ones lead straight to their target."""

    public_url: str
    keyring: Keyring
    public_id: str
    tracked: bool

    @cached_property
    def tokens(self) -> tuple[str, str, str, str]:
        """Its tokens, in the order of `consent.tokens.IN_MAILS`: click, open, unsubscribe, preferences."""
        return tokens.issue_for_mail(self.keyring, self.public_id)

    def link(self, index: int, url: str) -> str:
        """Give the address for the template's link number `index`."""
        return f"{self.public_url}/c/{self.tokens[0]}/{index}" if self.tracked else url

    @property
    def pixel(self) -> str | None:
        """The picture that tells of an opening; None without tracking consent."""
        return f"{self.public_url}/o/{self.tokens[1]}.gif" if self.tracked else None

    @property
    def unsubscribe(self) -> str:
        """The page that withdraws, and the target of one-click (RFC 8058)."""
        return f"{self.public_url}/u/{self.unsubscribe_token}"

    @property
    def unsubscribe_token(self) -> str:
        """What stands in that address, and in the subject of a mail that asks for the same."""
        return self.tokens[2]

    @property
    def preferences(self) -> str:
        """The page where a person chooses what to get."""
        return f"{self.public_url}/p/{self.tokens[3]}"
