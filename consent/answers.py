"""What comes of asking and of pressing the button? The values that `opt_in` answers with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from consent.texts import ConsentText


class RequestState(StrEnum):
    """Where an opt-in request stands."""

    REQUESTED = "requested"
    """Waits for the button."""
    CONFIRMED = "confirmed"
    """The button was pressed; consent was given."""
    LAPSED = "lapsed"
    """Nobody pressed it in time."""
    DECLINED = "declined"
    """The person said that it was not them."""
    BOUNCED = "bounced"
    """The confirmation mail could not be delivered."""
    VOID = "void"
    """A withdrawal or an erasure came after it."""


@dataclass(frozen=True)
class Requested:
    """What came of a request. Not to be shown: the page is the same whatever stands here."""

    request_id: int | None
    """None when nothing was recorded: over the caps, blocked, or already given."""
    queued: bool
    """Will a confirmation mail go out?"""


@dataclass(frozen=True)
class DueConfirmation:
    """A confirmation mail to be queued, with what it must say. Times are UTC."""

    request_id: int
    subject: str
    language: str
    controller: str
    requested_at: datetime
    source: str
    """The form, or other way, it was asked through; the mail names it."""
    expires_at: datetime
    texts: tuple[ConsentText, ...]
    """The wordings shown, one per purpose."""

    @property
    def purposes(self) -> tuple[str, ...]:
        """What was asked for."""
        return tuple(text.purpose for text in self.texts)


@dataclass(frozen=True)
class RequestView:
    """What a page may show to whoever holds the link: never the address."""

    request_id: int
    state: RequestState
    language: str
    controller: str
    source: str
    requested_at: datetime
    expires_at: datetime
    texts: tuple[ConsentText, ...]

    @property
    def purposes(self) -> tuple[str, ...]:
        """What was asked for."""
        return tuple(text.purpose for text in self.texts)


@dataclass(frozen=True)
class Confirmed:
    """Consent was given just now."""

    subject: str
    request_id: int
    purposes: tuple[str, ...]
    language: str
    source: str
    controller: str
    seq: int
    """The consent.confirmed entry."""


@dataclass(frozen=True)
class AlreadyConfirmed:
    """The button was pressed before; nothing changed."""

    request_id: int


@dataclass(frozen=True)
class Lapsed:
    """Too late, withdrawn, or declined; nothing changed. Offer a new request."""

    request_id: int
    state: RequestState


@dataclass(frozen=True)
class Declined:
    """The request is void; it may be shown again for a second press."""

    request_id: int


@dataclass(frozen=True)
class Unknown:
    """No link of ours. Log nothing of it."""
