"""What does the state machine need from whoever delivers mail? One verb, and four answers.

A provider never raises for what happens on the way: every such thing is an `Outcome`. What matters
in each is one question: can the provider have taken the mail, or is it certain that it has not?
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nurture.delivery.errors import DeliveryError
from nurture.delivery.headers import LONGEST, header_text, is_single_address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from consent.keys import Keyring
    from nurture.delivery.content.pieces import Content
    from nurture.settings import Settings

LONGEST_HEADER = 900
"""Characters; below the 998 octets of RFC 5322 with the header's name, so that no line is ever folded (R47)."""


class Outgoing(NamedTuple):
    """One mail for one person: what many share, and the values that are this person's.

    The Message-ID follows from the public id (`mime.message_id`); `at` becomes the Date; `category` names the kind
    of mail for the provider's statistics, never the person.
    """

    public_id: str
    attempt: int
    to_address: str
    to_name: str
    content: Content
    at: datetime
    values: tuple[str, ...] = ()
    category: str = ""

    def __repr__(self) -> str:
        """Say nothing of the person: mails reach logs by way of tracebacks."""
        return f"Outgoing({self.public_id})"

    @property
    def subject(self) -> str:
        """The subject as this person reads it."""
        return self.content.subject_for(self.values)

    @property
    def html(self) -> str:
        """The HTML part as this person reads it."""
        return self.content.html_for(self.values)

    @property
    def text(self) -> str:
        """The text part as this person reads it."""
        return self.content.text_for(self.values)

    @property
    def headers(self) -> dict[str, str]:
        """Further headers of this person's mail (List-Unsubscribe, ...)."""
        values = self.values
        return {name: write(values) for name, write in self.content.header_forms.items()}


@dataclass(frozen=True)
class Accepted:
    """The provider took it; the promise is theirs now."""

    provider_message_id: str


@dataclass(frozen=True)
class Refused:
    """Certainly not taken, and not the message's fault: try later.

    `retry_after` are seconds the provider asked for; `opens_circuit` says that further tries are
    pointless until a person has looked (wrong key, sandbox, redirect).
    """

    code: str
    retry_after: float | None = None
    opens_circuit: bool = False


@dataclass(frozen=True)
class Rejected:
    """Certainly not taken, and never will be: this very message is the reason.

    Where all of a batch are, see `nurture.delivery.blame`. `code` begins with OWN_FAULT where nobody was asked.
    """

    code: str


@dataclass(frozen=True)
class Unknown:
    """May have been taken, may not: never tried again without proof."""

    code: str


Outcome = Accepted | Refused | Rejected | Unknown
OWN_FAULT = "fault "
NOT_TRIED = Refused("not tried")
"""What the rest of a batch gets when a request before it met trouble."""
PERMIT_OVER = Refused("permit over")
"""What a batch gets that was held back for too long, and must be decided again."""
COMMIT_UNCLEAR = Refused("commit unclear")
"""What a batch gets whose intent may not be written down."""


def was_asked(outcome: Outcome) -> bool:
    """Was the provider asked for this outcome, or is it ours alone?"""
    if isinstance(outcome, Rejected):
        return not outcome.code.startswith(OWN_FAULT)
    return outcome not in {NOT_TRIED, PERMIT_OVER, COMMIT_UNCLEAR}


class Provider(Protocol):
    """Whoever delivers mail."""

    @property
    def name(self) -> str:
        """Give the id kept with each batch."""
        ...

    @property
    def batch_limit(self) -> int:
        """How many messages may one `submit` carry?"""
        ...

    def submit(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Hand over all messages of a batch, each at most once, and say what became of each, in their order.

        May take several requests. After one whose answer is Refused or Unknown the rest is `NOT_TRIED`:
        trouble that is not a message's own must not cost more than it has to. Takes at most about three
        times the configured timeout for each request. Never raises for anything the network or the provider does.
        """
        ...


@dataclass(frozen=True)
class Sender:
    """Who the mails come from: address and display name, checked once."""

    address: str
    name: str
    domain: str = field(init=False)

    def __post_init__(self) -> None:
        """Refuse what could not stand in a From header."""
        header_text(self.name)
        if not is_single_address(self.address):
            raise DeliveryError("sender_address is not one plain address; set it to something like post@example.com")
        object.__setattr__(self, "domain", self.address.rpartition("@")[2])


def fault_of(message: Outgoing) -> str | None:
    """Say why a message can never be handed over as it stands; None when it can.

    The last line of defence against header injection and a second recipient, whatever stands upstream.
    """
    if not is_single_address(message.to_address):
        return "address"
    content, values = message.content, message.values
    if not (content.html and content.text and len(values) == content.holes):
        return "empty"
    subject, headers = content.subject_for(values), content.all_headers_for(values)
    # Most are short and printable all together; only odd ones are looked at one by one.
    short = len(subject) + len(message.to_name) <= LONGEST and len(headers) <= LONGEST_HEADER
    plain = short and headers.isascii() and (headers + subject + message.to_name).isprintable()
    if not plain and _odd_header(message):
        return "header"
    return None if subject else "empty"


def _odd_header(message: Outgoing) -> bool:
    """Could one of the headers be read as something else than a name and its value?"""
    headers = message.headers
    try:
        header_text(message.to_name)
        header_text(message.subject)
        for name, value in headers.items():
            header_text(name)
            header_text(value, longest=LONGEST_HEADER)
    except DeliveryError:
        return True
    return not "".join([*headers, *headers.values()]).isascii()


def is_loopback(host: str) -> bool:
    """Is this literally this machine? Names other than localhost are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_provider(settings: Settings, keyring: Keyring) -> Provider:
    """Open the configured provider; opening touches no network. `keyring` makes the tokens of envelope senders.

    Raises DeliveryError or SettingsError when its settings are incomplete or cannot work.
    """
    settings.require_sending()
    sender = Sender(settings.sender_address, settings.sender_name)
    if settings.provider == "sendgrid":
        from nurture.delivery.sendgrid import SendGrid  # noqa: PLC0415  the outbox needs no network code

        return SendGrid(
            sender,
            key=settings.secret("sendgrid_api_key") or "",
            url=settings.sendgrid_url,
            timeout=settings.provider_timeout,
        )
    if settings.provider == "smtp":
        from nurture.delivery.dkim import signer  # noqa: PLC0415  as above
        from nurture.delivery.smtp import Smtp, verp  # noqa: PLC0415  as above

        return Smtp(
            sender,
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=settings.secret("smtp_password") or "",
            timeout=settings.provider_timeout,
            bounces_to=verp(settings.smtp_bounce_address, keyring) if settings.smtp_bounce_address else None,
            sign=signer(settings, sender),
        )
    from nurture.delivery.outbox import Outbox  # noqa: PLC0415  as above

    return Outbox(settings.home / "outbox", sender)
