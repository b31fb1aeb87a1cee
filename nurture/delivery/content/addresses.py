"""Which addresses stand in one mail? Their forms around the message's tokens; the only place that knows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Addresses:
    """The addresses of one message; untracked ones lead straight to their target."""

    public_url: str
    tracked: bool
    tokens: tuple[str, ...]
    """In the order of `consent.tokens.IN_MAILS`."""

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
        return f"{self.public_url}/u/{self.tokens[2]}"

    @property
    def preferences(self) -> str:
        """The page where a person chooses what to get."""
        return f"{self.public_url}/p/{self.tokens[3]}"
