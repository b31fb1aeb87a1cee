"""Which addresses stand in one mail? Their forms around the message's tokens; the only place that knows them."""

from __future__ import annotations

from dataclasses import dataclass

from consent.tokens import IN_MAILS


@dataclass(frozen=True)
class Addresses:
    """The addresses of one message; untracked ones lead straight to their target."""

    public_url: str
    tracked: bool
    parts: tuple[str, ...]
    """Of its tokens, as `consent.tokens.parts_for_mail` gives them: the id, and a MAC for each purpose."""

    def token(self, purpose: str) -> str:
        """Give the token for one of the purposes of `consent.tokens.IN_MAILS`."""
        return self.parts[0] + self.parts[1 + IN_MAILS.index(purpose)]

    def link(self, index: int, url: str) -> str:
        """Give the address for the template's link number `index`."""
        return f"{self.public_url}/c/{self.token('click')}/{index}" if self.tracked else url

    @property
    def pixel(self) -> str | None:
        """The picture that tells of an opening; None without tracking consent."""
        return f"{self.public_url}/o/{self.token('open')}.gif" if self.tracked else None

    @property
    def unsubscribe(self) -> str:
        """The page that withdraws, and the target of one-click (RFC 8058)."""
        return f"{self.public_url}/u/{self.token('unsubscribe')}"

    @property
    def preferences(self) -> str:
        """The page where a person chooses what to get."""
        return f"{self.public_url}/p/{self.token('preferences')}"
