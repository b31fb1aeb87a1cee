"""Which addresses stand in a mail? Unguessable, bound to their purpose, without personal data."""

from __future__ import annotations

from dataclasses import dataclass
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

    def link(self, index: int, url: str) -> str:
        """Give the address for the template's link number `index`."""
        if not self.tracked:
            return url
        return f"{self.public_url}/c/{tokens.issue(self.keyring, 'click', self.public_id)}/{index}"

    @property
    def pixel(self) -> str | None:
        """The picture that tells of an opening; None without tracking consent."""
        if not self.tracked:
            return None
        return f"{self.public_url}/o/{tokens.issue(self.keyring, 'open', self.public_id)}.gif"

    @property
    def unsubscribe(self) -> str:
        """The page that withdraws, and the target of one-click (RFC 8058)."""
        return f"{self.public_url}/u/{self.unsubscribe_token}"

    @property
    def unsubscribe_token(self) -> str:
        """What stands in that address, and in the subject of a mail that asks for the same."""
        return tokens.issue(self.keyring, "unsubscribe", self.public_id)

    @property
    def preferences(self) -> str:
        """The page where a person chooses what to get."""
        return f"{self.public_url}/p/{tokens.issue(self.keyring, 'preferences', self.public_id)}"
